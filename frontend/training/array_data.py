"""Batches out of arrays: slices of them, or rows gathered in random order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dtypes import PAD_THEM
from ..errors import UsageError, shown
from .batch import Batch
from .nested import Intake, leaves, mapped, shapes
from .sample_weights import weights_for

DEFAULT_BATCH_SIZE = 32


class ArrayData:
    """Arrays that are cut into batches; the last batch is smaller where the rows do not divide.

    Args:
        x, y, sample_weight: nestings of contiguous arrays with one number of rows, 1 or more.
        batch_size: rows a batch.
        shuffle: True gathers the rows in an order drawn anew for each pass, by numpy's global
            stream; "batch" shuffles within each batch alone.
    """

    restarts = True

    def __init__(
        self, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool | str
    ) -> None:
        self._whole = Batch(x, y, sample_weight)
        self._arrays = leaves([x, y, sample_weight])
        self._rows = len(self._arrays[0])
        self._size = min(batch_size, self._rows)
        self._shuffle = shuffle
        self._buffers: list[np.ndarray] | None = None

    @property
    def known(self) -> Batch:
        """All of the data."""
        return self._whole

    @property
    def count(self) -> int:
        """The number of batches."""
        return math.ceil(self._rows / self._size)

    def batches(self) -> Iterator[Batch]:
        """One pass over the data."""
        return self._gathered() if self._shuffle else self._slices()

    def on_epoch_begin(self) -> None:
        """Nothing: arrays stay as they are."""

    def on_epoch_end(self) -> None:
        """Nothing: arrays stay as they are."""

    def _slices(self) -> Iterator[Batch]:
        for start in range(0, self._rows, self._size):
            rows = slice(start, start + self._size)
            yield self._nested([array[rows] for array in self._arrays])

    def _gathered(self) -> Iterator[Batch]:
        """All batches share their memory, so that gathering into it is all that a batch costs."""
        order, size = self._order(), self._size
        full = self._memory(size)
        batch = self._nested(full)
        pairs = [(a.take, out) for a, out in zip(self._arrays, full, strict=True)]
        even = self._rows - self._rows % size
        for start in range(0, even, size):
            rows = order[start : start + size]
            for take, out in pairs:
                take(rows, 0, out, "clip")  # "raise" would gather into a second buffer first
            yield batch
        if even < self._rows:
            yield self._rest(order[even:])

    def _rest(self, rows: np.ndarray) -> Batch:
        memory = self._memory(len(rows))
        for array, out in zip(self._arrays, memory, strict=True):
            array.take(rows, 0, out, "clip")
        return self._nested(memory)

    def _order(self) -> np.ndarray:
        if self._shuffle != "batch":
            return np.random.permutation(self._rows)
        starts = range(0, self._rows, self._size)
        lengths = [min(self._size, self._rows - start) for start in starts]
        pairs = zip(starts, lengths, strict=True)
        return np.concatenate([np.random.permutation(n) + start for start, n in pairs])

    def _memory(self, rows: int) -> list[np.ndarray]:
        if self._buffers is None:
            shapes = [(self._size, *array.shape[1:]) for array in self._arrays]
            pairs = zip(shapes, self._arrays, strict=True)
            self._buffers = [np.empty(shape, array.dtype) for shape, array in pairs]
        return [buffer[:rows] for buffer in self._buffers]

    def _nested(self, arrays: list[np.ndarray]) -> Batch:
        remaining = iter(arrays)
        whole = self._whole
        return Batch(*(
            mapped(lambda _: next(remaining), part)
            for part in (whole.x, whole.y, whole.sample_weight)
        ))  # fmt: skip


def array_data(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Any = None,
    intake: Intake | None = None,
) -> ArrayData:
    """Arrays as a source of batches.

    Without ``batch_size`` it is 32, or what gives ``steps`` batches in one pass. ``intake`` is that
    of the model.

    Raises:
        ValueError: no rows, or not one number of them; a batch size below 1.
        TypeError: something is no array of numbers.
    """
    intake = intake or Intake()
    x, y = intake.x(x), intake.y(y)
    weights = weights_for(y, sample_weight, class_weight, intake)
    rows = number_of_rows(x, y, weights)
    size = checked_batch_size(batch_size)
    if size is None:
        size = math.ceil(rows / steps) if steps else DEFAULT_BATCH_SIZE
    return ArrayData(x, y, weights, size, shuffle)


def checked_batch_size(batch_size: Any) -> int | None:
    """The batch size, or None. Raises ``ValueError`` unless it is an int of 1 or more."""
    if batch_size is None:
        return None
    is_int = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not is_int or batch_size < 1:
        raise UsageError(
            f"expected batch_size as an int of 1 or more; received {shown(batch_size)}"
        )
    return int(batch_size)


def number_of_rows(x: Any, y: Any, sample_weight: Any) -> int:
    """The number of samples, which all arrays have to share.

    Raises:
        ValueError: they do not, or there is no sample.
    """
    arrays = leaves([x, y, sample_weight])
    if not leaves(x):
        raise UsageError(f"expected x as arrays, or as data that give batches; received {shown(x)}")
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        parts = {"x": x, "y": y, "sample_weight": sample_weight}
        message = "; ".join(f"{n} {shapes(part)}" for n, part in parts.items() if part is not None)
        raise UsageError(
            f"expected arrays of one number of samples, their first axis; received {message}"
            f"{_stack_hint(x, y)}"
        )
    if counts == {0}:
        raise UsageError(f"expected at least one sample; received x {shapes(x)}")
    return int(counts.pop())


def _stack_hint(x: Any, y: Any) -> str:
    """A list of rows reads as several arrays."""
    for name, part in (("x", x), ("y", y)):
        if isinstance(part, (list, tuple)) and len(part) > 2:
            alike = len({np.shape(each) for each in part}) == 1
            remedy = f"np.stack({name}) makes one array of them" if alike else PAD_THEM
            return f". A list of {len(part)} arrays stands for as many; {remedy}"
    return ""


def split(
    x: Any, y: Any, sample_weight: Any, fraction: float, intake: Intake | None = None
) -> tuple[Any, Any]:
    """Data for training and the last ``fraction`` of them for validation, each (x, y, weights).

    ``intake`` is that of the model.

    Raises:
        ValueError: the fraction is not between 0 and 1, or leaves one part empty.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"expected validation_split between 0 and 1; received {shown(fraction)}")
    intake = intake or Intake()
    data = (intake.x(x), intake.y(y), intake.weights(sample_weight))
    rows = number_of_rows(*data)
    kept = math.floor(rows * (1.0 - fraction))
    if kept in (0, rows):
        raise UsageError(
            f"validation_split={fraction}: expected samples enough for both parts; received {rows}"
        )
    head = tuple(mapped(lambda array: array[:kept], part) for part in data)
    tail = tuple(mapped(lambda array: array[kept:], part) for part in data)
    return head, tail
