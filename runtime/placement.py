"""Where the values of a program lie for one set of sizes: tiles, offsets in one arena, scratch.

Nothing is allocated here: a device does that, and a reader may ask for a program that no device at
hand can run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .columns import columns
from .dim import evaluate
from .dim_solver import ArgumentError, solve
from .memory import Interval, align, assign_offsets
from .program import ARENA, BranchRow, LaunchRow, Program, Scratch, TileRow


def check_sizes(program: Program, sizes: Mapping[str, int]) -> None:
    """Raises ``ArgumentError`` naming place and sizes where a condition does not hold."""
    for condition in program.conditions:
        low, high = evaluate(condition.low, sizes), evaluate(condition.high, sizes)
        if low > high:
            known = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise ArgumentError(
                f"{condition.place}: expected {condition.low} <= {condition.high}; "
                f"got {low} > {high}, with {known}"
            )


def solved(program: Program, shapes: Sequence[tuple[int, ...]]) -> Mapping[str, int]:
    """The symbolic sizes that argument shapes stand for; raises ``ValueError`` if none do."""
    declared = [program.slots[i] for i in program.inputs]
    return solve([(slot.name, slot.shape) for slot in declared], shapes)


@dataclass(frozen=True)
class Placement:
    """A program's memory for ``sizes`` and so many ``threads``.

    Attributes:
        tiles: row index to tile, of the tiles that pay at this number of samples.
        branches: row index to branch, of those that run beside others at this number of samples.
        offsets: bytes from the arena's start to each slot of it that holds a value for all samples.
        tile_of: slot to row index, of the values that live inside a tile only.
        inner: slot to bytes from the start of a thread's piece of its tile.
        tile_offsets, tile_bytes: of each tile the start of the first piece, and bytes of a piece.
        scratch_offset, scratch_bytes: the start of the first thread's scratch, and bytes of each.
        arena_bytes: all of it.
    """

    program: Program
    sizes: Mapping[str, int]
    threads: int
    tiles: Mapping[int, TileRow]
    branches: Mapping[int, BranchRow]
    offsets: Mapping[int, int]
    tile_of: Mapping[int, int]
    inner: Mapping[int, int]
    tile_offsets: Mapping[int, int]
    tile_bytes: Mapping[int, int]
    scratch_offset: int
    scratch_bytes: int
    arena_bytes: int

    def shape_of(self, slot: int) -> tuple[int, ...]:
        """Of the value of a slot."""
        return tuple(evaluate(size, self.sizes) for size in self.program.slots[slot].shape)

    def __str__(self) -> str:
        sizes = "".join(f", {name}={size}" for name, size in self.sizes.items())
        head = (
            f"placement of {self.program.name} for {self.threads} threads{sizes}: "
            f"{self.arena_bytes:,} bytes of arena, {self.scratch_bytes:,} of scratch a thread"
        )
        rows = [
            (str(index), slot.name, f"{evaluate(slot.bytes, self.sizes):,}", self._where(index))
            for index, slot in enumerate(self.program.slots)
        ]
        return f"{head}\n\n{columns(('>slot', 'value', '>bytes', 'where'), rows)}"

    def _where(self, slot: int) -> str:
        """Where a slot lies, in words: what is not in the arena is the caller's, or is kept."""
        if slot in self.offsets:
            return f"arena at {self.offsets[slot]:,}"
        if slot not in self.tile_of:
            return self.program.slots[slot].kind
        tile = self.tile_of[slot]
        piece = f"{self.tile_offsets[tile]:,} + {self.tile_bytes[tile]:,} a thread"
        return f"tile of row {tile} at {self.inner[slot]:,}: arena at {piece}"


def place(program: Program, sizes: Mapping[str, int], threads: int) -> Placement:
    """Where the values of ``program`` lie for these sizes and so many threads.

    Raises:
        ValueError: the program makes no sense for these sizes.
    """
    check_sizes(program, sizes)
    return _Places(program, dict(sizes), threads).placement()


