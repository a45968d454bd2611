"""Emits ``Turn`` kernels: transposes, a square of lanes by lanes in registers at a time."""

from __future__ import annotations

from ...loops.kernel import Kernel
from ..bodies import Turn
from .writer import Writer


def emit_turn(writer: Writer, kernel: Kernel, body: Turn) -> None:
    """Writes the kernel; each thread takes a contiguous share of the squares."""
    writer.unpack(kernel.params)
    lanes = writer.lanes
    writer.line(f"row_tiles = (rows + {lanes - 1}) // {lanes}")
    writer.line(f"col_tiles = (cols + {lanes - 1}) // {lanes}")
    writer.line("units = n0 * n1 * n2 * row_tiles * col_tiles")
    with writer.units():
        writer.line(f"row = unit % row_tiles * {lanes}")
        writer.line(f"col = unit // row_tiles % col_tiles * {lanes}")
        writer.line("outer = unit // row_tiles // col_tiles")
        writer.line("i0 = outer // n2 // n1")
        writer.line("i1 = outer // n2 % n1")
        writer.line("i2 = outer % n2")
        writer.line("xi = i0 * x0 + i1 * x1 + i2 * x2 + row * x_row + col")
        writer.line("yi = i0 * y0 + i1 * y1 + i2 * y2 + col * y_col + row")
        read, write = ("x", "xi", "x_row", "rows - row"), ("y", "yi", "y_col", "cols - col")
        writer.line(writer.call("turn", *read, *write))
