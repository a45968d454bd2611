"""Emits ``SlidingWindow`` kernels: depthwise convolution and pooling, by vectors of channels."""

from __future__ import annotations

from typing import TypeAlias

from ...ir.types import FLOAT32
from ...loops.arguments import PoolingGradientArguments
from ...loops.kernel import Kernel
from ..arguments import DepthwiseArguments, PoolArguments
from ..bodies import DepthwiseKernelGradient, PoolingGradient, RegisterBlock, SlidingWindow
from .epilogue import filter_mask, finish_block
from .writer import Writer

DOT = DepthwiseArguments[str, str].names()
POOL = PoolArguments[str, str].names()
Channelwise: TypeAlias = (
    "DepthwiseArguments[str, str] | PoolArguments[str, str] | PoolingGradientArguments[str, str]"
)


def emit_window(writer: Writer, kernel: Kernel, body: SlidingWindow) -> None:
    """Writes the kernel; each thread takes a contiguous share of the output rows."""
    writer.use("minimum", "maximum")
    writer.unpack(kernel.params)
    arg: Channelwise = DOT if body.combine == "dot" else POOL
    writer.line(f"units = {arg.images} * {arg.rows}")
    with writer.units():
        writer.line(f"image = unit // {arg.rows}")
        writer.line(f"oy = unit % {arg.rows}")
        if body.combine == "dot":
            _dot_row(writer, body)
        else:
            _pool_row(writer, body)


def begin_channels(writer: Writer, body: SlidingWindow | PoolingGradient, arg: Channelwise) -> None:
    """What varies with the vector of channels: its mask and the epilogue's operands."""
    if body.masked:
        writer.line(f"m0 = {writer.call('first', f'{arg.channels} - channel')}")
    for operand in body.epilogue.loads:
        if operand.kind == "channel":
            writer.line(f"{operand.name}_0 = {load(writer, body, operand.pointer, 'channel')}")
        elif operand.kind == "scalar":
            writer.line(f"{operand.name} = {writer.call('load_splat', operand.pointer, '0')}")


def load(
    writer: Writer,
    body: SlidingWindow | PoolingGradient | DepthwiseKernelGradient,
    pointer: str,
    index: str,
) -> str:
    """The text of a vector load, masked where the channels are no whole number of vectors."""
    if body.masked:
        return writer.call("load_masked", pointer, index, "m0")
    return writer.call("load", pointer, index)


def _dot_row(writer: Writer, body: SlidingWindow) -> None:
    block = RegisterBlock(1, body.columns, 1)
    with writer.block(f"for channel in range(0, {DOT.channels}, {writer.lanes}):"):
        begin_channels(writer, body, DOT)
        if body.bias:
            writer.line(f"b0 = {load(writer, body, DOT.epilogue.bias, 'channel')}")
        with writer.block(f"for start in range(0, {DOT.cols}, {body.columns}):"):
            writer.line(f"ox = minimum(start, {DOT.cols} - {body.columns})")
            first = "b0" if body.bias else writer.constant(0.0, FLOAT32, True)
            for p in range(body.columns):
                writer.line(f"a0_{p}_0 = {first}")
            place = f"image * {DOT.x_image} + oy * {DOT.x_row} + ox * {DOT.x_col}"
            writer.line(f"xi = {place} + channel")
            writer.line("wi = channel")
            with writer.block(f"for ky in range({DOT.kys}):"):
                _multiply(writer, body)
            finish_block(writer, body.epilogue, block, filter_mask(body.masked), DOT.epilogue)


def _multiply(writer: Writer, body: SlidingWindow) -> None:
    """One kernel row; neighbouring outputs share the input columns they both see."""
    for kx in range(body.width):
        offset = f" + {kx} * {DOT.channels}" if kx else ""
        writer.line(f"w{kx} = {load(writer, body, DOT.w, f'wi{offset}')}")
    uses: dict[int, list[tuple[int, int]]] = {}
    for p in range(body.columns):
        for kx in range(body.width):
            uses.setdefault(p * body.stride + kx * body.dilation, []).append((p, kx))
    for column in sorted(uses):
        offset = f" + {column} * {DOT.x_pixel}" if column else ""
        writer.line(f"v = {load(writer, body, DOT.x, f'xi{offset}')}")
        for p, kx in uses[column]:
            writer.line(f"a0_{p}_0 = {writer.call('fma', 'v', f'w{kx}', f'a0_{p}_0')}")
    writer.line(f"xi += {DOT.x_ky}")
    writer.line(f"wi += {body.width} * {DOT.channels}")


def _pool_row(writer: Writer, body: SlidingWindow) -> None:
    writer.line(f"top = oy * {POOL.stride_y} - {POOL.pad_y}")
    writer.line(f"y_start, y_stop = maximum(0, -top), minimum({POOL.kys}, {POOL.height} - top)")
    with writer.block(f"for ox in range({POOL.cols}):"):
        writer.line(f"left = ox * {POOL.stride_x} - {POOL.pad_x}")
        stop = f"minimum({POOL.kxs}, {POOL.breadth} - left)"
        writer.line(f"x_start, x_stop = maximum(0, -left), {stop}")
        if body.combine == "mean":
            count = writer.call("splat", "float32((y_stop - y_start) * (x_stop - x_start))")
            writer.line(f"count = {count}")
        with writer.block(f"for channel in range(0, {POOL.channels}, {writer.lanes}):"):
            begin_channels(writer, body, POOL)
            start = float("-inf") if body.combine == "maximum" else 0.0
            writer.line(f"a0_0_0 = {writer.constant(start, FLOAT32, True)}")
            _pool_window(writer, body)
            if body.combine == "mean":
                writer.line("a0_0_0 = a0_0_0 / count")
            mask = filter_mask(body.masked)
            finish_block(writer, body.epilogue, RegisterBlock(1, 1, 1), mask, POOL.epilogue)


def _pool_window(writer: Writer, body: SlidingWindow) -> None:
    with writer.block("for ky in range(y_start, y_stop):"):
        line = f"image * {POOL.x_image} + (top + ky) * {POOL.x_line}"
        writer.line(f"xi = {line} + left * {POOL.x_pixel} + channel")
        with writer.block("for kx in range(x_start, x_stop):"):
            value = load(writer, body, POOL.x, f"xi + kx * {POOL.x_pixel}")
            if body.combine == "maximum":
                writer.line(f"a0_0_0 = {writer.call('maximum', 'a0_0_0', value)}")
            else:
                writer.line(f"a0_0_0 = a0_0_0 + {value}")
