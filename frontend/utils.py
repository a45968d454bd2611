"""Helpers under the names of ``keras.utils``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from ..runtime.arrays import is_float
from .accepted import AnyFloat, Natural
from .allocation import require_memory
from .arguments import checked
from .dtypes import as_array, standard_dtype
from .errors import UsageError, shown
from .naming import clear_session
from .ops.core import normal_axis
from .progress import Progbar
from .random import set_random_seed
from .training.batch import pack_x_y_sample_weight, unpack_x_y_sample_weight
from .training.dataset import PyDataset
from .training.splitting import split_dataset
from .training.text_files import text_dataset_from_directory
from .training.timeseries import timeseries_dataset_from_array

Sequence = PyDataset  # its older name


@checked
def to_categorical(x: Any, num_classes: Natural | None = None) -> np.ndarray:
    """Classes as rows of 0 with a 1: shape ``(...)`` to ``(..., num_classes)``, float32.

    Raises:
        ValueError: a class is negative, or not below ``num_classes``.
    """
    array = as_array(x)
    if is_float(array.dtype) and not np.isfinite(array).all():
        raise UsageError("to_categorical: expected finite classes; received NaN or infinity")
    classes = array.astype("int64")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    highest = int(classes.max(initial=-1))
    count = highest + 1 if num_classes is None else num_classes
    if classes.size and (classes.min() < 0 or highest >= count):
        raise UsageError(
            f"to_categorical: expected classes from 0 to {count - 1}; received {classes.min()} to "
            f"{highest}"
        )
    require_memory("to_categorical", (count, count), np.dtype("float32"))
    return np.eye(count, dtype="float32")[classes]


@checked
def normalize(x: Any, axis: int = -1, order: float = 2) -> np.ndarray:
    """x divided by its length along ``axis``; vectors of zeros stay as they are."""
    array = as_array(x)
    normal_axis(axis, max(array.ndim, 1))
    array = np.atleast_1d(array)
    length = np.atleast_1d(np.linalg.norm(array, order, axis, keepdims=True))
    return array / np.where(length == 0, 1, length)


@checked
def pad_sequences(
    sequences: Iterable[Any],
    maxlen: Natural | None = None,
    dtype: Any = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: AnyFloat | str = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array, shape ``(len(sequences), maxlen, ...)``.

    Args:
        maxlen: the length of all; that of the longest unless given.
        dtype: of the result; ``object`` or ``str`` for sequences of strings.
        padding: whether ``value`` comes before ("pre") or after ("post") a shorter sequence.
        truncating: whether the beginning ("pre") or the end of a longer one is left out.

    Raises:
        ValueError: something is no sequence, or steps have different shapes.
    """
    of_strings = isinstance(dtype, (type, str, np.dtype)) and dtype in _STRINGS
    kind = np.dtype(object) if of_strings else standard_dtype(dtype).numpy
    rows = [_sequence(row, kind) for row in sequences]
    length = max((len(row) for row in rows), default=0) if maxlen is None else maxlen
    step = next((row.shape[1:] for row in rows if len(row)), ())
    require_memory("pad_sequences", (len(rows), length, *step), kind)
    if not of_strings:
        _check_value(value, kind)
    padded = np.full((len(rows), length, *step), value, kind)
    for place, row in enumerate(rows):
        if len(row) and row.shape[1:] != step:
            raise UsageError(
                f"pad_sequences: expected steps of shape {step} as in the first sequence; received "
                f"{row.shape[1:]} in sequence {place}"
            )
        kept = row[max(len(row) - length, 0) :] if truncating == "pre" else row[:length]
        start = length - len(kept) if padding == "pre" else 0
        if len(kept):
            padded[place, start : start + len(kept)] = kept
    return padded.astype(str) if of_strings and dtype in (str, "str") else padded


_STRINGS = (object, "object", str, "str")


def _check_value(value: Any, kind: np.dtype) -> None:
    limits = np.iinfo(kind) if kind.kind in "iu" else None
    if isinstance(value, str) or (limits and not limits.min <= value <= limits.max):
        raise UsageError(f"pad_sequences: expected a value that {kind} holds; received {value!r}")


def _sequence(row: Any, dtype: np.dtype) -> np.ndarray:
    array = np.array(row, dtype) if dtype.kind == "O" else as_array(row).astype(dtype)
    if not array.ndim:
        raise UsageError(
            f"pad_sequences: expected sequences of steps; received {shown(row)} as one"
        )
    return array


__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "normalize",
    "pad_sequences",
    "pack_x_y_sample_weight",
    "set_random_seed",
    "split_dataset",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
