"""Builds the launch that packs weights computed at run time."""

from __future__ import annotations

from ...ir.types import FLOAT32, Size
from ...layout import Address, Launch, Layout, Packing
from ...loops.kernel import Kernel, Panels, Param


def build_panels(source: Layout, packing: Packing) -> Launch:
    """The launch from slot 0, a ``(batch..., depth..., channels)`` array, to slot 1, its panels."""
    batch: Size = 1
    for size in source.type.shape[: packing.batch_axes]:
        batch = batch * size
    depth: Size = 1
    for size in source.type.shape[packing.batch_axes : -1]:
        depth = depth * size
    sizes: list[tuple[str, Size]] = [
        ("batch", batch),
        ("groups", packing.groups),
        ("channels", source.type.shape[-1] // packing.groups),
        ("depth", depth),
        ("width", packing.width),
    ]
    pointers = (Param("x", FLOAT32), Param("y", FLOAT32))
    kernel = Kernel("pack", (*pointers, *(Param(name) for name, _ in sizes)), Panels())
    values = (Address(0, source.origin), Address(1), *(size for _, size in sizes))
    return Launch(kernel, values, 0, source.type.bytes * 2)
