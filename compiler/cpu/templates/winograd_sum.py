"""Builds ``WinogradSum`` kernels: the gradient of a transformed kernel."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ....runtime.program import Scratch
from ...ir.graph import Graph
from ...ir.kinds import KernelGradient
from ...ir.types import FLOAT32
from ...loops.anchored import Sizes, match_anchored
from ...loops.layout import Address, Launch, Placed
from ...ops.winograd import PLACES, TILE
from ..bodies import RegisterBlock, WinogradSum
from .slide import strides_of
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
    names = ("y_part", "y_place", "y_run")
    sizes: Sizes = [
        ("images", images),
        ("part", group.anchor.attrs["part"]),
        ("rows", rows),
        ("cols", columns),
        ("panels", -(-filters // width)),
        ("channels", filters),
        ("run", channels),
        ("v_tile", tile_stride(channels)),
        *strides_of("x", group.x),
        *strides_of("w", grad),
        *zip(names, group.result.strides, strict=False),
    ]
    tiles = -(-rows // TILE) * -(-columns // TILE)
    flops = images * (2 * PLACES * tiles * channels * filters)
    x, w = (group.slot(operand) for operand in group.anchor.inputs)
    pointers: list[tuple[str, Address | Scratch]] = [
        ("x", Address(x, start_of(group.x, group.anchor))),
        ("w", Address(w, grad.origin)),
        ("v", scratch_of(kernel.tiles, tile_stride(channels))),
        ("d", scratch_of(kernel.tiles, width)),
    ]
    return (group.launch_on(pointers, name, kernel, sizes, flops),)


def _block_of(channels: int, filters: int, machine: Host) -> RegisterBlock:
    """As many channels and filters as registers hold; channels that divide their number."""
    panels = {v: -(-filters // (v * machine.lanes)) * v for v in (1, 2, 3)}
    vectors = min(panels, key=lambda v: (panels[v], -v))
    most = (machine.vector_registers - vectors - 1) // vectors
    columns = max(n for n in range(1, most + 1) if channels % n == 0)
    return RegisterBlock(1, columns, vectors)
