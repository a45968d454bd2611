"""Helpers under the names of ``keras.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .naming import clear_session
from .progress import Progbar
from .random import set_random_seed
from .training.batch import pack_x_y_sample_weight, unpack_x_y_sample_weight
from .training.dataset import PyDataset
from .training.splitting import split_dataset

Sequence = PyDataset  # its older name


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Classes as rows of 0 with a 1: shape ``(...)`` to ``(..., num_classes)``, float32.

    Raises:
        ValueError: a class is negative, or not below ``num_classes``.
    """
    classes = np.asarray(x, dtype="int64")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    highest = int(classes.max(initial=-1))
    count = highest + 1 if num_classes is None else num_classes
    if classes.size and (classes.min() < 0 or highest >= count):
        raise ValueError(
            f"to_categorical: expected classes from 0 to {count - 1}; received {classes.min()} to "
            f"{highest}"
        )
    return np.eye(count, dtype="float32")[classes]


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x divided by its length along ``axis``; what has no length stays 0."""
    array = np.asarray(x)
    length = np.atleast_1d(np.linalg.norm(array, order, axis, keepdims=True))
    return array / np.where(length == 0, 1, length)


__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "normalize",
    "pack_x_y_sample_weight",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
