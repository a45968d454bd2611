"""Builds ``HaloFill`` launches: zeros around a value whose layout has a halo."""

from __future__ import annotations

from ...ir.types import FLOAT32, Size
from ...loops.arguments import Pointer
from ...loops.kernel import Kernel
from ...loops.layout import Address, Launch, Layout
from ..arguments import HaloFillArguments
from ..bodies import HaloFill


def build_halo_fill(layout: Layout, slot: int) -> Launch:
    """The launch that fills the halo of a channels-last image value with zeros.

    It touches no element of the value itself, so it needs no order relative to the producer.
    """
    images, height, width, channels = layout.padded_shape
    _, (top, bottom), (left, right), _ = layout.halo
    arguments: HaloFillArguments[Pointer, Size] = HaloFillArguments(
        y=Pointer(Address(slot)),
        images=images,
        height=height,
        image=layout.strides[0],
        row=width * channels,
        top=top,
        bottom=bottom,
        left=left * channels,
        right=right * channels,
    )
    kernel = Kernel("fill_halo", arguments.params, HaloFill(0.0))
    halo = layout.elements - layout.type.elements
    return Launch(kernel, arguments.values, 0, halo * FLOAT32.itemsize)
