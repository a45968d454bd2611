"""Sweeps of a nest over what is reduced: loops, accumulators, long sums made of shorter ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...ir.types import FLOAT32
from ...loops.kernel import Accumulate, Axis, Nest, Stage
from .nest_place import Place
from .writer import Writer

# Terms of the shorter sums that a long one is made of, in each lane: rounding goes one way where
# terms are equal, and so grows with their number.
SUM_BLOCK = 64

HORIZONTAL = {
    "add": "sum_lanes",
    "multiply": "prod_lanes",
    "maximum": "max_lanes",
    "minimum": "min_lanes",
}


class Sweeps:
    """Writes the sweep of each stage, around what is done at a place."""

    def __init__(self, writer: Writer, body: Nest, place: Place) -> None:
        self.writer = writer
        self.body = body
        self.place = place
        self.parts: dict[str, str] = {}  # sums of the stretch at hand
        # The innermost axis is computed in vectors inside a sweep, or all along.
        reduced = {axis.name for axis in body.reduce}
        self.sweep_vector = body.vector if body.vector in reduced else None

    def sweep(self, stage: Stage) -> None:
        if not (stage.loads or stage.block or stage.accumulate or stage.stores):
            return
        if not self.body.reduce:
            self.place.visit(stage, self._combine)
            return
        unit_vector, self.place.vector = self.place.vector, self.body.vector
        for accumulate in stage.accumulate:
            self._start(accumulate)
        if self.body.blocked_sum:
            self._blocked_sweep(stage)
        else:
            self._reduce_loops(stage, self.body.reduce)
        self.place.vector = unit_vector
        for accumulate in stage.accumulate:
            self._finish(accumulate)

    def _blocked_sweep(self, stage: Stage) -> None:
        """The sweep in stretches of the innermost axis; each has a sum of its own.

        Rows shorter than a stretch make one together: then ``terms`` counts those since it began.
        """
        writer, axes = self.writer, self.body.reduce
        sums = [a for a in stage.accumulate if a.combine == "add" and a.dtype == FLOAT32]
        for total in sums:
            self.parts[total.name] = f"{total.name}_part"
            self._start(total)
        if len(axes) > 1:
            writer.line("terms = 0")
        self._reduce_loops(stage, axes, sums)
        if len(axes) > 1:
            self._add_parts(sums)
        for total in sums:
            self.parts.pop(total.name)

    def _add_parts(self, sums: Sequence[Accumulate]) -> None:
        """Adds the sums of a stretch; the next ones start with what rounding took from that."""
        for name, part in ((total.name, self.parts[total.name]) for total in sums):
            self.writer.line(f"{name}_lost = {self.writer.call('sum_error', name, part)}")
            self.writer.line(f"{name} = {name} + {part}")
            self.writer.line(f"{part} = {name}_lost")

    def _reduce_loops(
        self, stage: Stage, axes: tuple[Axis, ...], sums: Sequence[Accumulate] = ()
    ) -> None:
        """Loops over ``axes`` around what is done at each place; ``sums`` are made of shorter."""
        if not axes:
            self.place.visit(stage, self._combine)
            return
        axis, writer = axes[0], self.writer
        if not sums or len(axes) > 1:
            with self._reduce_loop(axis, "0", axis.extent):
                self._reduce_loops(stage, axes[1:], sums)
            return
        start, stop = f"{axis.name}_start", f"{axis.name}_stop"
        width = writer.lanes if axis.name == self.sweep_vector else 1
        length = SUM_BLOCK * width
        with writer.block(f"for {start} in range(0, {axis.extent}, {length}):"):
            end = writer.call("minimum", axis.extent, f"{start} + {length}")
            writer.line(f"{stop} = {end}")
            with self._reduce_loop(axis, start, stop):
                self.place.visit(stage, self._combine)
            if len(self.body.reduce) == 1:
                self._add_parts(sums)
                return
            writer.line(f"terms += ({stop} - {start} + {width - 1}) // {width}")
            with writer.block(f"if terms >= {SUM_BLOCK}:"):
                self._add_parts(sums)
                writer.line("terms = 0")

    @contextmanager
    def _reduce_loop(self, axis: Axis, start: str, stop: str) -> Iterator[None]:
        """A loop over a part of ``axis``, in vectors where they lie along it."""
        writer, vector = self.writer, axis.name == self.sweep_vector
        limits = stop if start == "0" and not vector else f"{start}, {stop}"
        step = f", {writer.lanes}" if vector else ""
        with writer.block(f"for {axis.name} in range({limits}{step}):"):
            if vector:
                writer.line(f"mask = {writer.call('first', f'{axis.extent} - {axis.name}')}")
            yield

    def _start(self, accumulate: Accumulate) -> None:
        vector = self.place.vector is not None
        value = self.writer.constant(accumulate.initial, accumulate.dtype, vector)
        self.writer.line(f"{self._running(accumulate)} = {value}")

    def _running(self, accumulate: Accumulate) -> str:
        """What terms are added to: the accumulator, or the sum of the stretch."""
        return self.parts.get(accumulate.name, accumulate.name)

    def _combine(self, accumulate: Accumulate) -> None:
        value, writer = self.place.value(accumulate.value), self.writer
        name = self._running(accumulate)
        if self.sweep_vector is not None:
            value = writer.call(
                "select", "mask", value, writer.constant(accumulate.initial, accumulate.dtype, True)
            )
        writer.line(f"{name} = {writer.combined(accumulate, name, value)}")

    def _finish(self, accumulate: Accumulate) -> None:
        self.place.names[accumulate.name] = accumulate.name
        if self.sweep_vector is not None:
            lanes = self.writer.call(HORIZONTAL[accumulate.combine], accumulate.name)
            self.writer.line(f"{accumulate.name}_all = {lanes}")
            self.place.names[accumulate.name] = f"{accumulate.name}_all"
        elif self.place.vector is not None:
            self.place.vectors.add(accumulate.name)
