"""Programs that call functions on the host: the table in stretches, and the calls between them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import array_at
from ..dim import evaluate
from ..host_functions import host_function
from ..program import HostRow
from .binding import Binding
from .dispatcher import ROW, Dispatch


class CallingBinding(Binding):
    """As a binding without host rows, of which each costs a native call more.

    Raises ``ValueError`` for a function that nobody registered, or a row in a tile or loop.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.callers: Sequence[int] = ()
        self._steps = list(self._make_steps())
        self._walk = self._take_steps
        self.rows = sorted([*self.rows, *(index for _, index in self.calls)])

    def run(self, callers: Sequence[int]) -> None:
        self.callers = callers
        super().run(callers)

    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        for step in self._steps:
            step.start_timing()
        self.run(callers)
        return self.by_row(np.concatenate([step.times for step in self._steps]))

    def _take_steps(self) -> None:
        for step in self._steps:
            step.run()

    def _make_steps(self) -> Iterator[Dispatch | _Call]:
        done = 0
        for before, index in self.calls:
            yield from self._stretch(done, before)
            row = self.program.rows[index]
            assert isinstance(row, HostRow), "only those are calls"
            yield _Call(self, row)
            done = before
        yield from self._stretch(done, len(self.rows))

    def _stretch(self, first: int, end: int) -> Iterator[Dispatch]:
        """Some rows of the table, if any, on the arguments of all."""
        if first < end:
            whole = self.dispatch
            code = whole.code[first * ROW : end * ROW]
            words = (code, whole.args, whole.patches)
            yield Dispatch(*words, self.counters, self.threads, self.profile)


class _Call:
    """A host row that is ready to run."""

    def __init__(self, binding: CallingBinding, row: HostRow) -> None:
        self.times = np.zeros(1, np.int64)
        self._binding = binding
        self._row = row
        self._function = host_function(row.function)
        self._values = {slot: self._value(slot) for slot in (*row.reads, *row.writes)}

    def start_timing(self) -> None:
        self.times[:] = 0

    def run(self) -> None:
        start = time.perf_counter_ns()
        reads, writes = map(self._arrays, (self._row.reads, self._row.writes))
        for array in reads:
            array.setflags(write=False)
        self._function(self._row.label, reads, writes)
        self.times += time.perf_counter_ns() - start

    def _arrays(self, slots: Sequence[int]) -> list[np.ndarray]:
        binding = self._binding
        return [
            array_at(binding.address_of(slot, binding.callers), *self._values[slot])
            for slot in slots
        ]

    def _value(self, slot: int) -> tuple[tuple[int, ...], np.dtype]:
        """The array of a slot: of its shape, or flat where its memory holds more."""
        binding, found = self._binding, self._binding.program.slots[slot]
        if slot in binding.placement.tile_of:
            raise ValueError(
                f"{self._row.function} ({self._row.label}): expected values of all samples; "
                f"{found.name!r} lives within a tile only"
            )
        shape, dtype = tuple(evaluate(s, binding.sizes) for s in found.shape), np.dtype(found.dtype)
        elements = evaluate(found.bytes, binding.sizes) // dtype.itemsize
        return (shape if np.prod(shape, dtype=np.int64) == elements else (elements,)), dtype
