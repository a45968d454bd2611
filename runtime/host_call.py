"""A call of a function on the host between launches, with arrays of the values it works on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from .arrays import array_at
from .dim import evaluate
from .host_functions import host_function
from .placement import Placement
from .program import HostRow, Program


class Calling(Protocol):
    """What runs a program with such calls, as they need it."""

    program: Program
    placement: Placement
    sizes: Mapping[str, int]
    callers: Sequence[int]

    def address_of(self, slot: int, callers: Sequence[int]) -> int:
        """Where the value of a slot lies in a run."""


class HostCall:
    """A host row that is ready to run."""

    def __init__(self, binding: Calling, row: HostRow) -> None:
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
        shape, dtype = binding.placement.shape_of(slot), np.dtype(found.dtype)
        elements = evaluate(found.bytes, binding.sizes) // dtype.itemsize
        return (shape if np.prod(shape, dtype=np.int64) == elements else (elements,)), dtype
