"""Builds ``WinogradKernelGradient`` kernels: the gradient of a transformed kernel."""

from __future__ import annotations

from ...ir.types import FLOAT32, Size
from ...loops.anchored import Anchored, image_strides
from ...loops.arguments import Pointer
from ...loops.layout import Launch
from ...ops.winograd import PLACES, TILE
from ..arguments import WinogradKernelGradientArguments
from ..blocking import BlockEngine, Extent, choose
from ..bodies import WinogradKernelGradient
from .winograd import known_sizes, scratch_of, start_of, tile_stride

TRANSFORMED_BYTES = (
    320 * 1024
)  # pixels and gradients of one tile batch: they stay in a core's cache
MOST_TILES = 96


def build_winograd_kernel_gradient(
    group: Anchored, name: str, engines: tuple[BlockEngine, ...]
) -> Launch:
    """The launch for a split ``winograd_kernel_gradient``."""
    grad = group.layout(group.anchor.inputs[1])
    images, *spatial, _ = grad.type.shape
    rows, columns = known_sizes(spatial)
    channels, filters = known_sizes(group.anchor.shape[-2:])
    tiles = -(-rows // TILE) * -(-columns // TILE)
    extent = Extent(1, channels, filters, tiles, adjacent=True, divided=True, in_place=True)
    choice = choose(group.anchor.op.kind.form, extent, engines)
    assert choice is not None, "the pass asked for an engine"
    width = choice.width
    tile_bytes = PLACES * (channels + width) * FLOAT32.itemsize
    kernel = WinogradKernelGradient(
        choice.block, max(1, min(MOST_TILES, TRANSFORMED_BYTES // tile_bytes))
    )
    x_image, x_row, x_col = image_strides(group.x)
    w_image, w_row, w_col = image_strides(grad)
    y_split, y_place, y_run, _ = group.result.strides
    x, w = group.anchor.inputs
    arguments: WinogradKernelGradientArguments[Pointer, Size] = WinogradKernelGradientArguments(
        x=group.pointer(x, start_of(group.x, group.anchor)),
        w=group.origin(w),
        v=scratch_of(kernel.tiles, tile_stride(channels)),
        d=scratch_of(kernel.tiles, width),
        y=group.stored(),
        images=images,
        split_images=group.anchor.attrs["split"],
        rows=rows,
        cols=columns,
        panels=-(-filters // width),
        channels=filters,
        run=channels,
        v_tile=tile_stride(channels),
        x_image=x_image,
        x_row=x_row,
        x_col=x_col,
        w_image=w_image,
        w_row=w_row,
        w_col=w_col,
        y_split=y_split,
        y_place=y_place,
        y_run=y_run,
    )
    flops = images * (2 * PLACES * tiles * channels * filters)
    return group.launch(name, kernel, arguments, flops)
