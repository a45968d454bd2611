"""Batches out of whatever ``predict`` is given: arrays, sequences of batches, generators."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError


@dataclass(frozen=True)
class Batches:
    """Batches, each what ``predict_on_batch`` takes, and how many there are (None: unknown)."""

    items: Iterable[Any]
    count: int | None


def is_stream(value: Any) -> bool:
    """Whether a value gives batches by itself: a generator, an iterator, a ``PyDataset``, ..."""
    if isinstance(value, (list, tuple, dict, str)) or _is_array(value):
        return False
    indexed = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return indexed or hasattr(value, "__iter__") or hasattr(value, "__next__")


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__dlpack__")


def of_stream(stream: Any, steps: int | None) -> Batches:
    """The batches of a stream, at most ``steps`` of them; targets beside inputs are left out."""
    count = _length(stream)
    if steps is not None:
        count = steps if count is None else min(steps, count)
    return Batches((_inputs_of(batch) for batch in _limited(stream, count)), count)


def _length(stream: Any) -> int | None:
    for name in ("num_batches", "__len__"):
        length = getattr(stream, name, None)
        try:
            found = length() if callable(length) else length
        except TypeError:
            continue
        if found is not None:
            return int(found)
    return None


def _limited(stream: Any, count: int | None) -> Iterator[Any]:
    source = _iterated(stream)
    made = 0
    while count is None or made < count:
        try:
            yield next(source)
        except StopIteration:
            if count is not None and made < count:
                raise UsageError(
                    f"expected {count} batches; the data ended after {made}. Pass a smaller steps="
                ) from None
            return
        made += 1


def _iterated(stream: Any) -> Iterator[Any]:
    if hasattr(stream, "__next__"):
        return iter(stream)
    if hasattr(stream, "__getitem__") and hasattr(stream, "__len__"):
        return (stream[index] for index in range(len(stream)))
    return iter(stream)


def _inputs_of(batch: Any) -> Any:
    """``x`` of ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, weights)``."""
    return batch[0] if isinstance(batch, tuple) and 1 <= len(batch) <= 3 else batch


def of_arrays(arrays: list[np.ndarray], batch_size: int | None, steps: int | None) -> Batches:
    """Slices of arrays, 32 rows at a time unless told otherwise.

    Raises:
        ValueError: the arrays differ in their number of rows; the batch size is not positive.
    """
    size = 32 if batch_size is None else batch_size
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise UsageError(f"expected batch_size as an int of 1 or more; received {batch_size!r}")
    rows = {array.shape[0] for array in arrays}
    if len(rows) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UsageError(f"expected inputs of one number of samples; received shapes {shapes}")
    total = rows.pop()
    count = max(math.ceil(total / size), 1)
    if steps is not None:
        count = min(count, steps)
    starts = range(0, count * size, size)
    return Batches(([array[i : i + size] for array in arrays] for i in starts), count)
