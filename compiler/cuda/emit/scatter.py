"""Emits ``GridScatter`` kernels: each element of the table sums what the integers send to it.

A thread reads all integers and adds in their order, so a row is the same sum on every run.
"""

from __future__ import annotations

from ...loops.arguments import ScatterArguments
from ...loops.kernel import Kernel
from ..bodies import GridScatter
from .writer import Writer

ARG = ScatterArguments[str, str].names()


def emit_scatter(writer: Writer, kernel: Kernel, body: GridScatter) -> None:
    """Writes the kernel: neighbouring threads compute neighbours in a row."""
    writer.unpack(kernel.params)
    writer.line(f"units = {ARG.tables} * {ARG.size} * {ARG.width}")
    with writer.units():
        extents = (("table", ARG.tables), ("row", ARG.size), ("column", ARG.width))
        writer.decode("unit", extents)
        writer.line(f"total = {writer.constant(0.0, body.dtype)}")
        with writer.block(f"for at in range({ARG.count}):"):
            writer.line(f"named = int64({writer.call('get', ARG.picks, 'at')})")
            if body.from_end:
                writer.line(f"named = named + {ARG.size} if named < 0 else named")
            with writer.block("if named == row:"):
                index = f"(table * {ARG.count} + at) * {ARG.width} + column"
                more = writer.call("get", ARG.x, index)
                # Numba adds small integers in 64 bits.
                writer.line(f"total = {body.dtype.computed.name}(total + {more})")
        writer.line(writer.call("put", ARG.y, "unit", "total"))
