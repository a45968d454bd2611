"""Emits ``HaloFill`` kernels: the zeros around images that padded convolutions read."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..arguments import HaloFillArguments
from ..bodies import HaloFill
from .writer import Writer

ARG = HaloFillArguments[str, str].names()


def emit_halo_fill(writer: Writer, kernel: Kernel, body: HaloFill) -> None:
    """Writes the kernel: ``y`` points at the padded image's first element; rows are contiguous."""
    writer.unpack(kernel.params)
    writer.line(f"value = {writer.constant(body.value, FLOAT32, False)}")
    writer.line(f"units = {ARG.images} * {ARG.height}")
    with writer.units():
        writer.line(f"line = unit % {ARG.height}")
        writer.line(f"at = unit // {ARG.height} * {ARG.image} + line * {ARG.row}")
        with writer.block(f"if line < {ARG.top} or line >= {ARG.height} - {ARG.bottom}:"):
            _fill(writer, "at", ARG.row)
        with writer.block("else:"):
            _fill(writer, "at", ARG.left)
            _fill(writer, f"at + {ARG.row} - {ARG.right}", ARG.right)


def _fill(writer: Writer, start: str, count: str) -> None:
    with writer.block(f"for i in range({count}):"):
        writer.line(writer.call("put", ARG.y, f"{start} + i", "value"))
