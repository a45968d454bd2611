"""Emits ``Winograd`` kernels: transform, products at each place, inverse transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ...ops.winograd import PLACES, SEEN, TILE, WINDOW
from ..arguments import WinogradArguments, WinogradKernelGradientArguments
from ..bodies import PLACES_APART, RegisterBlock, Winograd
from .contract import advance_position, channel_setup
from .epilogue import Cell, MaskOf, cells, filter_mask, finish_block
from .writer import Writer

ARG = WinogradArguments[str, str].names()
# Of what is made of tiles.
Tiled: TypeAlias = "WinogradArguments[str, str] | WinogradKernelGradientArguments[str, str]"


def emit_winograd(writer: Writer, kernel: Kernel, body: Winograd) -> None:
    """Writes the kernel; each thread takes a contiguous share of (tile batch, panel) units.

    The pixels of a tile batch are transformed once for all panels of filters that the thread
    computes.
    """
    writer.unpack(kernel.params)
    writer.use("minimum")
    width = body.block.vectors * writer.lanes
    count_tiles(writer, ARG)
    writer.line(f"tile_batches = (tiles + {body.tiles - 1}) // {body.tiles}")
    writer.line(f"v_place = {body.tiles} * {ARG.v_tile} + {PLACES_APART}")
    writer.line(f"unit = tile_batches * {ARG.panels} * thread // threads")
    writer.line(f"end = tile_batches * {ARG.panels} * (thread + 1) // threads")
    with writer.block("while unit < end:"):
        writer.line(f"tile_batch = unit // {ARG.panels}")
        writer.line(f"panel = unit % {ARG.panels}")
        writer.line(f"stop = minimum({ARG.panels}, panel + end - unit)")
        writer.line("unit += stop - panel")
        writer.line("head = tiles * tile_batch // tile_batches")
        writer.line("count = tiles * (tile_batch + 1) // tile_batches - head")
        with each_tile(writer, ARG):
            transform_pixels(writer, ARG)
        with writer.block("while panel < stop:"):
            _multiply(writer, body, width)
            with each_vector(writer, width, ARG):
                writer.line("channel = o")
                channel_setup(writer, body, 1, ARG)
                with each_tile(writer, ARG):
                    _inverse_transform(writer, body, width)
            writer.line("panel += 1")


def _m_place(body: Winograd, width: int) -> int:
    """Elements between the products of one place and those of the next."""
    return body.tiles * width + PLACES_APART


def count_tiles(writer: Writer, arg: Tiled) -> None:
    """Tiles in a column and a row of an image, and in all."""
    writer.line(f"tile_rows = ({arg.rows} + {TILE - 1}) // {TILE}")
    writer.line(f"tile_cols = ({arg.cols} + {TILE - 1}) // {TILE}")
    writer.line(f"tiles = {arg.images} * tile_rows * tile_cols")


@contextmanager
def each_tile(writer: Writer, arg: Tiled) -> Iterator[None]:
    """A loop over the ``count`` tiles from ``head`` on: tile ``t`` makes (oy, ox) of ``image``.

    The last tile of an odd row or column lies one place further back, over the one before.
    """
    writer.line("image = head // (tile_rows * tile_cols)")
    writer.line("row = head // tile_cols % tile_rows")
    writer.line("col = head % tile_cols")
    with writer.block("for t in range(count):"):
        writer.line(f"oy = minimum(row * {TILE}, {arg.rows} - {TILE})")
        writer.line(f"ox = minimum(col * {TILE}, {arg.cols} - {TILE})")
        yield
        advance_position(writer, "tile_rows", "tile_cols")


@contextmanager
def each_vector(writer: Writer, width: int, arg: Tiled) -> Iterator[None]:
    """A loop over a panel's filters, a vector of them from ``o`` on, ``at`` in the panel."""
    writer.line(f"width = minimum({width}, {arg.channels} - panel * {width})")
    with writer.block(f"for at in range(0, width, {writer.lanes}):"):
        writer.line(f"o = panel * {width} + at")
        yield


