"""Targets that name classes, held against the classes that there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import losses
from ..errors import UsageError

_SPARSE = (losses.sparse_categorical_crossentropy, losses.categorical_generalized_cross_entropy)


def check_array(loss: Any, labels: np.ndarray, shape: tuple[Any, ...], head: str = "") -> None:
    """Raises ``ValueError`` for labels out of range, with ``head`` in front of the message.

    Args:
        loss: a loss or a function; all but the sparse ones take any targets.
        shape: of the predictions.
    """
    options = getattr(loss, "options", {})
    if not takes_classes(loss) or not labels.size:
        return
    classes = shape[options.get("axis", -1)]
    if classes is None or (labels.dtype.kind in "iub" and _within(labels, classes)):
        return
    wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if options.get("ignore_class") is not None:
        wrong &= labels != options["ignore_class"]
    if wrong.any():
        raise _wrong_label(labels, wrong, classes, head)


def takes_classes(loss: Any) -> bool:
    """Whether the targets of a loss are indices of classes."""
    return getattr(loss, "fn", loss) in _SPARSE


def _within(labels: np.ndarray, classes: int) -> bool:
    return bool(labels.min() >= 0 and labels.max() < classes)


def _wrong_label(labels: np.ndarray, wrong: np.ndarray, classes: int, head: str) -> UsageError:
    place = tuple(int(index[0]) for index in np.nonzero(wrong))
    return UsageError(
        f"{head}expected targets from 0 to {classes - 1}, for the {classes} classes that the model "
        f"predicts; received {labels[place]} at index {place}, and {int(wrong.sum())} such targets "
        "in all. Count classes from 0, give the last layer more units, or leave one class out with "
        "SparseCategoricalCrossentropy(ignore_class=...)"
    )
