"""A topological order that is kept up to date while edges are added.

D. J. Pearce and P. H. J. Kelly, "A dynamic topological sort algorithm for directed acyclic graphs",
ACM Journal of Experimental Algorithmics 11, 2007: an edge that agrees with the order kept costs
nothing, and others move only what lies between their ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


class Order:
    """Numbers from 0 on; each waits for those in ``before[number]``, at first for lower ones."""

    def __init__(self, before: Sequence[Iterable[int]]) -> None:
        self.before = [set(numbers) for numbers in before]
        self._after: list[set[int]] = [set() for _ in before]
        for number, waits_for in enumerate(self.before):
            for other in waits_for:
                self._after[other].add(number)
        self._rank = list(range(len(self.before)))

    def put_before(self, earlier: Collection[int], later: int) -> bool:
        """Makes ``later`` wait for all of ``earlier``; False, and nothing, if one waits for it."""
        above = self._between(earlier, self.before, low=self._rank[later])
        if later in above:
            return False
        if above:
            high = max(self._rank[number] for number in above)
            self._move(above, self._between([later], self._after, high=high))
        self.before[later].update(earlier)
        for number in earlier:
            self._after[number].add(later)
        return True

    def _between(
        self,
        starts: Iterable[int],
        edges: Sequence[set[int]],
        low: int = -1,
        high: int | None = None,
    ) -> set[int]:
        """What ``edges`` lead to from ``starts``, by way of ranks from ``low`` to ``high``."""
        last = len(self._rank) if high is None else high
        found: set[int] = set()
        stack = list(starts)
        while stack:
            number = stack.pop()
            if number not in found and low <= self._rank[number] <= last:
                found.add(number)
                stack.extend(edges[number])
        return found

    def _move(self, first: set[int], second: set[int]) -> None:
        """Gives ``first``, then ``second``, each in the order that it has, the ranks of both."""
        numbers = [*sorted(first, key=self._rank.__getitem__)]
        numbers += sorted(second, key=self._rank.__getitem__)
        ranks = sorted(self._rank[number] for number in numbers)
        for number, rank in zip(numbers, ranks, strict=True):
            self._rank[number] = rank
