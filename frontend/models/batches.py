"""Batches out of whatever ``predict`` is given: arrays, sequences of batches, generators."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..training.array_data import DEFAULT_BATCH_SIZE, checked_batch_size
from ..training.batch import unpack_x_y_sample_weight
from ..training.streams import iterated, length_of


@dataclass(frozen=True)
class Batches:
    """Batches, each what ``predict_on_batch`` takes, and how many there are (None: unknown)."""

    items: Iterable[Any]
    count: int | None


def of_stream(stream: Any, steps: int | None) -> Batches:
    """The batches of a stream, at most ``steps`` of them; targets beside inputs are left out."""
    count = length_of(stream)
    if steps is not None:
        count = steps if count is None else min(steps, count)
    return Batches((unpack_x_y_sample_weight(batch)[0] for batch in _limited(stream, count)), count)


def _limited(stream: Any, count: int | None) -> Iterator[Any]:
    source = iterated(stream)
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


def of_arrays(arrays: list[np.ndarray], batch_size: int | None, steps: int | None) -> Batches:
    """Slices of arrays; without a batch size, of 32 rows, or so that there are ``steps`` of them.

    Raises:
        ValueError: the arrays differ in their number of rows; the batch size is not positive.
    """
    rows = {array.shape[0] for array in arrays}
    if len(rows) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UsageError(f"expected inputs of one number of samples; received shapes {shapes}")
    total = rows.pop()
    size = checked_batch_size(batch_size)
    if size is None:
        size = max(math.ceil(total / steps), 1) if steps else DEFAULT_BATCH_SIZE
    count = max(math.ceil(total / size), 1)
    if steps is not None:
        count = min(count, steps)
    starts = range(0, count * size, size)
    return Batches(([array[i : i + size] for array in arrays] for i in starts), count)
