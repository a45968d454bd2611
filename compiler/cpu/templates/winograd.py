"""Builds ``Winograd`` kernels: convolution by transformed tiles, with what follows in registers."""

from __future__ import annotations

from collections.abc import Sequence

from ....runtime.program import Scratch
from ...ir.graph import Graph, Node
from ...ir.kinds import Contraction
from ...ir.types import FLOAT32, Size
from ...loops.anchored import Anchored, image_strides, match_anchored
from ...loops.arguments import Pointer
from ...loops.layout import CACHE_LINE, CONFLICTING, Address, Launch, Placed
from ...loops.problems import first_seen, pays_packing
from ...ops.windowing import resolve_padding
from ...ops.winograd import PLACES, TILE, WINDOW
from ..arguments import WinogradArguments
from ..blocking import BlockEngine, Extent, choose
from ..bodies import PLACES_APART, Winograd

TILES = 24  # transformed at a time, or a few more: they stay in a core's nearest cache


def build_winograd(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    engines: tuple[BlockEngine, ...],
) -> Launch | None:
    """The launch for a group around a ``winograd_conv2d``, or None where there is none."""
    group = match_anchored(body, operands, results, Contraction)
    if group is None or group.anchor.op.kind.form != "winograd_conv2d":
        return None
    matched = group.matched
    rows, columns = known_sizes(matched.covered(*group.anchor.shape[1:3]))
    channels, filters = known_sizes(group.anchor.inputs[1].shape[1:])
    down, across = -(-rows // TILE), -(-columns // TILE)
    extent = Extent(1, down * across, filters, channels)
    choice = choose(group.anchor.op.kind.form, extent, engines)
    if choice is None or channels % choice.engine.lanes:
        return None
    block, width = choice.block, choice.width
    packed = pays_packing(group)
    kernel = Winograd(
        block=block,
        tiles=max(2, -(-TILES // block.columns)) * block.columns,
        masked=filters % width != 0,
        overlapping=rows % TILE != 0 or columns % TILE != 0,
        epilogue=matched.epilogue,
        bias=matched.bias is not None,
        in_place=not packed,
    )
    images = group.anchor.shape[0]
    x, w, k = group.anchor.inputs
    taps = group.layout(k)
    t_ky, t_kx, t_run, _ = taps.strides
    x_image, x_row, x_col = image_strides(group.x)
    w_place, w_panel, w_run = _weight_strides(group, width, packed)
    arguments: WinogradArguments[Pointer, Size] = WinogradArguments(
        x=group.pointer(x, start_of(group.x, group.anchor)),
        w=group.pointer(w, packing=choice.packing(batch_axes=1)) if packed else group.origin(w),
        taps=Pointer(Address(group.slot(k), taps.origin, seldom=True)),
        v=scratch_of(kernel.tiles, tile_stride(channels)),
        m=scratch_of(kernel.tiles, width),
        images=images,
        rows=rows,
        cols=columns,
        panels=-(-filters // width),
        channels=filters,
        run=channels,
        v_tile=tile_stride(channels),
        w_place=w_place,
        w_panel=w_panel,
        w_run=w_run,
        t_ky=t_ky,
        t_kx=t_kx,
        t_run=t_run,
        x_image=x_image,
        x_row=x_row,
        x_col=x_col,
        epilogue=group.epilogue(),
    )
    flops = images * (2 * PLACES * down * across * channels * filters)
    return group.launch(name, kernel, arguments, flops)


def known_sizes(shape: Sequence[Size]) -> list[int]:
    """``shape``, all of whose sizes are known."""
    known = [size for size in shape if isinstance(size, int)]
    assert len(known) == len(shape), "types of these ops have known sizes but for the batch"
    return known


def tile_stride(channels: int) -> int:
    """Elements from the transformed pixels of one tile to the next."""
    return channels + (CACHE_LINE if channels % CONFLICTING == 0 else 0)


def scratch_of(tiles: int, elements: int) -> Pointer:
    """Room for so many tiles of so many elements at each place."""
    return Pointer(Scratch(PLACES * (tiles * elements + PLACES_APART) * FLOAT32.itemsize))


def _weight_strides(group: Anchored, width: int, packed: bool) -> tuple[Size, Size, Size]:
    """Between places, panels and channels of the transformed kernel."""
    placed = group.layout(group.anchor.inputs[1])
    if not packed:
        return placed.strides[0], width, placed.strides[1]
    channels, filters = known_sizes(placed.type.shape[1:])
    return -(-filters // width) * channels * width, channels * width, width


def start_of(x: Placed, anchor: Node) -> Size:
    """Where the first window of ``anchor`` starts in the memory of the pixels."""
    padding = anchor.attrs["padding"]
    return first_seen(x, resolve_padding(x.type.shape[1:3], WINDOW, (1, 1), (1, 1), padding))
