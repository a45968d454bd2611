"""Barriers: where rows of a table must wait for one another."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .dispatcher import IF, LAUNCH, LOOP, WHILE

OPERATION, BARRIER, BODY_ROWS, TRIPS = 0, 1, 2, 3  # words of a row


@dataclass(frozen=True)
class Touch:
    """A range of memory that a row reads or writes."""

    slot: int
    start: int
    stop: int
    write: bool
    halo: bool

    def conflicts(self, other: Touch) -> bool:
        """Whether order between the two matters."""
        if not (self.write or other.write):
            return False
        if self.slot == other.slot and self.write and other.write and self.halo != other.halo:
            return False
        return self.start < other.stop and other.start < self.stop


Touches: TypeAlias = Sequence[Touch]


class Touched:
    """What was touched since the last barrier, found by where it lies.

    Ranges are kept by length, each list sorted by start: those of up to ``2 ** k`` bytes that
    meet another begin at most so far in front of it.
    """

    def __init__(self, touches: Iterable[Touch] = ()) -> None:
        self._known: dict[Touch, None] = {}
        self._by_length: dict[int, list[tuple[int, int, Touch]]] = {}
        self.add(touches)

    def __iter__(self) -> Iterator[Touch]:
        return iter(self._known)

    def add(self, touches: Iterable[Touch]) -> None:
        for touch in touches:
            if touch not in self._known:
                row = self._by_length.setdefault((touch.stop - touch.start).bit_length(), [])
                insort(row, (touch.start, len(self._known), touch))
                self._known[touch] = None

    def races(self, touches: Iterable[Touch]) -> bool:
        """Whether order between these and any of ``touches`` matters."""
        return any(one.conflicts(touch) for touch in touches for one in self._near(touch))

    def _near(self, touch: Touch) -> Iterator[Touch]:
        for bits, row in self._by_length.items():
            for start, _, one in row[bisect_left(row, (touch.start - (1 << bits),)) :]:
                if start >= touch.stop:
                    break
                yield one


def set_barriers(words: Sequence[list[int]], touches: Callable[[int], Touches]) -> None:
    """Sets the barrier of each row before one that would race with it or an earlier one.

    ``touches(row)`` says what a launch, or a tile as a whole, reads and writes.
    """
    _Fences(words, touches).fence(0, len(words), Touched())


class _Fences:
    def __init__(self, words: Sequence[list[int]], touches: Callable[[int], Touches]) -> None:
        self.words = words
        self.touches = touches

    def fence(self, first: int, end: int, since: Touched) -> Touched:
        """Orders the rows from ``first`` to ``end`` among themselves and after ``since``.

        Gives what was touched since the last barrier.
        """
        previous = first
        for row in self._units(first, end):
            if self._asks(row):
                since, previous = self._guarded(row), row
                continue
            touched = self._all_touches(row)
            if since.races(touched):
                self.words[previous][BARRIER] = 1
                since = Touched()
            if self.words[row][OPERATION] == LOOP:
                since = self._loop(row, since)
            else:
                since.add(touched)
            previous = row
        return since

    def _asks(self, row: int) -> bool:
        """Whether a flag decides on the body of ``row``: all threads wait there for what is before
        it."""
        return self.words[row][OPERATION] in (IF, WHILE)

    def _guarded(self, row: int) -> Touched:
        """Orders the body of a row that asks: before each trip, and after the last, all wait."""
        left = self.fence(row + 1, self._end(row), Touched())
        return left if self.words[row][OPERATION] == IF else Touched()

    def _loop(self, row: int, since: Touched) -> Touched:
        """Orders the body of a loop, in which each trip also follows the one before."""
        first, end, trips = row + 1, self._end(row), self.words[row][TRIPS]
        if first == end or trips == 0:
            return since
        left = self.fence(first, end, Touched())
        if trips > 1 and left.races(self._until_barrier(first, end)):
            *_, last = self._units(first, end)
            self.words[last][BARRIER] = 1
            left = Touched()
        waits = any(self._waits(unit) for unit in self._units(first, end))
        if waits:
            return left
        since.add(left)
        return since

    def _until_barrier(self, first: int, end: int) -> Touches:
        """What a body touches before its threads first wait for one another."""
        found: list[Touch] = []
        for row in self._units(first, end):
            if self._asks(row):
                break
            found += self._all_touches(row)
            if self.words[row][BARRIER]:
                break
        return found

    def _waits(self, row: int) -> bool:
        return self._asks(row) or self.words[row][BARRIER] == 1

    def _all_touches(self, row: int) -> Touches:
        if self.words[row][OPERATION] not in (LOOP, IF, WHILE):
            return self.touches(row)
        inner = (self._all_touches(unit) for unit in self._units(row + 1, self._end(row)))
        return list(dict.fromkeys(touch for touched in inner for touch in touched))

    def _units(self, first: int, end: int) -> Iterable[int]:
        """Rows that follow one another: launches, and the heads of tiles and loops."""
        while first < end:
            yield first
            first = self._end(first)

    def _end(self, row: int) -> int:
        """The row after ``row`` and its body."""
        word = self.words[row]
        return row + 1 + (0 if word[OPERATION] == LAUNCH else word[BODY_ROWS])
