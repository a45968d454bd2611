"""Emits ``Pack`` kernels: a matrix in the order in which contractions stream it."""

from __future__ import annotations

from ...loops.kernel import Kernel
from ..bodies import Pack
from .writer import Writer


def emit_pack(writer: Writer, kernel: Kernel, body: Pack) -> None:
    """Writes the kernel; each thread takes a contiguous share of the panels."""
    writer.unpack(kernel.params)
    writer.line("panels = (channels + width - 1) // width")
    writer.line("units = batch * groups * panels")
    with writer.units():
        writer.line("panel = unit % panels")
        writer.line("matrix = unit // panels")
        writer.line("row = groups * channels")
        writer.line("xi = matrix // groups * depth * row + matrix % groups * channels")
        writer.line("xi += panel * width")
        writer.line("yi = unit * depth * width")
        with writer.block("for k in range(depth):"):
            with writer.block(f"for j in range(0, width, {writer.lanes}):"):
                mask = writer.call("first", "channels - panel * width - j")
                value = writer.call("load_masked", "x", "xi + j", mask)
                writer.line(writer.call("store", "y", "yi + j", value))
            writer.line("xi += row")
            writer.line("yi += width")
