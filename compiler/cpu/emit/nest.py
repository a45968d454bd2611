"""Emits ``Nest`` kernels: elementwise chains, reductions, normalisations, data movement.

With a vector axis, a full step handles ``LANES`` neighbours and the last one is masked; values
reduced along the vector axis are scalars from then on. Without, the same code is scalar.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...loops.kernel import Axis, Gathered, Kernel, Nest
from ...loops.scalar_place import read_numbers
from .nest_place import Place
from .nest_sweeps import Sweeps
from .writer import Writer

# Elements of the innermost axis that one unit of parallel work covers, in vectors.
BLOCK_VECTORS = 64
# Rows of a table are prefetched so many before they are read, by lines of so many float32.
ROWS_AHEAD = 8
LINE = 16


def emit_nest(writer: Writer, kernel: Kernel, body: Nest) -> None:
    """Writes the kernel; each thread takes a contiguous share of the parallel units."""
    writer.unpack(kernel.params)
    emitter = NestEmitter(writer, body)
    emitter.emit()


class NestEmitter:
    """Writes the loops over parallel units, and in each its stages."""

    def __init__(self, writer: Writer, body: Nest) -> None:
        self.writer = writer
        self.body = body
        self.place = Place(writer, body)
        self.sweeps = Sweeps(writer, body, self.place)
        self.unit_vector = None if self.sweeps.sweep_vector else body.vector
        self.place.vector = self.unit_vector

    def emit(self) -> None:
        writer, axes = self.writer, self.body.parallel
        read_numbers(writer, self.body)
        outer, rows, inner = self._split()
        if rows is not None and inner is not None:
            least = writer.call("maximum", "1", f"{self._block_size()} // {inner.extent}")
            writer.line(f"{rows.name}_block = {least}")
        counts = [*(a.extent for a in outer), *self._row_blocks(rows), *self._blocks(inner)]
        writer.line(f"units = {' * '.join(counts) or 1}")
        with writer.units():
            self._decode(outer, rows, inner)
            if inner is None:
                self._stages()
                return
            self._row_loop(rows, inner)
        assert axes or inner is None

    def _split(self) -> tuple[tuple[Axis, ...], Axis | None, Axis | None]:
        """The axes that a unit fixes, and the two innermost, of which it sweeps a block.

        Of the inner axis that is a block; where it is shorter, rows of it until it is as long.
        """
        axes = self.body.parallel
        if self.body.reduce and self.sweeps.sweep_vector is None and self.unit_vector is None:
            return axes, None, None
        if self.sweeps.sweep_vector is not None or not axes:
            return axes, None, None
        if self.body.reduce or len(axes) == 1:
            return axes[:-1], None, axes[-1]
        return axes[:-2], axes[-2], axes[-1]

    def _block_size(self) -> int:
        """One vector a unit while reducing (it stays in a register), else a block of them."""
        lanes = self.writer.lanes
        return lanes if self.body.reduce else BLOCK_VECTORS * lanes

    def _blocks(self, inner: Axis | None) -> list[str]:
        if inner is None:
            return []
        size = self._block_size()
        return [f"(({inner.extent} + {size - 1}) // {size})"]

    def _row_blocks(self, rows: Axis | None) -> list[str]:
        if rows is None:
            return []
        return [f"(({rows.extent} + {rows.name}_block - 1) // {rows.name}_block)"]

    def _decode(self, outer: tuple[Axis, ...], rows: Axis | None, inner: Axis | None) -> None:
        writer, rest = self.writer, "unit"
        if inner is not None:
            size = self._block_size()
            blocks = f"(({inner.extent} + {size - 1}) // {size})"
            writer.line(f"{inner.name}_start = unit % {blocks} * {size}")
            stop = writer.call("minimum", inner.extent, f"{inner.name}_start + {size}")
            writer.line(f"{inner.name}_stop = {stop}")
            if outer or rows:
                writer.line(f"rest = unit // {blocks}")
                rest = "rest"
        if rows is not None:
            (blocks,) = self._row_blocks(rows)
            writer.line(f"{rows.name}_start = {rest} % {blocks} * {rows.name}_block")
            end = f"{rows.name}_start + {rows.name}_block"
            writer.line(f"{rows.name}_stop = {writer.call('minimum', rows.extent, end)}")
            if outer:
                writer.line(f"rest = {rest} // {blocks}")
        for axis in reversed(outer[1:]):
            writer.line(f"{axis.name} = {rest} % {axis.extent}")
            writer.line(f"rest = {rest} // {axis.extent}")
            rest = "rest"
        if outer:
            writer.line(f"{outer[0].name} = {rest}")

    def _row_loop(self, rows: Axis | None, inner: Axis) -> None:
        if rows is None:
            self._inner_loop(inner)
            return
        name = rows.name
        with self.writer.block(f"for {name} in range({name}_start, {name}_stop):"):
            for load in self._picked_by(rows, inner):
                self._prefetch(load, rows, inner)
            self._inner_loop(inner)

    def _picked_by(self, rows: Axis, inner: Axis) -> Iterator[Gathered]:
        """Loads of rows that are picked anew at each of ``rows``, and lie along ``inner``."""
        for stage in self.body.stages:
            for load in (*stage.loads, *stage.after_loads):
                if not isinstance(load, Gathered) or load.access.stride_along(inner.name) != "1":
                    continue
                if any(term.axis == rows.name for term in load.index.terms):
                    yield load

    def _prefetch(self, load: Gathered, rows: Axis, inner: Axis) -> None:
        """Prefetches a row that is picked soon: no hardware foresees where it lies."""
        writer, row, at = self.writer, rows.name, inner.name
        with writer.block(f"if {row} + {ROWS_AHEAD} < {rows.extent}:"):
            writer.line(f"{row} += {ROWS_AHEAD}")
            place = self.place.picked(load)
            with writer.block(f"for {at} in range({at}_start, {at}_stop, {LINE}):"):
                writer.line(writer.call("prefetch", load.access.pointer, place))
            writer.line(f"{row} -= {ROWS_AHEAD}")

    def _inner_loop(self, inner: Axis) -> None:
        writer, name = self.writer, inner.name
        step = f", {writer.lanes}" if self.unit_vector else ""
        with writer.block(f"for {name} in range({name}_start, {name}_stop{step}):"):
            if self.unit_vector:
                writer.line(f"mask = {writer.call('first', f'{name}_stop - {name}')}")
            self._stages()

    def _stages(self) -> None:
        for stage in self.body.stages:
            self.sweeps.sweep(stage)
            for load in stage.after_loads:
                self.place.load(load)
            self.place.block(stage.after)
            for store in stage.after_stores:
                self.place.store(store)