class _Places:
    """A placement while it is put together: tiles and branches first, then offsets."""

    def __init__(self, program: Program, sizes: dict[str, int], threads: int) -> None:
        self.program, self.sizes, self.threads = program, sizes, threads
        self.tiles = self._choose_tiles()
        self._heads = list(self.tiles)
        self.branches = self._choose_branches()
        self._forks = self._fork_ranges()
        self.tile_of = self._slots_inside_tiles()
        self.inner: dict[int, int] = {}
        self.tile_bytes: dict[int, int] = {}
        self._place()

    def placement(self) -> Placement:
        return Placement(
            self.program,
            self.sizes,
            self.threads,
            self.tiles,
            self.branches,
            self.offsets,
            self.tile_of,
            self.inner,
            self.tile_offsets,
            self.tile_bytes,
            self.scratch_offset,
            self.scratch_bytes,
            self.arena_bytes,
        )

    def _choose_tiles(self) -> dict[int, TileRow]:
        """Row index to tile, for the tiles that pay at this number of samples."""
        tiles = {}
        for index, row in enumerate(self.program.rows):
            if isinstance(row, TileRow) and self.sizes.get(row.symbol, 0) >= row.least:
                tiles[index] = row
        return tiles

    def _choose_branches(self) -> dict[int, BranchRow]:
        """Row index to branch, for the branches of forks that pay."""
        rows = enumerate(self.program.rows)
        found = {index: row for index, row in rows if isinstance(row, BranchRow)}
        idle = {row.fork for index, row in found.items() if not self._pays(index, row)}
        return {index: row for index, row in found.items() if row.fork not in idle}

    def _fork_ranges(self) -> dict[int, tuple[int, int]]:
        """Of each fork that pays its first and last row."""
        found: dict[int, tuple[int, int]] = {}
        for index, row in self.branches.items():
            first, _ = found.get(row.fork, (index, index))
            found[row.fork] = first, index + row.rows
        return found

    def _pays(self, index: int, row: BranchRow) -> bool:
        """Whether there are threads to run the branch beside others, and they tile nothing."""
        if self.threads < 2 or self.sizes.get(row.symbol, 1) > row.most:
            return False
        return all(head > index + row.rows for head, _ in self._tiles_from(index))

    def _place(self) -> None:
        """Values that live inside a tile only get memory a thread."""
        slots_in: dict[int, list[int]] = {index: [] for index in self.tiles}
        for slot, index in self.tile_of.items():
            slots_in[index].append(slot)
        for index, tile in self.tiles.items():
            inside = slots_in[index]
            offsets, size = assign_offsets([self._piece_interval(s, tile) for s in inside])
            self.inner.update(zip(inside, offsets, strict=True))
            # Threads apart by an odd number of lines, so that they do not compete for cache sets.
            self.tile_bytes[index] = align(size) + 64
        self._place_whole()
        # Scratch is all rows' in turn: a thread's stays in its cache. It is no part of its stack,
        # which may be small, as the caller's is none of ours.
        self.scratch_offset, self.scratch_bytes = self.arena_bytes, self._most_scratch()
        self.arena_bytes += self.scratch_bytes * self.threads

    def _place_whole(self) -> None:
        """Places values of all samples, the memory of tiles, and that of branches: what lives in
        one branch only shares a piece that no other branch of its fork touches.
        """
        branch_of = self._slots_inside_branches()
        own: dict[int, list[int]] = {index: [] for index in self.branches}
        for slot, index in branch_of.items():
            own[index].append(slot)
        pieces = {i: assign_offsets([self._interval(s) for s in own[i]]) for i in own}
        arena = (i for i, slot in enumerate(self.program.slots) if slot.kind == ARENA)
        whole = [i for i in arena if i not in self.tile_of and i not in branch_of]
        intervals = [self._whole_interval(s) for s in whole]
        intervals += [
            Interval(self.tile_bytes[i] * self.threads, i, i + t.rows)
            for i, t in self.tiles.items()
        ]
        intervals += [
            Interval(size, *self._forks[self.branches[i].fork]) for i, (_, size) in pieces.items()
        ]
        offsets, self.arena_bytes = assign_offsets(intervals)
        starts = iter(offsets)
        self.offsets = {slot: next(starts) for slot in whole}
        self.tile_offsets = {index: next(starts) for index in self.tiles}
        for index, (inner, _) in pieces.items():
            start = next(starts)
            places = (start + offset for offset in inner)
            self.offsets.update(zip(own[index], places, strict=True))

    def _slots_inside_branches(self) -> dict[int, int]:
        """The arena's slots that live in one branch only: their branch's row by slot."""
        heads = list(self.branches)
        found = {}
        for i, slot in enumerate(self.program.slots):
            at = bisect_right(heads, slot.first) - 1
            if slot.kind == ARENA and at >= 0:
                head = heads[at]
                if slot.last <= head + self.branches[head].rows:
                    found[i] = head
        return found

    def _most_scratch(self) -> int:
        """Scratch of a thread: what the row needs that needs most."""
        rows = (row for row in self.program.rows if isinstance(row, LaunchRow))
        each = [sum(align(a.bytes) for a in r.arguments if isinstance(a, Scratch)) for r in rows]
        most = max(each, default=0)
        return most + 64 if most else 0  # apart by an odd number of lines, as pieces of tiles are

    def _slots_inside_tiles(self) -> dict[int, int]:
        inside = {}
        for i, slot in enumerate(self.program.slots):
            for index, tile in self._tiles_from(slot.first):
                within = index <= slot.first and slot.last <= index + tile.rows
                if slot.kind == ARENA and within:
                    inside[i] = index
                break
        return inside

    def _tiles_from(self, row: int) -> Iterator[tuple[int, TileRow]]:
        """The tiles that end at ``row`` or later, in order; none lies in another."""
        for at in range(max(0, bisect_right(self._heads, row) - 1), len(self._heads)):
            index = self._heads[at]
            if row <= index + self.tiles[index].rows:
                yield index, self.tiles[index]

    def _piece_interval(self, index: int, tile: TileRow) -> Interval:
        """A value of one piece of a tile, which passes through the rows in order."""
        slot = self.program.slots[index]
        sizes = {**self.sizes, tile.symbol: tile.tile}
        return Interval(evaluate(slot.bytes, sizes), slot.first, slot.last)

    def _interval(self, index: int) -> Interval:
        slot = self.program.slots[index]
        return Interval(evaluate(slot.bytes, self.sizes), slot.first, slot.last)

    def _whole_interval(self, index: int) -> Interval:
        """A value of all samples. It lives all through a tile that touches it: a later piece still
        reads it when an earlier one has come to the tile's last rows. It lives all through a fork,
        too, whose branches come to their rows in any order.
        """
        slot = self.program.slots[index]
        first, last = slot.first, slot.last
        tiles = ((start, start + tile.rows) for start, tile in self._tiles_from(slot.first))
        for start, end in (*tiles, *self._forks.values()):
            if slot.first <= end and start <= slot.last:
                first, last = min(first, start), max(last, end)
        return Interval(evaluate(slot.bytes, self.sizes), first, last)
