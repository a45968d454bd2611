"""Emits ``DepthwiseKernelGradient`` kernels, a vector of channels at a time."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..arguments import DepthwiseKernelGradientArguments
from ..bodies import DepthwiseKernelGradient
from .window import load
from .writer import Writer

ARG = DepthwiseKernelGradientArguments[str, str].names()

# A multiply-add waits for the one before it in its sum: so many sums must be under way.
MIN_CHAINS = 8


def emit_depthwise_kernel_gradient(
    writer: Writer, kernel: Kernel, body: DepthwiseKernelGradient
) -> None:
    """Writes the kernel; each thread takes a share of (split, rows of the window, vector) units."""
    writer.use("minimum")
    writer.unpack(kernel.params)
    zero = writer.constant(0.0, FLOAT32, True)
    writer.line(f"vectors = ({ARG.channels} + {writer.lanes - 1}) // {writer.lanes}")
    writer.line(f"bands = {ARG.kys} // {body.rows}")
    writer.line(f"units = {ARG.image_splits} * {ARG.line_splits} * bands * vectors")
    with writer.units():
        writer.line(f"channel = unit % vectors * {writer.lanes}")
        writer.line(f"ky = unit // vectors % bands * {body.rows}")
        writer.line("split = unit // vectors // bands")
        if body.masked:
            writer.line(f"m0 = {writer.call('first', f'{ARG.channels} - channel')}")
        for row in range(body.rows):
            for kx in range(body.width):
                for chain in range(_chains(body)):
                    writer.line(f"a{row}_{kx}_{chain} = {zero}")
        _images(writer, body)
        writer.line(f"yi = (split * {ARG.kys} + ky) * {body.width} * {ARG.channels} + channel")
        for row in range(body.rows):
            for kx in range(body.width):
                _store(writer, body, row, kx)


def _chains(body: DepthwiseKernelGradient) -> int:
    """Sums that each element is made of, so that additions need not wait for each other."""
    return max(1, min(body.columns, MIN_CHAINS // (body.rows * body.width)))


def _images(writer: Writer, body: DepthwiseKernelGradient) -> None:
    """All lines of a split."""
    writer.line(f"image = split // {ARG.line_splits} * {ARG.split_images}")
    writer.line(f"line = split % {ARG.line_splits} * {ARG.split_lines}")
    writer.line(f"last_image = minimum(image + {ARG.split_images}, {ARG.images})")
    writer.line(f"last_line = minimum(line + {ARG.split_lines}, {ARG.lines})")
    writer.line(f"whole = {ARG.cols} // {body.columns} * {body.columns}")
    with (
        writer.block("for n in range(image, last_image):"),
        writer.block("for oy in range(line, last_line):"),
    ):
        writer.line(f"xi = n * {ARG.x_image} + oy * {ARG.x_row} + ky * {ARG.x_ky} + channel")
        writer.line(f"gi = n * {ARG.w_image} + oy * {ARG.w_row} + channel")
        with writer.block(f"for ox in range(0, whole, {body.columns}):"):
            _multiply(writer, body, body.columns)
        with writer.block(f"for ox in range(whole, {ARG.cols}):"):
            _multiply(writer, body, 1)


def _multiply(writer: Writer, body: DepthwiseKernelGradient, columns: int) -> None:
    """Some positions of a line; neighbours share the columns of the image they both see."""
    writer.line(f"go = gi + ox * {ARG.w_col}")
    for p in range(columns):
        writer.line(f"g{p} = {load(writer, body, ARG.w, f'go + {p} * {ARG.w_col}')}")
    uses: dict[int, list[tuple[int, int]]] = {}
    for p in range(columns):
        for kx in range(body.width):
            uses.setdefault(p * body.stride + kx * body.dilation, []).append((p, kx))
    for row in range(body.rows):
        writer.line(f"xo = xi + ox * {ARG.x_col} + {row} * {ARG.x_ky}")
        for column in sorted(uses):
            writer.line(f"v = {load(writer, body, ARG.x, f'xo + {column} * {ARG.x_pixel}')}")
            for p, kx in uses[column]:
                name = f"a{row}_{kx}_{p % _chains(body)}"
                writer.line(f"{name} = {writer.call('fma', 'v', f'g{p}', name)}")


def _store(writer: Writer, body: DepthwiseKernelGradient, row: int, kx: int) -> None:
    total = " + ".join(f"a{row}_{kx}_{chain}" for chain in range(_chains(body)))
    index = f"yi + {row * body.width + kx} * {ARG.channels}"
    if body.masked:
        writer.line(writer.call("store_masked", ARG.y, index, total, "m0"))
    else:
        writer.line(writer.call("store", ARG.y, index, total))
