"""Emits kernels of windows over images: depthwise convolution, pooling, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ...ir.types import FLOAT32
from ...loops.arguments import ImageArguments, PoolingGradientArguments
from ...loops.kernel import Kernel
from ..arguments import (
    GridDepthwiseKernelGradientArguments,
    GridWindowArguments,
)
from ..bodies import GridDepthwiseKernelGradient, GridPoolingGradient, GridWindow
from .epilogue import finish_element, read_channel
from .writer import Writer

WINDOW = GridWindowArguments[str, str].names()
POOLING = PoolingGradientArguments[str, str].names()
FILTERS = GridDepthwiseKernelGradientArguments[str, str].names()
ELEMENT = ("image", "oy", "ox", "channel")


def emit_window(writer: Writer, kernel: Kernel, body: GridWindow) -> None:
    """Writes the kernel: neighbouring threads compute neighbouring channels."""
    arg = WINDOW
    writer.unpack(kernel.params)
    with _units(writer, ELEMENT, (arg.images, arg.rows, arg.cols, arg.channels)):
        read_channel(writer, body.epilogue)
        writer.line(f"top_line = oy * {arg.stride_y} - {arg.top}")
        writer.line(f"left_pixel = ox * {arg.stride_x} - {arg.left}")
        _start_window(writer, body)
        with (
            _inside(writer, "ky", arg.kys, f"top_line + ky * {arg.step_y}", "iy", arg.height),
            _inside(writer, "kx", arg.kxs, f"left_pixel + kx * {arg.step_x}", "ix", arg.breadth),
        ):
            place = f"image * {arg.x_image} + iy * {arg.x_line} + ix * {arg.x_pixel} + channel"
            writer.line(f"value = {writer.call('get', arg.x, place)}")
            _take(writer, body)
        if body.combine == "mean":
            writer.line("acc = acc / count")
        finish_element(writer, body.epilogue, ["acc"], arg.epilogue)


def _start_window(writer: Writer, body: GridWindow) -> None:
    start = writer.constant(-math.inf if body.combine == "maximum" else 0.0, FLOAT32)
    if body.bias:
        start = writer.call("get", WINDOW.epilogue.bias, "channel")
    writer.line(f"acc = {start}")
    if body.combine == "mean":
        writer.line(f"count = {writer.constant(0.0, FLOAT32)}")


def _take(writer: Writer, body: GridWindow) -> None:
    """Takes in one element of the window."""
    match body.combine:
        case "maximum":
            writer.line(f"acc = {writer.call('maximum', 'acc', 'value')}")
        case "mean":
            writer.line("acc = acc + value")
            writer.line(f"count = count + {writer.constant(1.0, FLOAT32)}")
        case _:
            index = f"(ky * {WINDOW.kxs} + kx) * {WINDOW.channels} + channel"
            weight = writer.call("get", WINDOW.w, index)
            writer.line(f"acc = {writer.call('fma', 'value', weight, 'acc')}")


# Gradients


def emit_pooling_gradient(writer: Writer, kernel: Kernel, body: GridPoolingGradient) -> None:
    """Writes the kernel: an element goes through the windows that hold it."""
    arg = POOLING
    writer.use("minimum", "maximum")
    writer.unpack(kernel.params)
    with _units(writer, ELEMENT, (arg.images, arg.rows, arg.cols, arg.channels)):
        read_channel(writer, body.epilogue)
        writer.line(f"acc = {writer.constant(0.0, FLOAT32)}")
        if body.combine == "maximum":
            writer.line(f"own = {_read(writer, arg.x, 'oy', 'ox')}")
        with (
            _holding(writer, "at_row", "oy", arg.pad_y, arg.kys, arg.stride_y, arg.window_rows),
            _holding(writer, "at_col", "ox", arg.pad_x, arg.kxs, arg.stride_x, arg.window_cols),
        ):
            _bounds(writer)
            writer.line(f"cotangent = {_read(writer, arg.grad, 'at_row', 'at_col')}")
            if body.combine == "maximum":
                _largest_takes_all(writer)
            else:
                writer.line("acc = acc + cotangent / float32((below - above) * (after - before))")
        finish_element(writer, body.epilogue, ["acc"], arg.epilogue)


@contextmanager
def _holding(
    writer: Writer, name: str, place: str, padding: str, size: str, stride: str, count: str
) -> Iterator[None]:
    """A loop over the windows that hold ``place``, along one axis."""
    first = f"maximum(0, ({place} + {padding} - {size} + {stride}) // {stride})"
    last = f"minimum({count}, ({place} + {padding}) // {stride} + 1)"
    with writer.block(f"for {name} in range({first}, {last}):"):
        yield


def _bounds(writer: Writer) -> None:
    """Of the window, as far as it is inside the image."""
    arg = POOLING
    writer.line(f"above = maximum(0, at_row * {arg.stride_y} - {arg.pad_y})")
    writer.line(f"below = minimum({arg.rows}, at_row * {arg.stride_y} - {arg.pad_y} + {arg.kys})")
    writer.line(f"before = maximum(0, at_col * {arg.stride_x} - {arg.pad_x})")
    writer.line(f"after = minimum({arg.cols}, at_col * {arg.stride_x} - {arg.pad_x} + {arg.kxs})")


def _largest_takes_all(writer: Writer) -> None:
    """The first element that is not below the largest of its window gets the gradient.

    The largest is infinite where one is NaN, which is not below it either.
    """
    writer.line(f"best = {_read(writer, POOLING.pooled, 'at_row', 'at_col')}")
    writer.line(f"best = {writer.constant(math.inf, FLOAT32)} if best != best else best")
    with writer.block("if not own < best:"):
        writer.line("earlier = 0")
        with writer.block("for iy in range(above, oy + 1):"):
            writer.line("stop = ox if iy == oy else after")
            with writer.block("for ix in range(before, stop):"):
                value = _read(writer, POOLING.x, "iy", "ix")
                writer.line(f"earlier += 0 if {value} < best else 1")
        writer.line(f"acc = acc + (cotangent if earlier == 0 else {writer.constant(0.0, FLOAT32)})")


def _read(writer: Writer, array: ImageArguments[str, str], row: str, col: str) -> str:
    index = f"image * {array.image} + {row} * {array.row} + {col} * {array.col} + channel"
    return writer.call("get", array.at, index)


def emit_depthwise_kernel_gradient(
    writer: Writer, kernel: Kernel, body: GridDepthwiseKernelGradient
) -> None:
    """Writes the kernel: neighbouring threads sum for neighbouring channels."""
    arg = FILTERS
    writer.unpack(kernel.params)
    zero = writer.constant(0.0, FLOAT32)
    with _units(writer, ("ky", "kx", "channel"), (arg.kys, arg.kxs, arg.channels)):
        writer.line(f"acc = {zero}")
        writer.line(f"lost = {zero}")
        with (
            writer.block(f"for image in range({arg.images}):"),
            _inside(
                writer, "oy", arg.lines, _place("oy", "ky", arg.stride_y, arg.step_y, arg.top),
                "iy", arg.height,
            ),
        ):  # fmt: skip
            writer.line(f"xi = image * {arg.x_image} + iy * {arg.x_line} + channel")
            writer.line(f"wi = image * {arg.w_image} + oy * {arg.w_line} + channel")
            writer.line(f"part = {zero}")
            place = _place("ox", "kx", arg.stride_x, arg.step_x, arg.left)
            with _inside(writer, "ox", arg.cols, place, "ix", arg.breadth):
                x = writer.call("get", arg.x, f"xi + ix * {arg.x_pixel}")
                w = writer.call("get", arg.w, f"wi + ox * {arg.w_pixel}")
                writer.line(f"part = {writer.call('fma', x, w, 'part')}")
            writer.line(f"lost = lost + {writer.call('sum_error', 'acc', 'part')}")
            writer.line("acc = acc + part")
        writer.line(writer.call("put", arg.y, "unit", "acc + lost"))


def _place(position: str, at: str, stride: str, step: str, padding: str) -> str:
    return f"{position} * {stride} + {at} * {step} - {padding}"


# Loops


@contextmanager
def _units(writer: Writer, names: tuple[str, ...], extents: tuple[str, ...]) -> Iterator[None]:
    writer.line(f"units = {' * '.join(extents)}")
    with writer.units():
        writer.decode("unit", tuple(zip(names, extents, strict=True)))
        yield


@contextmanager
def _inside(
    writer: Writer, index: str, count: str, place: str, name: str, size: str
) -> Iterator[None]:
    """A loop over ``index`` where the ``place`` that it leads to, called ``name``, is inside."""
    with writer.block(f"for {index} in range({count}):"):
        writer.line(f"{name} = {place}")
        with writer.block(f"if 0 <= {name} < {size}:"):
            yield
