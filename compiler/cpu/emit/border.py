"""Emits ``Border`` kernels: the zeros around images that padded convolutions read."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..bodies import Border
from .writer import Writer


def emit_border(writer: Writer, kernel: Kernel, body: Border) -> None:
    """Writes the kernel: ``y`` points at the padded image's first element; rows are contiguous."""
    writer.unpack(kernel.params)
    writer.line(f"value = {writer.constant(body.value, FLOAT32, False)}")
    writer.line("units = images * height")
    with writer.units():
        writer.line("line = unit % height")
        writer.line("at = unit // height * image + line * row")
        with writer.block("if line < top or line >= height - bottom:"):
            _fill(writer, "at", "row")
        with writer.block("else:"):
            _fill(writer, "at", "left")
            _fill(writer, "at + row - right", "right")


def _fill(writer: Writer, start: str, count: str) -> None:
    with writer.block(f"for i in range({count}):"):
        writer.line(writer.call("put", "y", f"{start} + i", "value"))
