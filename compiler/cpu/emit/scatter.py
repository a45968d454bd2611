"""Emits ``Scatter`` kernels: rows added to a table, by each thread to its own share of it.

A thread reads all integers and adds, in their order, the rows that fall in its share. So a row is
the same sum for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...loops.arguments import ScatterArguments
from ...loops.kernel import Kernel
from ..bodies import Scatter
from .writer import Writer

ARG = ScatterArguments[str, str].names()

VECTORS = ("masked", "whole")


def emit_scatter(writer: Writer, kernel: Kernel, body: Scatter) -> None:
    """Writes the kernel; threads share the tables, or where there is one its rows."""
    writer.unpack(kernel.params)
    shared = ARG.tables if body.by_table else ARG.size
    writer.line(f"start = {shared} * thread // threads")
    writer.line(f"stop = {shared} * (thread + 1) // threads")
    tables, first, last = "1", "start", "stop"
    if body.by_table:
        tables, first, last = "start, stop", "0", ARG.size
    with writer.block(f"for table in range({tables}):"):
        writer.line(f"from_row, to_row = {first}, {last}")
        with (
            writer.block("for row in range(from_row, to_row):"),
            _row(writer, body, f"table * {ARG.size} + row"),
        ):
            _put(writer, body, writer.constant(0.0, body.dtype, body.row in VECTORS))
        with writer.block(f"for at in range({ARG.count}):"):
            writer.line(f"named = int64({writer.call('get', ARG.picks, 'at')})")
            row = f"named + {ARG.size} if named < 0 else named" if body.from_end else "named"
            writer.line(f"row = {row}")
            with writer.block("if from_row <= row < to_row:"):
                writer.line(f"xi = (table * {ARG.count} + at) * {ARG.width}")
                with _row(writer, body, f"table * {ARG.size} + row"):
                    so_far, more = (_get(writer, body, p) for p in (ARG.y, ARG.x))
                    _put(writer, body, f"{so_far} + {more}")


@contextmanager
def _row(writer: Writer, body: Scatter, row: str) -> Iterator[None]:
    """Around what is done for each vector of a row of ``y``."""
    writer.line(f"yi = ({row}) * {ARG.width}")
    if body.row == "one":
        writer.line("at_column = 0")
        yield
        return
    step = writer.lanes if body.row in VECTORS else 1
    with writer.block(f"for at_column in range(0, {ARG.width}, {step}):"):
        if body.row == "masked":
            writer.line(f"mask = {writer.call('first', f'{ARG.width} - at_column')}")
        yield


def _get(writer: Writer, body: Scatter, pointer: str) -> str:
    index = f"{pointer}i + at_column"
    if body.row not in VECTORS:
        return writer.call("get", pointer, index)
    if body.row == "masked":
        return writer.call("load_masked", pointer, index, "mask")
    return writer.call("load", pointer, index)


def _put(writer: Writer, body: Scatter, value: str) -> None:
    if body.row not in VECTORS:
        # Numba adds small integers in 64 bits.
        writer.line(writer.call("put", ARG.y, "yi + at_column", f"{body.dtype.name}({value})"))
    elif body.row == "masked":
        writer.line(writer.call("store_masked", ARG.y, "yi + at_column", value, "mask"))
    else:
        writer.line(writer.call("store", ARG.y, "yi + at_column", value))
