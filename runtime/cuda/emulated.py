"""A program that is ready to run on the emulator: rows in order, loops as often as they say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import aligned_array
from ..device import Memory, Prepared
from ..dim import evaluate
from ..host_call import HostCall
from ..kernels import LoadedKernel
from ..placement import place
from ..program import (
    ARENA,
    CONSTANT,
    STATE,
    HostRow,
    LaunchRow,
    Location,
    LoopRow,
    Move,
    Program,
    Scratch,
)
from .emulator import EmulationError, Emulator


@dataclass(frozen=True)
class _Launch:
    """A launch for some sizes. ``places`` are arguments that are set anew for each run."""

    row: LaunchRow
    kernel: LoadedKernel
    name: str
    words: NDArray[np.int64]
    places: tuple[tuple[int, Location], ...]
    blocks: int
    threads: int


class EmulatedProgram(Prepared):
    """A program bound to sizes and to an arena of its own.

    Raises ``ValueError`` where the program makes no sense for these sizes.
    """

    def __init__(
        self,
        emulator: Emulator,
        program: Program,
        kernels: Sequence[LoadedKernel],
        memory: Mapping[int, Memory],
        sizes: Mapping[str, int],
    ) -> None:
        self.program = program
        self.placement = place(program, sizes, threads=1)
        self.sizes = self.placement.sizes
        self.shapes = tuple(
            tuple(evaluate(size, self.sizes) for size in program.slots[i].shape)
            for i in program.outputs
        )
        self.callers: Sequence[int] = ()
        self._emulator = emulator
        self._kernels = kernels
        self._memory = memory
        self._arena = aligned_array((self.placement.arena_bytes,), np.dtype(np.uint8))
        ends = (*program.inputs, *program.outputs)
        self._ends = {slot: place for place, slot in reversed([*enumerate(ends)])}
        self._launches: dict[int, _Launch] = {}
        self._calls: dict[int, HostCall] = {}
        for index, row in enumerate(program.rows):
            if isinstance(row, LaunchRow):
                self._launches[index] = self._prepared(row)
            elif isinstance(row, HostRow):
                self._calls[index] = HostCall(self, row)
        self.rows = [i for i in range(len(program.rows)) if i in self._launches or i in self._calls]
        self._times: dict[int, int] = {}

    def run(self, callers: Sequence[int]) -> None:
        self.callers = callers
        self._walk(0, len(self.program.rows), ())

    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        self._times = dict.fromkeys(self.rows, 0)
        self.run(callers)
        return np.array([self._times[index] for index in self.rows], np.float64)

    def address_of(self, slot: int, callers: Sequence[int]) -> int:
        """Where the value of a slot lies in a run."""
        kind = self.program.slots[slot].kind
        if kind in (CONSTANT, STATE):
            return self._memory[slot].address
        if kind == ARENA:
            return int(self._arena.ctypes.data) + self.placement.offsets[slot]
        return callers[self._ends[slot]]

    def _prepared(self, row: LaunchRow) -> _Launch:
        if row.grid is None:
            raise ValueError(
                f"{row.label}: expected a launch with a grid; it is for another device"
            )
        words = np.zeros(max(len(row.arguments), 1), np.int64)
        places = []
        for position, argument in enumerate(row.arguments):
            if isinstance(argument, Location):
                places.append((position, argument))
            elif isinstance(argument, Scratch):
                raise ValueError(f"{row.label}: expected no memory of a thread's own on a GPU")
            else:
                words[position] = evaluate(argument, self.sizes)
        blocks = evaluate(row.grid.blocks, self.sizes)
        kernel, name = self._kernels[row.kernel], self.program.kernels[row.kernel].name
        return _Launch(row, kernel, name, words, tuple(places), blocks, row.grid.threads)

    def _walk(self, first: int, end: int, trips: tuple[int, ...]) -> None:
        """Runs rows, which lie in the bodies of loops at these ``trips``."""
        index = first
        while index < end:
            row = self.program.rows[index]
            start = time.perf_counter_ns()
            if isinstance(row, LoopRow):
                for trip in range(evaluate(row.trips, self.sizes)):
                    self._walk(index + 1, index + 1 + row.rows, (*trips, trip))
                index += row.rows
            elif index in self._launches:
                self._launch(self._launches[index], trips)
            elif index in self._calls:
                self._calls[index].run()
            if index in self._times:
                self._times[index] += time.perf_counter_ns() - start
            index += 1

    def _launch(self, launch: _Launch, trips: tuple[int, ...]) -> None:
        words = launch.words
        for position, location in launch.places:
            start = self.address_of(location.slot, self.callers)
            moved = sum(self._moved(move, trips) for move in location.moves)
            words[position] = start + evaluate(location.offset, self.sizes) + moved
        try:
            self._emulator.launch(
                launch.kernel, words, self._regions(launch), launch.blocks, launch.threads
            )
        except EmulationError as error:
            error.add_note(f"in {launch.name}, for {launch.row.label}")
            raise

    def _moved(self, move: Move, trips: tuple[int, ...]) -> int:
        trip = trips[move.loop]
        return evaluate(move.bytes, self.sizes) * (trip % 2 if move.alternate else trip)

    def _regions(self, launch: _Launch) -> list[tuple[int, int]]:
        """The memory of the values that a launch works on."""
        row, slots = launch.row, [location.slot for _, location in launch.places]
        found = []
        for slot in dict.fromkeys((*row.reads, *row.writes, *slots)):
            start = self.address_of(slot, self.callers)
            found.append((start, start + evaluate(self.program.slots[slot].bytes, self.sizes)))
        return found
