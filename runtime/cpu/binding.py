"""Binds a program to one set of sizes: addresses, barriers, tiles, a table to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..device import Prepared
from ..dim import Size, coefficient, evaluate
from ..forks import cached_property
from ..memory import align
from ..placement import place
from ..program import (
    ARENA,
    CONSTANT,
    LOOPS,
    STATE,
    BranchRow,
    GuardRow,
    HostRow,
    LaunchRow,
    Location,
    LoopRow,
    Program,
    Scratch,
    TileRow,
)
from .barriers import Touch, set_barriers
from .dispatcher import IF, LAUNCH, LOOP, ROW, TILE, WHILE, Dispatch
from .tasks import least_tasks, task_count

THREAD, START, COUNT = 0, 1, 2  # counters of the table
FIRST_LOOP = 3  # then two for each loop around a row: its trip, and whether that is odd

PIECES_PER_THREAD = 2
LEAST_PIECE = 8


@dataclass(frozen=True)
class Port:
    """A word of the argument table that holds an address in a caller's array."""

    position: int
    argument: int  # inputs first, then outputs
    offset: int


class Binding(Prepared):
    """A program bound to sizes and to memory of its own; runs of one binding must not overlap.

    Raises ``ValueError`` where the program makes no sense for these sizes.
    """

    def __init__(
        self,
        program: Program,
        addresses: Sequence[int],
        constants: Mapping[int, int],
        sizes: Mapping[str, int],
        threads: int,
        profile: bool = False,
    ) -> None:
        self.program = program
        self.placement = place(program, sizes, threads)
        self.sizes = self.placement.sizes
        self.shapes = tuple(map(self.placement.shape_of, program.outputs))
        self.threads = threads
        self.profile = profile
        self._kernels = addresses
        self._constants = constants
        self._arena = np.zeros(self.placement.arena_bytes + 4096, np.uint8)
        # Pages aligned: the same addresses modulo 4096 at every call.
        self._base = align_page(self._arena.ctypes.data)
        self._build()

    def run(self, callers: Sequence[int]) -> None:
        args = self.dispatch.args
        for port in self._ports:
            args[port.position] = callers[port.argument] + port.offset
        self._walk()

    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        self.dispatch.start_timing()
        self.run(callers)
        return self.by_row(self.dispatch.times)

    def by_row(self, measured: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the dispatcher counted, as ``timed`` gives it.

        Rows in tiles and branches have the mean of all threads' times, loops the sum of their
        bodies'.
        """
        threads, launches, loops = self._shares
        times = measured / threads
        np.add.at(times, loops, times[launches])
        return times

    @cached_property
    def _shares(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """By how much the time of each row is divided, and launches with the loops around them."""
        rows, place = self.program.rows, {row: column for column, row in enumerate(self.rows)}
        threads = np.ones(len(place), np.int64)
        around: list[tuple[int, int]] = []
        for row, column in place.items():
            if not isinstance(rows[row], LaunchRow):
                continue
            heads = [head for head in self.program.around[row] if head in place]
            if any(isinstance(rows[head], (TileRow, BranchRow)) for head in heads):
                threads[column] = self.threads
            around += [(column, place[head]) for head in heads if isinstance(rows[head], LOOPS)]
        launches, loops = np.array(around, np.int64).reshape(-1, 2).T
        return threads, launches, loops

    # The table

    def _build(self) -> None:
        self._args: list[int] = []
        self._patches: list[int] = []
        self._ports: list[Port] = []
        self.rows: list[int] = []  # table row -> program row
        self.calls: list[tuple[int, int]] = []  # rows of the table before a host row, and its index
        words: list[list[int]] = []
        around: list[_Open] = []
        deepest = 0
        for index, row in enumerate(self.program.rows):
            _close(around, index, words)
            if isinstance(row, HostRow):
                self._call(index, row, len(words))
                continue
            if isinstance(row, LaunchRow):
                words.append(self._launch(row, _tile_around(around)))
            elif isinstance(row, LoopRow):
                words.append(self._loop(row, _loops_around(around)))
            elif isinstance(row, GuardRow):
                words.append(self._guard(row, _loops_around(around)))
            elif isinstance(row, TileRow) and index in self.placement.tiles:
                words.append(self._tile(row))
            elif index in self.placement.branches:
                words.append(self._branch())
            else:
                continue
            self.rows.append(index)
            if not isinstance(row, LaunchRow):
                around.append(_Open(index, row, len(words) - 1))
                deepest = max(deepest, _loops_around(around))
        _close(around, len(self.program.rows), words)
        set_barriers(words, lambda index: self._touches(index, words[index]))
        self.counters = FIRST_LOOP + 2 * deepest
        self.dispatch = Dispatch(
            np.array(words, np.int64).reshape(-1, ROW),
            np.array(self._args or [0], np.int64),
            np.array(self._patches or [0, 0, 0], np.int64),
            counters=self.counters,
            threads=self.threads,
            profile=self.profile,
        )
        self._walk: Callable[[], None] = self.dispatch.run

    def _call(self, index: int, row: HostRow, before: int) -> None:
        if self.program.around[index]:
            raise ValueError(
                f"row {index}, {row.function} ({row.label}): expected host calls between launches; "
                "it stands in a tile or a loop, or behind a guard"
            )
        self.calls.append((before, index))

    def _tile(self, row: TileRow) -> list[int]:
        total = self.sizes[row.symbol]
        piece = piece_size(total, row.tile, self.threads, row.unit)
        return [TILE, 1, 0, total, piece, START, COUNT, 0]

    def _branch(self) -> list[int]:
        """A tile of one piece: whichever thread is free takes it."""
        return [TILE, 0, 0, 1, 1, START, COUNT, 0]

    def _loop(self, row: LoopRow, depth: int) -> list[int]:
        counter = FIRST_LOOP + 2 * depth
        return [LOOP, 0, 0, evaluate(row.trips, self.sizes), counter, counter + 1, 0, 0]

    def _guard(self, row: GuardRow, depth: int) -> list[int]:
        start, first, counter = len(self._args), len(self._patches), FIRST_LOOP + 2 * depth
        self._args.append(self._address(row.flag, 0, None))
        self._args.append(row.wanted)
        patches = (len(self._patches) - first) // 3
        operation = WHILE if row.repeats else IF
        return [operation, 0, 0, start, counter, counter + 1, first, patches]

    def _tasks(self, row: LaunchRow) -> int:
        flops, size = evaluate(row.flops, self.sizes), evaluate(row.bytes, self.sizes)
        return task_count(least_tasks(flops, size), self.threads)

    def _launch(self, row: LaunchRow, tile: tuple[int, TileRow] | None) -> list[int]:
        start, first_patch = len(self._args), len(self._patches)
        scratch = self._base + self.placement.scratch_offset
        for position, argument in enumerate(row.arguments):
            if isinstance(argument, Location):
                self._args.append(self._address(argument, position, tile))
            elif isinstance(argument, Scratch):
                self._patches += [position, THREAD, self.placement.scratch_bytes]
                self._args.append(scratch)
                scratch += align(argument.bytes)
            elif tile is None:
                self._args.append(evaluate(argument, self.sizes))
            else:
                self._args.append(self._tiled_size(argument, position, tile[1]))
        patches = (len(self._patches) - first_patch) // 3
        address = self._kernels[row.kernel]
        tasks = self._tasks(row)
        return [LAUNCH, 0, address, start, len(row.arguments), first_patch, patches, tasks]

    def _tiled_size(self, size: Size, position: int, tile: TileRow) -> int:
        """A size that grows with the samples of the current piece."""
        growth = self._growth(size, tile)
        if growth:
            self._patches += [position, COUNT, growth]
        return evaluate(size, {**self.sizes, tile.symbol: 0})

    def _growth(self, size: Size, tile: TileRow) -> int:
        """How much a size grows with each sample."""
        growth = coefficient(size, tile.symbol)
        assert growth is not None, f"{size} does not grow evenly with {tile.symbol}"
        return evaluate(growth, self.sizes)

    def _address(self, operand: Location, position: int, tile: tuple[int, TileRow] | None) -> int:
        slot = self.program.slots[operand.slot]
        offset = evaluate(operand.offset, self.sizes)
        for move in operand.moves:
            counter = FIRST_LOOP + 2 * move.loop + move.alternate
            self._patches += [position, counter, evaluate(move.bytes, self.sizes)]
        if slot.kind in (CONSTANT, STATE):
            return self._constants[operand.slot] + offset
        placed = self.placement
        if operand.slot in placed.tile_of:
            tile_row = placed.tile_of[operand.slot]
            self._patches += [position, THREAD, placed.tile_bytes[tile_row]]
            inner = placed.inner[operand.slot]
            return self._base + placed.tile_offsets[tile_row] + inner + offset
        if tile is not None:
            per_sample = self._growth(slot.bytes, tile[1])
            if per_sample:
                self._patches += [position, START, per_sample]
        if slot.kind == ARENA:
            return self._base + placed.offsets[operand.slot] + offset
        self._ports.append(Port(len(self._args), self.program.ends[operand.slot], offset))
        return 0

    # Barriers

    def _touches(self, index: int, word: list[int]) -> list[Touch]:
        """What a launch, or a tile or branch as a whole, reads and writes."""
        last = index + word[2] if word[0] == TILE else index
        rows = [self.program.rows[i] for i in self.rows[index : last + 1]]
        touches = []
        for row in rows:
            if isinstance(row, GuardRow):
                touches.append(self._touch(row.flag.slot, False, False))
            if not isinstance(row, LaunchRow):
                continue
            touches += [self._touch(s, False, row.halo) for s in row.reads]
            touches += [self._touch(s, True, row.halo) for s in row.writes]
        tile = self.rows[index]
        if tile in self.placement.tiles:
            start = self.placement.tile_offsets[tile]
            stop = start + self.placement.tile_bytes[tile] * self.threads
            touches.append(Touch(-1, start, stop, True, False))
        return touches

    def address_of(self, slot: int, callers: Sequence[int]) -> int:
        """Where the value of a slot lies in a run, of a slot that is no tile's own."""
        kind = self.program.slots[slot].kind
        if kind in (CONSTANT, STATE):
            return self._constants[slot]
        if kind == ARENA:
            return self._base + self.placement.offsets[slot]
        return callers[self.program.ends[slot]]

    def _touch(self, slot: int, write: bool, halo: bool) -> Touch:
        start = self.placement.offsets.get(slot)
        if start is not None:
            size = evaluate(self.program.slots[slot].bytes, self.sizes)
            return Touch(slot, start, start + size, write, halo)
        # Callers' arrays and weights lie outside the arena: they conflict by slot alone.
        return Touch(slot, -1 - slot, -slot, write, halo)


@dataclass(frozen=True)
class _Open:
    """A head whose rows are being made: its row of the program and of the table."""

    index: int
    row: TileRow | BranchRow | LoopRow | GuardRow
    head: int

    @property
    def end(self) -> int:
        return self.index + 1 + self.row.rows


def _close(around: list[_Open], index: int, words: list[list[int]]) -> None:
    """Leaves the heads whose bodies end before row ``index``; their heads learn their length."""
    while around and around[-1].end <= index:
        head = around.pop().head
        words[head][2] = len(words) - 1 - head


def _tile_around(around: Sequence[_Open]) -> tuple[int, TileRow] | None:
    found = [(open_.index, open_.row) for open_ in around if isinstance(open_.row, TileRow)]
    return found[0] if found else None


def _loops_around(around: Sequence[_Open]) -> int:
    return sum(isinstance(open_.row, LOOPS) for open_ in around)


def piece_size(total: int, tile: int, threads: int, unit: int = 1) -> int:
    """Samples a piece: at most ``tile``, the same for all, a few pieces a thread if they allow.

    A multiple of ``unit``, as ``tile`` is.
    """
    pieces = -(-total // tile)
    if total >= LEAST_PIECE * PIECES_PER_THREAD * threads:
        pieces = max(pieces, PIECES_PER_THREAD * threads)
    pieces = max(threads, -(-pieces // threads) * threads)
    return max(1, -(-total // (pieces * unit))) * unit


def align_page(address: int) -> int:
    """The next address that starts a page."""
    return -(-address // 4096) * 4096
