"""Memory: aligned arrays, and values of known size and lifetime placed in one arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ALIGNMENT = 64


def aligned_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that begin a cache line, as vectors like it."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + size].view(dtype).reshape(shape)


def fitting(value: Any, dtype: np.dtype) -> np.ndarray:
    """``value`` as programs take it: of ``dtype``, contiguous and aligned; itself where it is so.

    Its shape stays, () included, which ``np.ascontiguousarray`` would make (1,).
    """
    if type(value) is np.ndarray and value.dtype == dtype:  # the way of every batch
        flags = value.flags
        if flags.c_contiguous and flags.aligned:
            return value
    array = np.asarray(value, dtype, order="C")
    return array if array.flags.aligned else array.copy()


@dataclass(frozen=True)
class Interval:
    """``bytes`` needed from step ``first`` to step ``last``, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Interval) -> bool:
        return self.first <= other.last and other.first <= self.last


def assign_offsets(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """Offsets at which no two values that live together overlap, and the arena's size in bytes.

    Greedy by size, each at the lowest gap that fits (Pisarchyk & Lee 2020, "Efficient memory
    management for deep neural net inference"): within a few per cent of the lower bound on
    networks, and fast enough to run for every new batch size.
    """
    offsets = [0] * len(intervals)
    placed: list[int] = []
    total = 0
    for index in sorted(range(len(intervals)), key=lambda i: (-intervals[i].bytes, i)):
        wanted = intervals[index]
        busy = sorted(
            (offsets[p], offsets[p] + intervals[p].bytes)
            for p in placed
            if intervals[p].meets(wanted)
        )
        offsets[index] = _first_gap(busy, wanted.bytes)
        placed.append(index)
        total = max(total, align(offsets[index] + wanted.bytes))
    return offsets, total


def _first_gap(busy: list[tuple[int, int]], size: int) -> int:
    start = 0
    for low, high in busy:
        if low - start >= size:
            return start
        start = max(start, align(high))
    return start


def align(size: int) -> int:
    """``size`` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT
