"""Emits ``WinogradKernelGradient`` kernels: sums of products of transformed tiles."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ...ops.winograd import PLACES, TILE
from ..arguments import WinogradKernelGradientArguments
from ..bodies import PLACES_APART, WinogradKernelGradient
from .epilogue import cells
from .winograd import (
    both_ways,
    count_tiles,
    each_tile,
    each_vector,
    filter_masks,
    transform_pixels,
)
from .writer import Writer

ARG = WinogradKernelGradientArguments[str, str].names()


def emit_winograd_kernel_gradient(
    writer: Writer, kernel: Kernel, body: WinogradKernelGradient
) -> None:
    """Writes the kernel; each thread takes a contiguous share of (split, panel) units."""
    writer.unpack(kernel.params)
    writer.use("minimum")
    width = body.block.vectors * writer.lanes
    d_place = body.tiles * width + PLACES_APART
    count_tiles(writer, ARG)
    writer.line(f"x_tile = {ARG.x_image} // (tile_rows * tile_cols)")
    writer.line(f"w_tile = {ARG.w_image} // (tile_rows * tile_cols)")
    writer.line(f"splits = ({ARG.images} + {ARG.split_images} - 1) // {ARG.split_images}")
    writer.line(f"v_place = {body.tiles} * {ARG.v_tile} + {PLACES_APART}")
    writer.line(f"unit = splits * {ARG.panels} * thread // threads")
    writer.line(f"end = splits * {ARG.panels} * (thread + 1) // threads")
    with writer.block("while unit < end:"):
        writer.line(f"index = unit // {ARG.panels}")
        writer.line(f"first_panel = unit % {ARG.panels}")
        writer.line(f"stop_panel = minimum({ARG.panels}, first_panel + end - unit)")
        writer.line("unit += stop_panel - first_panel")
        for name, split in (("start", "index"), ("stop", "(index + 1)")):
            writer.line(f"{name} = {ARG.images} * {split} // splits * tile_rows * tile_cols")
        with writer.block(f"for head in range(start, stop, {body.tiles}):"):
            writer.line(f"count = minimum({body.tiles}, stop - head)")
            with each_tile(writer, ARG):
                transform_pixels(writer, ARG, ahead=True)
            with writer.block("for panel in range(first_panel, stop_panel):"):
                with each_vector(writer, width, ARG), each_tile(writer, ARG):
                    _transform_gradients(writer, width, d_place)
                _add_products(writer, body, width, d_place)


def _transform_gradients(writer: Writer, width: int, d_place: int) -> None:
    """``A g A'`` of the gradients of a tile; those that the tile before has are 0 in this one."""
    writer.line(f"gi = image * {ARG.w_image} + oy * {ARG.w_row} + ox * {ARG.w_col} + o")
    writer.line(f"pi = (head + count + t) * w_tile + {TILE * TILE} * o")
    for i in range(TILE * TILE):
        writer.line(writer.call("prefetch", ARG.w, f"pi + {i * writer.lanes}"))
    writer.line(f"down = oy == row * {TILE}")
    writer.line(f"across = ox == col * {TILE}")
    writer.line(f"di = t * {width} + at")
    for place, text in enumerate(both_ways(writer, TILE, _gradient, _gradients)):
        writer.line(writer.call("store", ARG.d, f"di + {place * d_place}", text))


def _gradient(writer: Writer, row: int, column: int) -> str:
    new = (("down and across", "down"), ("across", "True"))[row][column]
    mask = writer.call("first", f"{ARG.channels} - o if {new} else 0")
    index = f"gi + {row} * {ARG.w_row} + {column} * {ARG.w_col}"
    return writer.call("load_masked", ARG.w, index, mask)


def _gradients(g0: str, g1: str) -> tuple[str, ...]:
    """``A`` times a column."""
    return g0, f"{g0} + {g1}", f"{g0} - {g1}", f"-{g1}"


def _add_products(writer: Writer, body: WinogradKernelGradient, width: int, d_place: int) -> None:
    """Adds the products of these tiles to the partial sums; the first tiles start them."""
    block = body.block
    filter_masks(writer, width, block.vectors, "m", ARG.channels)
    # The sums so far are those of the tiles before: none of the first ones.
    writer.line(f"known = {ARG.channels} if head > start else 0")
    filter_masks(writer, width, block.vectors, "n", "known")
    zero = writer.constant(0.0, FLOAT32, True)
    places = writer.block(f"for place in range({PLACES}):")
    with places, writer.block(f"for first_channel in range(0, {ARG.run}, {block.columns}):"):
        writer.line("vj = place * v_place + first_channel")
        writer.line(f"dj = place * {d_place}")
        for _, p, j in cells(block):
            writer.line(f"a{p}_{j} = {zero}")
        with writer.block("for t in range(count):"):
            for j in range(block.vectors):
                index = f"dj + {j * writer.lanes}"
                writer.line(f"d{j} = {writer.call('load', ARG.d, index)}")
            for p in range(block.columns):
                writer.line(f"s = {writer.call('load_splat', ARG.v, f'vj + {p}')}")
                for j in range(block.vectors):
                    writer.line(f"a{p}_{j} = {writer.call('fma', 's', f'd{j}', f'a{p}_{j}')}")
            writer.line(f"vj += {ARG.v_tile}")
            writer.line(f"dj += {width}")
        split = f"index * {ARG.y_split} + place * {ARG.y_place}"
        writer.line(f"yj = {split} + first_channel * {ARG.y_run}")
        writer.line(f"yj += panel * {width}")
        for _, p, j in cells(block):
            index = f"yj + {p} * {ARG.y_run} + {j * writer.lanes}"
            value = f"{writer.call('load_masked', ARG.y, index, f'n{j}')} + a{p}_{j}"
            writer.line(writer.call("store_masked", ARG.y, index, value, f"m{j}"))
