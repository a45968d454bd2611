"""Builds ``Border`` launches: zeros around a value whose layout has a halo."""

from __future__ import annotations

from ...ir.types import FLOAT32, Size
from ...loops.kernel import Kernel, Param
from ...loops.layout import Address, Launch, Layout
from ..bodies import Border


def build_border(layout: Layout, slot: int) -> Launch:
    """The launch that fills the halo of a channels-last image value with zeros.

    It touches no element of the value itself, so it needs no order relative to the producer.
    """
    images, height, width, channels = layout.padded_shape
    _, (top, bottom), (left, right), _ = layout.halo
    sizes: list[tuple[str, Size]] = [
        ("images", images),
        ("height", height),
        ("image", layout.strides[0]),
        ("row", width * channels),
        ("top", top),
        ("bottom", bottom),
        ("left", left * channels),
        ("right", right * channels),
    ]
    params = (Param("y", FLOAT32), *(Param(name) for name, _ in sizes))
    values = (Address(slot), *(size for _, size in sizes))
    halo = layout.elements - layout.type.elements
    return Launch(Kernel("border", params, Border(0.0)), values, 0, halo * FLOAT32.itemsize)
