"""Emits ``Slide`` kernels: depthwise convolution and pooling, a vector of channels at a time."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..bodies import RegisterBlock, Slide, Unpool, WindowSum
from .epilogue import filter_mask, finish_block
from .writer import Writer


def emit_slide(writer: Writer, kernel: Kernel, body: Slide) -> None:
    """Writes the kernel; each thread takes a contiguous share of the output rows."""
    writer.use("minimum", "maximum")
    writer.unpack(kernel.params)
    writer.line("units = images * rows")
    with writer.units():
        writer.line("image = unit // rows")
        writer.line("oy = unit % rows")
        if body.combine == "dot":
            _dot_row(writer, body)
        else:
            _pool_row(writer, body)


def begin_channels(writer: Writer, body: Slide | Unpool) -> None:
    """What varies with the vector of channels: its mask and the epilogue's operands."""
    if body.masked:
        writer.line(f"m0 = {writer.call('first', 'channels - channel')}")
    for operand in body.epilogue.loads:
        if operand.kind == "channel":
            writer.line(f"{operand.name}_0 = {load(writer, body, operand.pointer, 'channel')}")
        elif operand.kind == "scalar":
            writer.line(f"{operand.name} = {writer.call('load_splat', operand.pointer, '0')}")


def load(writer: Writer, body: Slide | Unpool | WindowSum, pointer: str, index: str) -> str:
    """The text of a vector load, masked where the channels are no whole number of vectors."""
    if body.masked:
        return writer.call("load_masked", pointer, index, "m0")
    return writer.call("load", pointer, index)


def _dot_row(writer: Writer, body: Slide) -> None:
    block = RegisterBlock(1, body.columns, 1)
    with writer.block(f"for channel in range(0, channels, {writer.lanes}):"):
        begin_channels(writer, body)
        if body.bias:
            writer.line(f"b0 = {load(writer, body, 'bias', 'channel')}")
        with writer.block(f"for start in range(0, cols, {body.columns}):"):
            writer.line(f"ox = minimum(start, cols - {body.columns})")
            first = "b0" if body.bias else writer.constant(0.0, FLOAT32, True)
            for p in range(body.columns):
                writer.line(f"a0_{p}_0 = {first}")
            writer.line("xi = image * x_image + oy * x_row + ox * x_col + channel")
            writer.line("wi = channel")
            with writer.block("for ky in range(kys):"):
                _multiply(writer, body)
            finish_block(writer, body.epilogue, block, filter_mask(body.masked))


def _multiply(writer: Writer, body: Slide) -> None:
    """One kernel row; neighbouring outputs share the input columns they both see."""
    for kx in range(body.width):
        offset = f" + {kx} * channels" if kx else ""
        writer.line(f"w{kx} = {load(writer, body, 'w', f'wi{offset}')}")
    uses: dict[int, list[tuple[int, int]]] = {}
    for p in range(body.columns):
        for kx in range(body.width):
            uses.setdefault(p * body.stride + kx * body.dilation, []).append((p, kx))
    for column in sorted(uses):
        offset = f" + {column} * x_pixel" if column else ""
        writer.line(f"v = {load(writer, body, 'x', f'xi{offset}')}")
        for p, kx in uses[column]:
            writer.line(f"a0_{p}_0 = {writer.call('fma', 'v', f'w{kx}', f'a0_{p}_0')}")
    writer.line("xi += x_ky")
    writer.line(f"wi += {body.width} * channels")


def _pool_row(writer: Writer, body: Slide) -> None:
    writer.line("top = oy * stride_y - pad_y")
    writer.line("y_start, y_stop = maximum(0, -top), minimum(kys, height - top)")
    with writer.block("for ox in range(cols):"):
        writer.line("left = ox * stride_x - pad_x")
        writer.line("x_start, x_stop = maximum(0, -left), minimum(kxs, breadth - left)")
        if body.combine == "mean":
            count = writer.call("splat", "float32((y_stop - y_start) * (x_stop - x_start))")
            writer.line(f"count = {count}")
        with writer.block(f"for channel in range(0, channels, {writer.lanes}):"):
            begin_channels(writer, body)
            start = float("-inf") if body.combine == "maximum" else 0.0
            writer.line(f"a0_0_0 = {writer.constant(start, FLOAT32, True)}")
            _pool_window(writer, body)
            if body.combine == "mean":
                writer.line("a0_0_0 = a0_0_0 / count")
            finish_block(writer, body.epilogue, RegisterBlock(1, 1, 1), filter_mask(body.masked))


def _pool_window(writer: Writer, body: Slide) -> None:
    with writer.block("for ky in range(y_start, y_stop):"):
        writer.line("xi = image * x_image + (top + ky) * x_line + left * x_pixel + channel")
        with writer.block("for kx in range(x_start, x_stop):"):
            value = load(writer, body, "x", "xi + kx * x_pixel")
            if body.combine == "maximum":
                writer.line(f"a0_0_0 = {writer.call('maximum', 'a0_0_0', value)}")
            else:
                writer.line(f"a0_0_0 = a0_0_0 + {value}")
