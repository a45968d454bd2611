"""A weight for each sample: as given, or after its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import UsageError, UsageTypeError
from .nested import Intake, is_nested, leaves, mapped


def weights_for(y: Any, sample_weight: Any, class_weight: Any, intake: Intake) -> Any:
    """The weights of samples in the nesting of their targets ``y``; None where there are none.

    Args:
        y: targets as nested contiguous arrays, or None.
        sample_weight: an array, shape ``(samples,)``; or a nesting as that of ``y``.
        class_weight: a weight a class, as a dict; a class that it lacks has weight 1.
        intake: of the model.

    Raises:
        ValueError: both are given; there are several targets or none to take classes from; the
            nesting is another than that of ``y``.
    """
    if class_weight is not None:
        return intake.weights(by_class(y, class_weight, sample_weight))
    return None if sample_weight is None else _spread(y, intake.weights(sample_weight))


def _spread(y: Any, weights: Any) -> Any:
    """One array of weights counts for every target; several are one each."""
    if not is_nested(y):
        return weights
    if is_nested(weights):
        _check_same_nesting(y, weights)
        return weights
    if weights.ndim > 1 and weights.shape != (len(weights), 1):
        raise UsageError(
            f"expected sample_weight of shape ({len(weights)},) beside several targets; received "
            f"shape {weights.shape}. Pass a list or dict of weights, one for each target"
        )
    return mapped(lambda _: weights, y)


def _check_same_nesting(y: Any, weights: Any) -> None:
    names = weights.keys() == y.keys() if isinstance(y, dict) and isinstance(weights, dict) else (
        isinstance(y, dict) == isinstance(weights, dict) and len(y) == len(weights)
    )  # fmt: skip
    if not names:
        raise UsageError(
            f"expected sample_weight nested as the targets, {_shown(y)}; received {_shown(weights)}"
        )


def _shown(data: Any) -> str:
    if isinstance(data, dict):
        return f"a dict of {', '.join(map(str, data))}"
    return f"a {type(data).__name__} of {len(data)} arrays"


def by_class(y: Any, class_weight: Any, sample_weight: Any = None) -> np.ndarray:
    """The weight of each sample's class: float64, shape ``(samples,)``.

    Classes are integers in ``y`` of shape ``(samples,)`` or ``(samples, 1)``, or the places of the
    highest values in rows of ``y``.

    Raises:
        ValueError: there are weights of samples too, or not exactly one array of targets.
        TypeError: ``class_weight`` is no dict.
    """
    if sample_weight is not None:
        raise UsageError(
            "expected class_weight or sample_weight; received both. Multiply them into one "
            "sample_weight"
        )
    if not isinstance(class_weight, Mapping):
        raise UsageTypeError(
            "expected class_weight as a dict from class to weight; received "
            f"{type(class_weight).__name__}. dict(enumerate(weights)) makes one of a list"
        )
    if y is None or is_nested(y):
        received = "no targets" if y is None else f"{len(leaves(y))} of them"
        raise UsageError(f"class_weight: expected one array of targets; received {received}")
    found, places = np.unique(_classes(y), return_inverse=True)
    weights = [class_weight.get(int(label), 1.0) if np.isfinite(label) else 1.0 for label in found]
    return np.array(weights, "float64")[places.reshape(-1)]


def _classes(y: np.ndarray) -> np.ndarray:
    if y.ndim > 1 and y.shape[-1] != 1:
        y = np.argmax(y, axis=-1)
    classes = y if y.dtype.kind in "iub" else np.round(y)
    if classes.size != len(classes):
        raise UsageError(
            f"class_weight: expected one class a sample; received targets of shape {y.shape}"
        )
    return classes.reshape(-1)
