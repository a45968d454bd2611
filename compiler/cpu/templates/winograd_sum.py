"""Builds ``WinogradSum`` kernels: the gradient of a transformed kernel."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.kinds import KernelGradient
from ...ir.types import FLOAT32, Size
from ...loops.anchored import image_strides, match_anchored
from ...loops.arguments import Pointer
from ...loops.layout import Launch, Placed
from ...ops.winograd import PLACES, TILE
from ..arguments import WinogradSumArguments
from ..bodies import RegisterBlock, WinogradSum
from .winograd import known_sizes, scratch_of, start_of, tile_stride

TRANSFORMED_BYTES = 320 * 1024  # pixels and gradients of one go: they stay in a core's cache
MOST_TILES = 96


def build_winograd_sum(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    machine: Host,
) -> tuple[Launch, ...]:
    """The launch for a ``winograd_kernel_gradient`` in parts."""
    group = match_anchored(body, operands, results, KernelGradient)
    assert group is not None, "kernel gradients of float32 are groups of their own"
    grad = group.layout(group.anchor.inputs[1])
    images, *spatial, _ = grad.type.shape
    rows, columns = known_sizes(spatial)
    channels, filters = known_sizes(group.anchor.shape[-2:])
    block = _block_of(channels, filters, machine)
    width = block.vectors * machine.lanes
    tile_bytes = PLACES * (channels + width) * FLOAT32.itemsize
    kernel = WinogradSum(block, max(1, min(MOST_TILES, TRANSFORMED_BYTES // tile_bytes)))
    x_image, x_row, x_col = image_strides(group.x)
    w_image, w_row, w_col = image_strides(grad)
    y_part, y_place, y_run, _ = group.result.strides
    x, w = group.anchor.inputs
    arguments: WinogradSumArguments[Pointer, Size] = WinogradSumArguments(
        x=group.pointer(x, start_of(group.x, group.anchor)),
        w=group.origin(w),
        v=scratch_of(kernel.tiles, tile_stride(channels)),
        d=scratch_of(kernel.tiles, width),
        y=group.stored(),
        images=images,
        part=group.anchor.attrs["part"],
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
        y_part=y_part,
        y_place=y_place,
        y_run=y_run,
    )
    tiles = -(-rows // TILE) * -(-columns // TILE)
    flops = images * (2 * PLACES * tiles * channels * filters)
    return (group.launch(name, kernel, arguments, flops),)


def _block_of(channels: int, filters: int, machine: Host) -> RegisterBlock:
    """As many channels and filters as registers hold; channels that divide their number."""
    panels = {v: -(-filters // (v * machine.lanes)) * v for v in (1, 2, 3)}
    vectors = min(panels, key=lambda v: (panels[v], -v))
    most = (machine.vector_registers - vectors - 1) // vectors
    columns = max(n for n in range(1, most + 1) if channels % n == 0)
    return RegisterBlock(1, columns, vectors)
