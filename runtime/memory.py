"""Memory: aligned arrays, and values of known size and lifetime placed in one arena."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
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


def _address_by_interface(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


_DATA = object.__basicsize__  # of PyArrayObject: the head of all objects, then `char *data`
_word_at = ctypes.c_size_t.from_address


def _address_by_layout(array: np.ndarray) -> int:
    return _word_at(id(array) + _DATA).value


def _is_laid_out_so() -> bool:
    """Whether arrays are structs as numpy's C interface has them, in this Python too."""
    probe = np.zeros(3)
    places = (probe, probe[1:], probe.view(np.recarray))
    return sys.implementation.name == "cpython" and all(
        _address_by_layout(each) == _address_by_interface(each) for each in places
    )


# Numpy makes a dict of six entries to tell an address: 1.4 us, as long as a small kernel runs.
address_of: Callable[[np.ndarray], int] = (
    _address_by_layout if _is_laid_out_so() else _address_by_interface
)
"""Where an array lies; only for arrays of numpy and its subclasses, and while they live."""


@dataclass(frozen=True)
class Interval:
    """``bytes`` needed from step ``first`` to step ``last``, both included."""

    bytes: int
    first: int
    last: int


def assign_offsets(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """Offsets at which no two values that live together overlap, and the arena's size in bytes.

    Greedy by size, each at the lowest gap that fits (Pisarchyk & Lee 2020, "Efficient memory
    management for deep neural net inference"): within a few per cent of the lower bound on
    networks, and fast enough to run for every new batch size.
    """
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].bytes, i))
    first = np.array([intervals[i].first for i in order], np.int64)
    last = np.array([intervals[i].last for i in order], np.int64)
    low, high = np.zeros_like(first), np.zeros_like(first)
    offsets, total = [0] * len(intervals), 0
    # A network in training has thousands of values that live together: no loop over pairs.
    for rank, index in enumerate(order):
        wanted = intervals[index]
        busy = (first[:rank] <= wanted.last) & (last[:rank] >= wanted.first)
        start = _first_gap(low[:rank][busy], high[:rank][busy], wanted.bytes)
        offsets[index] = low[rank] = start
        high[rank] = align(start + wanted.bytes)
        total = max(total, align(start + wanted.bytes))
    return offsets, total


def _first_gap(low: np.ndarray, high: np.ndarray, size: int) -> int:
    """The lowest start of ``size`` bytes beside what lies from ``low`` up to ``high``."""
    if not low.size:
        return 0
    order = np.lexsort((high, low))
    ends = np.maximum.accumulate(high[order])
    starts = np.concatenate(([0], ends[:-1]))
    fits = low[order] - starts >= size
    return int(starts[fits.argmax()] if fits.any() else ends[-1])


def align(size: int) -> int:
    """``size`` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT
