"""Emits ``PoolingGradient`` kernels: each place of the image is written once it is complete.

Where windows tile the image, all elements of one are compared in registers. Else an image's rows
are opened with zeros when the first window reaches them, added to window by window in a fixed
order, and finished when no later one reaches them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ...ir.types import FLOAT32
from ...loops.arguments import ImageArguments, PoolingGradientArguments
from ...loops.kernel import Epilogue, Kernel
from ..bodies import PoolingGradient, RegisterBlock
from .epilogue import cells, filter_mask, finish_block
from .window import begin_channels, load
from .writer import Writer

ARG = PoolingGradientArguments[str, str].names()

ONE = RegisterBlock(1, 1, 1)


def emit_pooling_gradient(writer: Writer, kernel: Kernel, body: PoolingGradient) -> None:
    """Writes the kernel; each thread takes a contiguous share of window rows, or of images."""
    writer.use("minimum", "maximum")
    writer.unpack(kernel.params)
    if body.rows:
        _tiles(writer, body)
    else:
        _images(writer, body)


def _load(
    writer: Writer, body: PoolingGradient, array: ImageArguments[str, str], row: str, col: str
) -> str:
    return load(writer, body, array.at, _index(array, row, col))


def _index(array: ImageArguments[str, str], row: str, column: str) -> str:
    return f"image * {array.image} + {row} * {array.row} + {column} * {array.col} + channel"


def _every_channel(writer: Writer) -> str:
    return f"for channel in range(0, {ARG.channels}, {writer.lanes}):"


# Windows that tile


def _tiles(writer: Writer, body: PoolingGradient) -> None:
    writer.line(f"units = {ARG.images} * {ARG.window_rows}")
    with writer.units():
        writer.line(f"image = unit // {ARG.window_rows}")
        writer.line(f"at_row = unit % {ARG.window_rows}")
        writer.line(f"below = at_row * {body.rows} + {body.rows}")
        with writer.block(f"for at_col in range({ARG.window_cols}):"):
            writer.line(f"oy = at_row * {body.rows}")
            writer.line(f"ox = at_col * {body.columns}")
            with writer.block(_every_channel(writer)):
                _tile(writer, body)
        writer.line(f"right = {ARG.window_cols} * {body.columns}")
        _nothing(writer, body, f"below - {body.rows}, below", f"right, {ARG.cols}")
        with writer.block(f"if at_row == {ARG.window_rows} - 1:"):
            _nothing(writer, body, f"below, {ARG.rows}", f"0, {ARG.cols}")


def _tile(writer: Writer, body: PoolingGradient) -> None:
    begin_channels(writer, body, ARG)
    block = RegisterBlock(body.rows, body.columns, 1)
    writer.line(f"cotangent = {_load(writer, body, ARG.grad, 'at_row', 'at_col')}")
    if body.combine == "maximum":
        _largest_takes_all(writer, body, block)
    else:
        count = writer.constant(float(body.rows * body.columns), FLOAT32, True)
        for r, p, j in cells(block):
            writer.line(f"a{r}_{p}_{j} = cotangent / {count}")
    finish_block(writer, body.epilogue, block, filter_mask(body.masked), ARG.epilogue)


def _largest_takes_all(writer: Writer, body: PoolingGradient, block: RegisterBlock) -> None:
    """The first element that is not below the largest of its window gets the gradient."""
    zero = writer.constant(0.0, FLOAT32, True)
    writer.line(f"xi = {_index(ARG.x, 'oy', 'ox')}")
    _best(writer, body)
    for r, p, j in cells(block):
        value = load(writer, body, ARG.x.at, f"xi + {r} * {ARG.x.row} + {p} * {ARG.x.col}")
        writer.line(f"hit = ~({value} < best)")
        taking = "hit & ~taken" if (r, p) != (0, 0) else "hit"
        writer.line(f"a{r}_{p}_{j} = {writer.call('select', taking, 'cotangent', zero)}")
        writer.line("taken = taken | hit" if (r, p) != (0, 0) else "taken = hit")


def _best(writer: Writer, body: PoolingGradient) -> None:
    """The largest of one window: infinite where one is NaN, which is not below it either."""
    writer.line(f"best = {_load(writer, body, ARG.pooled, 'at_row', 'at_col')}")
    infinite = writer.constant(math.inf, FLOAT32, True)
    writer.line(f"best = {writer.call('select', 'best != best', infinite, 'best')}")


def _nothing(writer: Writer, body: PoolingGradient, rows: str, columns: str) -> None:
    """Places with gradient 0 (no window covers them, or none so far), and their epilogue."""
    with (
        writer.block(f"for oy in range({rows}):"),
        writer.block(f"for ox in range({columns}):"),
        writer.block(_every_channel(writer)),
    ):
        begin_channels(writer, body, ARG)
        writer.line(f"a0_0_0 = {writer.constant(0.0, FLOAT32, True)}")
        finish_block(writer, body.epilogue, ONE, filter_mask(body.masked), ARG.epilogue)


# Windows that may overlap, reach beyond the image, or leave places out


def _images(writer: Writer, body: PoolingGradient) -> None:
    share = f"{ARG.images} * thread // threads, {ARG.images} * (thread + 1) // threads"
    with writer.block(f"for image in range({share}):"):
        writer.line("opened = 0")
        writer.line("finished = 0")
        with writer.block(f"for at_row in range({ARG.window_rows}):"):
            writer.line(f"top = at_row * {ARG.stride_y} - {ARG.pad_y}")
            # Rows above the next windows are done with; below the last ones none follow.
            more = f"at_row < {ARG.window_rows} - 1"
            writer.line(f"done = top + {ARG.stride_y} if {more} else {ARG.rows}")
            writer.line(f"reached = minimum({ARG.rows}, maximum(top + {ARG.kys}, done))")
            plain = replace(body, epilogue=Epilogue())
            _nothing(writer, plain, "opened, reached", f"0, {ARG.cols}")
            writer.line("opened = maximum(opened, reached)")
            _row_of_windows(writer, body)
            if body.epilogue.block:
                _finish_rows(writer, body)


def _row_of_windows(writer: Writer, body: PoolingGradient) -> None:
    writer.line(f"y_start, y_stop = maximum(0, -top), minimum({ARG.kys}, {ARG.rows} - top)")
    with writer.block(f"for at_col in range({ARG.window_cols}):"):
        writer.line(f"left = at_col * {ARG.stride_x} - {ARG.pad_x}")
        writer.line(f"x_start, x_stop = maximum(0, -left), minimum({ARG.kxs}, {ARG.cols} - left)")
        with writer.block(_every_channel(writer)):
            begin_channels(writer, replace(body, epilogue=Epilogue()), ARG)
            _cotangent(writer, body)
            with (
                writer.block("for oy in range(top + y_start, top + y_stop):"),
                writer.block("for ox in range(left + x_start, left + x_stop):"),
            ):
                _add(writer, body)


def _cotangent(writer: Writer, body: PoolingGradient) -> None:
    """What one window received, and of what it is the gradient."""
    writer.line(f"cotangent = {_load(writer, body, ARG.grad, 'at_row', 'at_col')}")
    if body.combine == "maximum":
        _best(writer, body)
        writer.line(f"free = {writer.call('first', str(writer.lanes))}")
    else:
        count = writer.call("splat", "float32((y_stop - y_start) * (x_stop - x_start))")
        writer.line(f"cotangent = cotangent / {count}")


def _add(writer: Writer, body: PoolingGradient) -> None:
    """Adds to one place what it receives from one window."""
    writer.line(f"so_far = {_load(writer, body, ARG.epilogue.y, 'oy', 'ox')}")
    share = "cotangent"
    if body.combine == "maximum":
        writer.line(f"hit = ~({_load(writer, body, ARG.x, 'oy', 'ox')} < best) & free")
        writer.line("free = free & ~hit")
        share = writer.call("select", "hit", "cotangent", writer.constant(0.0, FLOAT32, True))
    writer.line(f"a0_0_0 = so_far + {share}")
    finish_block(writer, Epilogue(), ONE, filter_mask(body.masked), ARG.epilogue)


def _finish_rows(writer: Writer, body: PoolingGradient) -> None:
    with (
        writer.block(f"for oy in range(finished, minimum({ARG.rows}, done)):"),
        writer.block(f"for ox in range({ARG.cols}):"),
        writer.block(_every_channel(writer)),
    ):
        begin_channels(writer, body, ARG)
        writer.line(f"a0_0_0 = {_load(writer, body, ARG.epilogue.y, 'oy', 'ox')}")
        finish_block(writer, body.epilogue, ONE, filter_mask(body.masked), ARG.epilogue)
    writer.line("finished = maximum(finished, done)")
