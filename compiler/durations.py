"""How long work takes by estimate, and how threads share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Duration:
    """Microseconds: where one thread does the work, and where all share it and wait at its end."""

    alone: float
    shared: float

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.alone + other.alone, self.shared + other.shared)

    def __mul__(self, times: int) -> Duration:
        return Duration(self.alone * times, self.shared * times)


NO_TIME = Duration(0.0, 0.0)


def longest_share(lengths: Sequence[float], threads: int) -> float:
    """How long the thread works that works longest, if each takes the longest that is left."""
    shares = [0.0] * threads
    for length in sorted(lengths, reverse=True):
        shares[shares.index(min(shares))] += length
    return max(shares)
