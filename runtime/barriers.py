"""Where the rows of a table must wait for one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .dispatcher import LAUNCH, LOOP

OPERATION, BARRIER, BODY_ROWS, TRIPS = 0, 1, 2, 3  # words of a row


@dataclass(frozen=True)
class Touch:
    """A stretch of memory that a row reads or writes."""

    slot: int
    start: int
    stop: int
    write: bool
    border: bool

    def conflicts(self, other: Touch) -> bool:
        """Whether order between the two matters."""
        if not (self.write or other.write):
            return False
        if self.slot == other.slot and self.write and other.write and self.border != other.border:
            return False
        return self.start < other.stop and other.start < self.stop


Touches: TypeAlias = Sequence[Touch]


def set_barriers(words: Sequence[list[int]], touches: Callable[[int], Touches]) -> None:
    """Sets the barrier of each row before one that would race with it or an earlier one.

    ``touches(row)`` says what a launch, or a tile as a whole, reads and writes.
    """
    _Fences(words, touches).fence(0, len(words), [])


class _Fences:
    def __init__(self, words: Sequence[list[int]], touches: Callable[[int], Touches]) -> None:
        self.words = words
        self.touches = touches

    def fence(self, first: int, end: int, since: Touches) -> Touches:
        """Orders the rows from ``first`` to ``end`` among themselves and after ``since``.

        Gives what was touched since the last barrier.
        """
        previous = first
        for row in self._units(first, end):
            touched = self._all_touches(row)
            if _race(since, touched):
                self.words[previous][BARRIER] = 1
                since = []
            if self.words[row][OPERATION] == LOOP:
                since = self._loop(row, since)
            else:
                since = [*since, *touched]
            previous = row
        return since

    def _loop(self, row: int, since: Touches) -> Touches:
        """Orders the body of a loop, in which each trip also follows the one before."""
        first, end, trips = row + 1, self._end(row), self.words[row][TRIPS]
        if first == end or trips == 0:
            return since
        left = self.fence(first, end, [])
        if trips > 1 and _race(left, self._until_barrier(first, end)):
            *_, last = self._units(first, end)
            self.words[last][BARRIER] = 1
            left = []
        waits = any(self.words[unit][BARRIER] for unit in self._units(first, end))
        return left if waits else [*since, *left]

    def _until_barrier(self, first: int, end: int) -> Touches:
        """What a body touches before its threads first wait for one another."""
        found: list[Touch] = []
        for row in self._units(first, end):
            found += self._all_touches(row)
            if self.words[row][BARRIER]:
                break
        return found

    def _all_touches(self, row: int) -> Touches:
        if self.words[row][OPERATION] != LOOP:
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


def _race(before: Touches, after: Touches) -> bool:
    return any(one.conflicts(other) for one in before for other in after)
