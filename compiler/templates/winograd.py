"""Builds ``Winograd`` kernels: convolution by transformed tiles, with what follows in registers."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.host import host
from ..ir import Graph
from ..kernels import Epilogue, Winograd
from ..layout import Launch, Packing, Placed
from ..lowering import Contraction
from ..ops.windowing import resolve_padding
from ..ops.winograd import PLACES, TILE, WINDOW
from ..types import Size
from .anchored import Anchored, Sizes, match_anchored
from .blocking import Extent, choose_block
from .problems import pays_packing
from .slide import strides_of

TILES = 24  # transformed at a time, or a few more: they stay in a core's nearest cache
CONFLICTING = 512  # elements: tiles so far apart, or a multiple, evict each other
CACHE_LINE = 16


def build_winograd(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch | None:
    """The launch for a group around a ``winograd_conv2d``, or None where there is none."""
    group = match_anchored(body, operands, results, Contraction)
    if group is None or group.anchor.op.lowering.kind != "winograd_conv2d":
        return None
    if group.anchor.inputs[0].shape[3] % host().lanes:
        return None
    rows, columns = _computed(group)
    channels, filters = known_sizes(group.anchor.inputs[1].shape[1:])
    down, across = -(-rows // TILE), -(-columns // TILE)
    machine = host()
    block = choose_block(
        Extent(1, down * across, filters, channels), machine.lanes, machine.vector_registers
    )
    width = block.vectors * machine.lanes
    packed = pays_packing(group)
    parts = group.parts
    kernel = Winograd(
        block=block,
        tiles=max(2, -(-TILES // block.columns)) * block.columns,
        masked=filters % width != 0,
        overlapping=rows % TILE != 0 or columns % TILE != 0,
        epilogue=Epilogue(
            parts.loads, parts.block, parts.pooled, parts.pool, parts.after, parts.result
        ),
        bias=parts.bias is not None,
        in_place=not packed,
    )
    images = group.anchor.shape[0]
    sizes: Sizes = [
        ("images", images),
        ("rows", rows),
        ("cols", columns),
        ("panels", -(-filters // width)),
        ("channels", filters),
        ("run", channels),
        ("v_tile", tile_stride(channels)),
        *zip(("w_place", "w_panel", "w_run"), _weight_strides(group, width, packed), strict=True),
        *strides_of("x", group.x),
        *strides_of("y", group.result),
    ]
    for load in parts.element_loads:
        sizes += strides_of(load.pointer, group.layout(load.node))
    starts = {
        "x": first_seen(group),
        "w": 0 if packed else group.layout(group.anchor.inputs[1]).origin,
    }
    packing = Packing(width, batch_axes=1) if packed else None
    flops = images * (2 * PLACES * down * across * channels * filters)
    return group.launch(name, kernel, starts, packing, sizes, flops)


def _computed(group: Anchored) -> tuple[int, int]:
    """The rows and columns to compute: not those that no pooling window covers."""
    rows, columns = known_sizes(group.anchor.shape[1:3])
    pool = group.parts.pool
    if pool is None:
        return rows, columns
    return rows // pool.rows * pool.rows, columns // pool.columns * pool.columns


def known_sizes(shape: Sequence[Size]) -> list[int]:
    """``shape``, all of whose sizes are known."""
    known = [size for size in shape if isinstance(size, int)]
    assert len(known) == len(shape), "types of these ops have known sizes but for the batch"
    return known


def tile_stride(channels: int) -> int:
    """Elements from the transformed pixels of one tile to the next."""
    return channels + (CACHE_LINE if channels % CONFLICTING == 0 else 0)


def _weight_strides(group: Anchored, width: int, packed: bool) -> tuple[Size, Size, Size]:
    """Between places, panels and channels of the transformed kernel."""
    placed = group.layout(group.anchor.inputs[1])
    if not packed:
        return placed.strides[0], width, placed.strides[1]
    channels, filters = known_sizes(placed.type.shape[1:])
    return -(-filters // width) * channels * width, channels * width, width


def first_seen(group: Anchored) -> Size:
    """Where the first window starts: in the border, if there is padding."""
    x = group.x
    padding = group.anchor.attrs["padding"]
    (above, _), (left, _) = resolve_padding(x.type.shape[1:3], WINDOW, (1, 1), (1, 1), padding)
    return x.origin - above * x.strides[1] - left * x.strides[2]
