"""``keraunos.utils.split_dataset``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..accepted import Natural
from ..arguments import checked
from ..errors import UsageError
from .array_data import number_of_rows
from .nested import as_contiguous, as_given, mapped

Size = float | int | None


@checked
def split_dataset(
    dataset: Any,
    left_size: Size = None,
    right_size: Size = None,
    shuffle: bool = False,
    seed: Natural | None = None,
) -> tuple[Any, Any]:
    """Arrays of one number of samples as two parts, each nested as they are.

    Args:
        dataset: an array, or a list, tuple or dict of them.
        left_size, right_size: samples of a part, an int, or the share of all, a float; what is
            None is the rest.
        shuffle: whether to draw the samples of each part at random.
        seed: for shuffling; unless given, numpy's global stream is used.

    Returns:
        The two parts as arrays; Keras would return datasets of TensorFlow.

    Raises:
        ValueError: the sizes do not split the samples.
        TypeError: something is no array of numbers.
    """
    data = mapped(lambda array: as_contiguous(array, as_given), dataset)
    rows = number_of_rows(data, None, None)
    left, right = _sizes(rows, left_size, right_size)
    if not shuffle:
        head, tail = slice(left), slice(rows - right, rows)
        return mapped(lambda array: array[head], data), mapped(lambda array: array[tail], data)
    order = (np.random if seed is None else np.random.RandomState(seed)).permutation(rows)
    first, last = order[:left], order[rows - right :]
    return mapped(lambda array: array[first], data), mapped(lambda array: array[last], data)


def _sizes(rows: int, left: Size, right: Size) -> tuple[int, int]:
    if left is None and right is None:
        raise UsageError("split_dataset: expected left_size, right_size or both; received neither")
    counts = [None if size is None else _count(size, rows) for size in (left, right)]
    known = [count for count in counts if count is not None]
    rest = rows - known[0]
    first, second = (rest if count is None else count for count in counts)
    if min(first, second) < 1 or first + second > rows:
        raise UsageError(
            f"split_dataset: expected two sizes of 1 or more that {rows} samples have room for; "
            f"received {left} and {right}"
        )
    return first, second


def _count(size: float | int, rows: int) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise UsageError(f"split_dataset: expected sizes as int or float; received {size!r}")
    if isinstance(size, float):
        if not 0 < size < 1:
            raise UsageError(
                f"split_dataset: expected a float size as a fraction between 0 and 1; received "
                f"{size!r}"
            )
        return round(size * rows)
    return size
