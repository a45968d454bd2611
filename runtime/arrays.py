"""Arrays on the host: aligned, as programs take them, and where they lie.

Names of dtypes are numpy's, which knows bfloat16 once ``ml_dtypes`` is imported.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from .memory import ALIGNMENT

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def is_float(dtype: np.dtype) -> bool:
    """Whether it is of floating point numbers; bfloat16 has a kind of its own in numpy."""
    return dtype.kind == "f" or dtype == BFLOAT16


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


def array_at(address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array that lies at an address, for as long as whoever owns the memory keeps it."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    memory = memoryview((ctypes.c_uint8 * size).from_address(address))
    return np.frombuffer(memory, dtype).reshape(shape)


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