def transform_pixels(writer: Writer, arg: Tiled, ahead: bool = False) -> None:
    """``B' d B`` of the pixels of a tile, all channels: first down the columns, then across.

    ``ahead``: prefetches as many pixels of the next tiles.
    """
    writer.line(f"xi = image * {arg.x_image} + oy * {arg.x_row} + ox * {arg.x_col}")
    writer.line(f"vi = t * {arg.v_tile}")
    if ahead:
        writer.line("pi = (head + count + t) * x_tile")

    def pixel(writer: Writer, row: int, column: int) -> str:
        index = f"xi + {row} * {arg.x_row} + {column} * {arg.x_col} + c"
        return writer.call("load", arg.x, index)

    with writer.block(f"for c in range(0, {arg.run}, {writer.lanes}):"):
        if ahead:
            for i in range(TILE * TILE):
                index = f"pi + {TILE * TILE} * c + {i * writer.lanes}"
                writer.line(writer.call("prefetch", arg.x, index))
        for place, text in enumerate(both_ways(writer, SEEN, pixel, _pixels)):
            writer.line(writer.call("store", arg.v, f"vi + {place} * v_place + c", text))


def both_ways(
    writer: Writer,
    size: int,
    load: Callable[[Writer, int, int], str],
    transform: Callable[..., tuple[str, ...]],
) -> Iterator[str]:
    """``T d T'`` of a square ``d``, row by row: each column is transformed, then each row of that.

    ``load`` gives element (row, column), ``transform`` is T times a column.
    """
    rows = 0
    for k in range(size):
        for i in range(size):
            writer.line(f"d{i} = {load(writer, i, k)}")
        column = transform(*(f"d{i}" for i in range(size)))
        rows = len(column)
        for i, text in enumerate(column):
            writer.line(f"t{i}_{k} = {text}")
    for i in range(rows):
        yield from transform(*(f"t{i}_{k}" for k in range(size)))


def _pixels(d0: str, d1: str, d2: str, d3: str) -> tuple[str, ...]:
    """``B'`` times a column."""
    return f"{d0} - {d2}", f"{d1} + {d2}", f"{d2} - {d1}", f"{d1} - {d3}"


def _multiply(writer: Writer, body: Winograd, width: int) -> None:
    """The product of each place: tiles by channels, channels by a panel of filters."""
    block = body.block
    if body.in_place and body.masked:
        filter_masks(writer, width, block.vectors, "m", ARG.channels)
    zero = writer.constant(0.0, FLOAT32, True)
    places = writer.block(f"for place in range({PLACES}):")
    with places, writer.block(f"for begin in range(0, count, {block.columns}):"):
        writer.line(f"first_tile = minimum(begin, count - {block.columns})")
        writer.line(f"vj = place * v_place + first_tile * {ARG.v_tile}")
        writer.line(f"wj = place * {ARG.w_place} + panel * {ARG.w_panel}")
        for _, p, j in cells(block):
            writer.line(f"a{p}_{j} = {zero}")
        with writer.block(f"for c in range({ARG.run}):"):
            for j in range(block.vectors):
                writer.line(f"w{j} = {_weights(writer, body, j)}")
            for p in range(block.columns):
                tile = f" + {p} * {ARG.v_tile}" if p else ""
                writer.line(f"s = {writer.call('load_splat', ARG.v, f'vj{tile} + c')}")
                for j in range(block.vectors):
                    writer.line(f"a{p}_{j} = {writer.call('fma', 's', f'w{j}', f'a{p}_{j}')}")
            writer.line(f"wj += {ARG.w_run}")
        writer.line(f"mj = place * {_m_place(body, width)} + first_tile * {width}")
        for _, p, j in cells(block):
            index = f"mj + {p * width + j * writer.lanes}"
            writer.line(writer.call("store", ARG.m, index, f"a{p}_{j}"))


def filter_masks(writer: Writer, width: int, vectors: int, name: str, end: str) -> None:
    """Masks of a panel's vectors of filters: those below ``end``."""
    for j in range(vectors):
        left = f"{end} - panel * {width}{f' - {j * writer.lanes}' if j else ''}"
        writer.line(f"{name}{j} = {writer.call('first', left)}")


def _weights(writer: Writer, body: Winograd, j: int) -> str:
    index = f"wj + {j * writer.lanes}" if j else "wj"
    if body.in_place and body.masked:
        return writer.call("load_masked", ARG.w, index, f"m{j}")
    return writer.call("load", ARG.w, index)


def _inverse_transform(writer: Writer, body: Winograd, width: int) -> None:
    """``A' m A`` of the products of a tile, then what follows the convolution."""
    writer.line(f"mi = t * {width} + at")
    block = RegisterBlock(TILE, TILE, 1)

    def product(writer: Writer, row: int, column: int) -> str:
        return writer.call("load", ARG.m, f"mi + {(row * SEEN + column) * _m_place(body, width)}")

    results = both_ways(writer, SEEN, product, _results)
    names = [f"a{r}_{p}_0" for r, p, _ in cells(block)]
    for name, text in zip(names, results, strict=True):
        writer.line(f"{name} = {text}")
    with if_not_finite(writer, names):
        _sum_directly(writer, body, block)
    if body.bias:
        for name in names:
            writer.line(f"{name} = b0 + {name}")
    finish_block(writer, body.epilogue, block, _result_mask(writer, body), ARG.epilogue)


@contextmanager
def if_not_finite(writer: Writer, names: Sequence[str]) -> Iterator[None]:
    """A block that is run where any lane of these vectors is not finite, or their sum is not."""
    writer.line(f"all_of = {' + '.join(names)}")
    test = writer.call("any_lanes", writer.call("is_nan", "all_of - all_of"))
    with writer.block(f"if {test}:"):
        yield


def _sum_directly(writer: Writer, body: Winograd, block: RegisterBlock) -> None:
    """The results of a tile as sums over its windows, each place of them a sum of its own."""
    zero = writer.constant(0.0, FLOAT32, True)
    names = [f"{r}_{p}" for r, p, _ in cells(block)]
    writer.line(f"xi = image * {ARG.x_image} + oy * {ARG.x_row} + ox * {ARG.x_col}")
    for name in names:
        writer.line(f"a{name}_0 = {zero}")
    down, across = (f"for {k} in range({n}):" for k, n in zip(("ky", "kx"), WINDOW, strict=True))
    with writer.block(down), writer.block(across):
        writer.line(f"xk = xi + ky * {ARG.x_row} + kx * {ARG.x_col}")
        writer.line(f"tk = ky * {ARG.t_ky} + kx * {ARG.t_kx} + o")
        for name in names:
            writer.line(f"d{name} = {zero}")
        with writer.block(f"for c in range({ARG.run}):"):
            mask = ["m0"] if body.masked else []
            load = "load_masked" if body.masked else "load"
            writer.line(f"tap = {writer.call(load, ARG.taps, 'tk', *mask)}")
            for r, p, _ in cells(block):
                index = f"xk + {r} * {ARG.x_row} + {p} * {ARG.x_col} + c"
                pixel = writer.call("load_splat", ARG.x, index)
                writer.line(f"d{r}_{p} = {writer.call('fma', pixel, 'tap', f'd{r}_{p}')}")
            writer.line(f"tk += {ARG.t_run}")
        for name in names:
            writer.line(f"a{name}_0 = a{name}_0 + d{name}")


def _result_mask(writer: Writer, body: Winograd) -> MaskOf:
    """Writes the masks of a tile's results: those that the tile before has are not stored again."""
    if not body.overlapping:
        return filter_mask(body.masked)
    writer.line(f"down = oy == row * {TILE}")
    writer.line(f"across = ox == col * {TILE}")
    conditions = {(0, 0): "down and across", (0, 1): "down", (1, 0): "across"}
    for (r, p), condition in conditions.items():
        mask = writer.call("first", f"{ARG.channels} - o if {condition} else 0")
        writer.line(f"new{r}_{p} = {mask}")
    filters = filter_mask(body.masked)

    def mask_of(cell: Cell) -> str | None:
        r, p, _ = cell
        return f"new{r}_{p}" if (r, p) in conditions else filters(cell)

    return mask_of


def _results(m0: str, m1: str, m2: str, m3: str) -> tuple[str, str]:
    """``A'`` times a column."""
    return f"({m0} + {m1} + {m2})", f"({m1} - {m2} - {m3})"
