"""Emits ``WinogradSum`` kernels: pixels and gradients transformed, and summed place by place."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ...ops.winograd import PLACES, TILE
from ..bodies import PLACES_APART, WinogradSum
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


def emit_winograd_sum(writer: Writer, kernel: Kernel, body: WinogradSum) -> None:
    """Writes the kernel; each thread takes a contiguous share of (part, panel) units."""
    writer.unpack(kernel.params)
    writer.use("minimum")
    width = body.block.vectors * writer.lanes
    d_place = body.tiles * width + PLACES_APART
    count_tiles(writer)
    writer.line("x_tile = x_image // (tile_rows * tile_cols)")
    writer.line("w_tile = w_image // (tile_rows * tile_cols)")
    writer.line("parts = (images + part - 1) // part")
    writer.line(f"v_place = {body.tiles} * v_tile + {PLACES_APART}")
    writer.line("unit = parts * panels * thread // threads")
    writer.line("end = parts * panels * (thread + 1) // threads")
    with writer.block("while unit < end:"):
        writer.line("index = unit // panels")
        writer.line("first_panel = unit % panels")
        writer.line("stop_panel = minimum(panels, first_panel + end - unit)")
        writer.line("unit += stop_panel - first_panel")
        for name, part in (("start", "index"), ("stop", "(index + 1)")):
            writer.line(f"{name} = images * {part} // parts * tile_rows * tile_cols")
        with writer.block(f"for head in range(start, stop, {body.tiles}):"):
            writer.line(f"count = minimum({body.tiles}, stop - head)")
            with each_tile(writer):
                transform_pixels(writer, ahead=True)
            with writer.block("for panel in range(first_panel, stop_panel):"):
                with each_vector(writer, width), each_tile(writer):
                    _transform_gradients(writer, width, d_place)
                _add_products(writer, body, width, d_place)


def _transform_gradients(writer: Writer, width: int, d_place: int) -> None:
    """``A g A'`` of the gradients of a tile; those that the tile before has are 0 in this one."""
    writer.line("gi = image * w_image + oy * w_row + ox * w_col + o")
    writer.line(f"pi = (head + count + t) * w_tile + {TILE * TILE} * o")
    for i in range(TILE * TILE):
        writer.line(writer.call("prefetch", "w", f"pi + {i * writer.lanes}"))
    writer.line(f"down = oy == row * {TILE}")
    writer.line(f"across = ox == col * {TILE}")
    writer.line(f"di = t * {width} + at")
    for place, text in enumerate(both_ways(writer, TILE, _gradient, _gradients)):
        writer.line(writer.call("store", "d", f"di + {place * d_place}", text))


def _gradient(writer: Writer, row: int, column: int) -> str:
    new = (("down and across", "down"), ("across", "True"))[row][column]
    mask = writer.call("first", f"channels - o if {new} else 0")
    return writer.call("load_masked", "w", f"gi + {row} * w_row + {column} * w_col", mask)


def _gradients(g0: str, g1: str) -> tuple[str, ...]:
    """``A`` times a column."""
    return g0, f"{g0} + {g1}", f"{g0} - {g1}", f"-{g1}"


def _add_products(writer: Writer, body: WinogradSum, width: int, d_place: int) -> None:
    """Adds what these tiles make to the sums of the part; the first ones start them."""
    block = body.block
    filter_masks(writer, width, block.vectors, "m", "channels")
    # The sums so far are those of the tiles before: none of the first ones.
    writer.line("known = channels if head > start else 0")
    filter_masks(writer, width, block.vectors, "n", "known")
    zero = writer.constant(0.0, FLOAT32, True)
    places = writer.block(f"for place in range({PLACES}):")
    with places, writer.block(f"for first_channel in range(0, run, {block.columns}):"):
        writer.line("vj = place * v_place + first_channel")
        writer.line(f"dj = place * {d_place}")
        for _, p, j in cells(block):
            writer.line(f"a{p}_{j} = {zero}")
        with writer.block("for t in range(count):"):
            for j in range(block.vectors):
                index = f"dj + {j * writer.lanes}"
                writer.line(f"d{j} = {writer.call('load', 'd', index)}")
            for p in range(block.columns):
                writer.line(f"s = {writer.call('load_splat', 'v', f'vj + {p}')}")
                for j in range(block.vectors):
                    writer.line(f"a{p}_{j} = {writer.call('fma', 's', f'd{j}', f'a{p}_{j}')}")
            writer.line("vj += v_tile")
            writer.line(f"dj += {width}")
        writer.line("yj = index * y_part + place * y_place + first_channel * y_run")
        writer.line(f"yj += panel * {width}")
        for _, p, j in cells(block):
            index = f"yj + {p} * y_run + {j * writer.lanes}"
            value = f"{writer.call('load_masked', 'y', index, f'n{j}')} + a{p}_{j}"
            writer.line(writer.call("store_masked", "y", index, value, f"m{j}"))
