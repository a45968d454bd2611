"""A program that is ready to run on the emulator: rows in order, loops as often as they say."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Mapping, Sequence
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
    GuardRow,
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
        self.shapes = tuple(map(self.placement.shape_of, program.outputs))
        self.callers: Sequence[int] = ()
        self._emulator = emulator
        self._kernels = kernels
        self._memory = memory
        self._arena = aligned_array((self.placement.arena_bytes,), np.dtype(np.uint8))
        self._launches: dict[int, _Launch] = {}
        self._calls: dict[int, HostCall] = {}
        for index, row in enumerate(program.rows):
            if isinstance(row, LaunchRow):
                self._launches[index] = self._prepared(row)
            elif isinstance(row, HostRow):
                self._calls[index] = HostCall(self, row)
        self.rows = [i for i in range(len(program.rows)) if i in self._launches or i in self._calls]
        self._times: dict[int, int] = {}
        self._trip: dict[int, int] = {}  # of the loop with so many around it

    def run(self, callers: Sequence[int]) -> None:
        self.callers = callers
        self._walk(0, len(self.program.rows), 0)

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
        return callers[self.program.ends[slot]]

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

    def _walk(self, first: int, end: int, depth: int) -> None:
        """Runs rows, which lie in the bodies of ``depth`` loops and guards."""
        index = first
        while index < end:
            row = self.program.rows[index]
            start = time.perf_counter_ns()
            if isinstance(row, (LoopRow, GuardRow)):
                for trip in self._trips(row, depth):
                    self._trip[depth] = trip
                    self._walk(index + 1, index + 1 + row.rows, depth + 1)
                index += row.rows
            elif index in self._launches:
                self._launch(self._launches[index])
            elif index in self._calls:
                self._calls[index].run()
            if index in self._times:
                self._times[index] += time.perf_counter_ns() - start
            index += 1

    def _trips(self, row: LoopRow | GuardRow, depth: int) -> Iterator[int]:
        if isinstance(row, LoopRow):
            yield from range(evaluate(row.trips, self.sizes))
            return
        trip = self._trip[depth] = 0
        while ctypes.c_uint8.from_address(self._address(row.flag)).value == row.wanted:
            yield trip
            if not row.repeats:
                return
            trip += 1
            self._trip[depth] = trip  # where rows behind the loop read, too

    def _launch(self, launch: _Launch) -> None:
        words = launch.words
        for position, location in launch.places:
            words[position] = self._address(location)
        try:
            self._emulator.launch(
                launch.kernel, words, self._regions(launch), launch.blocks, launch.threads
            )
        except EmulationError as error:
            error.add_note(f"in {launch.name}, for {launch.row.label}")
            raise

    def _address(self, location: Location) -> int:
        """Where a location is at the trips that loops are in."""
        start = self.address_of(location.slot, self.callers)
        moved = sum(map(self._moved, location.moves))
        return start + evaluate(location.offset, self.sizes) + moved

    def _moved(self, move: Move) -> int:
        trip = self._trip[move.loop]
        return evaluate(move.bytes, self.sizes) * (trip % 2 if move.alternate else trip)

    def _regions(self, launch: _Launch) -> list[tuple[int, int]]:
        """The memory of the values that a launch works on."""
        row, slots = launch.row, [location.slot for _, location in launch.places]
        found = []
        for slot in dict.fromkeys((*row.reads, *row.writes, *slots)):
            start = self.address_of(slot, self.callers)
            found.append((start, start + evaluate(self.program.slots[slot].bytes, self.sizes)))
        return found
