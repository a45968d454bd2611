"""Emits ``Transpose`` kernels: transposes, a square of lanes by lanes in registers at a time."""

from __future__ import annotations

from ...loops.kernel import Kernel
from ..arguments import TransposeArguments
from ..bodies import Transpose
from .writer import Writer

ARG = TransposeArguments[str, str].names()


def emit_transpose(writer: Writer, kernel: Kernel, body: Transpose) -> None:
    """Writes the kernel; each thread takes a contiguous share of the squares."""
    writer.unpack(kernel.params)
    lanes = writer.lanes
    writer.line(f"row_squares = ({ARG.rows} + {lanes - 1}) // {lanes}")
    writer.line(f"col_squares = ({ARG.cols} + {lanes - 1}) // {lanes}")
    writer.line(f"units = {ARG.n0} * {ARG.n1} * {ARG.n2} * row_squares * col_squares")
    with writer.units():
        writer.line(f"row = unit % row_squares * {lanes}")
        writer.line(f"col = unit // row_squares % col_squares * {lanes}")
        writer.line("outer = unit // row_squares // col_squares")
        writer.line(f"i0 = outer // {ARG.n2} // {ARG.n1}")
        writer.line(f"i1 = outer // {ARG.n2} % {ARG.n1}")
        writer.line(f"i2 = outer % {ARG.n2}")
        writer.line(f"xi = i0 * {ARG.x0} + i1 * {ARG.x1} + i2 * {ARG.x2} + row * {ARG.x_row} + col")
        writer.line(f"yi = i0 * {ARG.y0} + i1 * {ARG.y1} + i2 * {ARG.y2} + col * {ARG.y_col} + row")
        read = (ARG.x, "xi", ARG.x_row, f"{ARG.rows} - row")
        write = (ARG.y, "yi", ARG.y_col, f"{ARG.cols} - col")
        writer.line(writer.call("transpose", *read, *write))
