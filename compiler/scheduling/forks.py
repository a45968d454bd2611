"""Forks: steps that do not read one another's results, run beside one another.

A fork lies within a stretch of steps in their order. The steps that depend on one another there, in
whatever way, make a branch; a thread runs a branch from its first step to its last and waits for
nobody. So threads have work where a step alone has too little for all of them, and nobody waits
after each step. Which stretches those are is decided by what a target says steps cost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from ..durations import Duration, SideBySide, longest_share
from ..ir.graph import Node
from .schedule import BatchTile, Fork, Schedule

LONGEST = 48  # runs in a fork: looking further ahead costs time that grows with it
WIDEST = 16  # branches in a fork
RUN = 10.0  # microseconds: steps of a chain that together take no longer are one run


Branches: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Stretch(SideBySide):
    """Steps that follow one another, as the branches they make.

    ``beside`` is how many microseconds they take beside one another, ``after`` one after another,
    and ``overlap`` what all branches but the longest take.
    """

    branches: Branches
    beside: float
    after: float
    overlap: float


@dataclass(frozen=True)
class Threads:
    """So many threads, and for how many microseconds one waits for another where branches end."""

    count: int
    wait: float

    def stretch(self, branches: Branches, durations: Mapping[int, Duration]) -> Stretch:
        branches = tuple(sorted(branches))
        lengths = [sum(durations[i].alone for i in branch) for branch in branches]
        after = sum(durations[i].shared for branch in branches for i in branch)
        beside = longest_share(lengths, self.count) + self.wait
        return Stretch(branches, beside, after, sum(lengths) - max(lengths))


def dependences(schedule: Schedule) -> list[frozenset[int]]:
    """For each step the earlier ones that it has to follow, as it reads or overwrites their
    values or overwrites what they read."""
    values = {value: parameter for parameter, value in schedule.graph.next_values.items()}
    writers: dict[Node, int] = {}
    readers: dict[Node, set[int]] = {}
    found = []
    for index, step in enumerate(schedule.steps):
        reads = {schedule.owners[node] for node in step.operands}
        writes = {schedule.owners[node] for node in step.results}
        updated = {values[node] for node in step.results if node in values}
        writes |= updated & schedule.overwritten
        before = {writers[value] for value in reads | writes if value in writers}
        for value in writes:
            before |= readers.get(value, set())
            writers[value] = index
        for value in reads:
            readers.setdefault(value, set()).add(index)
        found.append(frozenset(before - {index}))
    return found


def by_start(dependent: Sequence[frozenset[int]], durations: Sequence[Duration]) -> list[int]:
    """The order in which steps could start if each had a thread of its own.

    Stages of a pipeline of which later pieces do not wait for earlier ones stand side by side in
    it.
    """
    starts: list[float] = []
    for before in dependent:
        starts.append(max((starts[i] + durations[i].alone for i in before), default=0.0))
    return sorted(range(len(starts)), key=lambda index: (starts[index], index))


def stretches(
    dependent: Sequence[frozenset[int]], durations: Sequence[Duration], threads: Threads
) -> tuple[tuple[Stretch, ...], Stretch | None]:
    """The stretches that save most, none of which meet; and the one with most to run beside."""
    count, by_number = len(durations), dict(enumerate(durations))
    best: list[tuple[float, Branches, int]] = [(0.0, (), count)] * (count + 1)
    nearest: tuple[float, Branches] = (0.0, ())
    ends = _runs(dependent, durations)
    for first in reversed(range(count)):
        best[first] = (best[first + 1][0], (), first + 1)
        after = 0.0
        for start, end, branches, lengths in _from(first, dependent, durations, ends):
            after += sum(durations[i].shared for i in range(start, end))
            if len(branches) < 2:
                continue
            overlap = sum(lengths) - max(lengths)
            if overlap > nearest[0]:
                nearest = overlap, tuple(branches)
            # What the longest branch takes is the least that is left, whoever does the others.
            if after - max(lengths) + best[end][0] <= best[first][0]:
                continue
            stretch = threads.stretch(tuple(branches), by_number)
            total = stretch.gain + best[end][0]
            if stretch.pays and total > best[first][0]:
                best[first] = total, stretch.branches, end
    found, at = [], 0
    while at < count:
        _, branches_, at = best[at]
        found += [threads.stretch(branches_, by_number)] if branches_ else []
    return tuple(found), threads.stretch(nearest[1], by_number) if nearest[1] else None


def _runs(dependent: Sequence[frozenset[int]], durations: Sequence[Duration]) -> list[int]:
    """Where the run of each step ends: of short steps each of which follows the one before it, and
    nothing else that the one before does not."""
    ends = []
    for start in range(len(durations)):
        end, total = start + 1, durations[start].alone
        while end < len(durations) and total + durations[end].alone <= RUN:
            if not end - 1 in dependent[end] <= dependent[end - 1] | {end - 1}:
                break
            total += durations[end].alone
            end += 1
        ends.append(end)
    return ends


def _from(
    first: int,
    dependent: Sequence[frozenset[int]],
    durations: Sequence[Duration],
    ends: Sequence[int],
) -> Iterator[tuple[int, int, list[tuple[int, ...]], list[float]]]:
    """Run after run from ``first`` on: where it starts and ends, the branches so far, in the order
    of their last steps, and how long each takes."""
    branches: list[tuple[int, ...]] = []
    lengths: list[float] = []
    start = first
    for _ in range(LONGEST):
        if start == len(ends) or len(branches) > WIDEST:
            return
        end = ends[start]
        before = dependent[start].union(*dependent[start + 1 : end])
        met = [not before.isdisjoint(branch) for branch in branches]
        joined = sorted(
            i for branch, meets in zip(branches, met, strict=True) if meets for i in branch
        )
        length = sum(each for each, meets in zip(lengths, met, strict=True) if meets)
        branches = [branch for branch, meets in zip(branches, met, strict=True) if not meets]
        lengths = [each for each, meets in zip(lengths, met, strict=True) if not meets]
        branches.append((*joined, *range(start, end)))
        lengths.append(length + sum(durations[i].alone for i in range(start, end)))
        yield start, end, branches, lengths
        start = end


def with_forks(schedule: Schedule, forks: Collection[Fork]) -> Schedule:
    """``schedule`` with the steps of each branch behind one another, and those ``forks``."""
    order = list(range(len(schedule.steps)))
    for fork in forks:
        numbers = [number for branch in fork.branches for number in branch]
        order[min(numbers) : max(numbers) + 1] = numbers
    place = {number: at for at, number in enumerate(order)}
    moved = tuple(
        replace(fork, branches=tuple(tuple(place[i] for i in each) for each in fork.branches))
        for fork in forks
    )
    return replace(schedule, steps=tuple(schedule.steps[i] for i in order), forks=moved)


def divided(tiles: Iterable[BatchTile], schedule: Schedule) -> tuple[BatchTile, ...]:
    """``tiles``, those that lie across the ends of branches divided there.

    A tile may hold a fork as a whole, or lie in a branch. What is left of one is a tile if it has
    several steps or a loop.
    """
    found = []
    for tile in tiles:
        ends = {end for fork in schedule.forks if _crosses(fork, tile) for end in _ends(fork)}
        cuts = sorted({tile.first, tile.last + 1, *ends})
        for first, end in pairwise(cuts):
            inside = tile.first <= first and end <= tile.last + 1
            if inside and (end - first > 1 or schedule.steps[first].loop is not None):
                found.append(replace(tile, first=first, last=end - 1))
    return tuple(found)


def _ends(fork: Fork) -> set[int]:
    """The steps at which a branch begins, and the one after the last."""
    return {*(branch[0] for branch in fork.branches), fork.branches[-1][-1] + 1}


def _crosses(fork: Fork, tile: BatchTile) -> bool:
    first, last = fork.branches[0][0], fork.branches[-1][-1]
    if tile.last < first or last < tile.first or (tile.first <= first and last <= tile.last):
        return False
    return not any(each[0] <= tile.first and tile.last <= each[-1] for each in fork.branches)
