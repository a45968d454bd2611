"""How long work takes by estimate, and how threads share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..runtime.dim import Size, evaluate, symbols_of
from .units import BATCH, format_seconds

USUAL_SIZE = 64  # what symbolic sizes are taken to be, other than the batch
BARELY = 0.85  # of the time one after another: what is saved has to be worth it


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


class SideBySide:
    """Work that can be done beside other work: microseconds that all of it takes then, and one
    after another."""

    beside: float
    after: float

    @property
    def pays(self) -> bool:
        return self.beside < BARELY * self.after

    @property
    def gain(self) -> float:
        return self.after - self.beside

    @property
    def compared(self) -> str:
        beside, after = (format_seconds(each / 1e6) for each in (self.beside, self.after))
        return f"{beside} beside one another, {after} one after another"


def size_of(size: Size, samples: int) -> int:
    """``size`` for so many samples; other symbols are taken to be of a usual size."""
    return evaluate(size, {**dict.fromkeys(symbols_of(size), USUAL_SIZE), BATCH: samples})


def longest_share(lengths: Sequence[float], threads: int) -> float:
    """How long the thread works that works longest, if each takes the longest that is left."""
    shares = [0.0] * threads
    for length in sorted(lengths, reverse=True):
        shares[shares.index(min(shares))] += length
    return max(shares)
