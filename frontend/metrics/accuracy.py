"""How often the prediction is right: of numbers, of two classes, of many, of the best few."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..dtypes import floatx
from ..errors import UsageError
from ..losses.arguments import pair, same_shape
from ..ops.core import floating, operation, tensor
from ..tensor import KerasTensor
from .reduction import MeanMetricWrapper


@operation
def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_true equals y_pred, else 0."""
    return _matches(*pair("accuracy", y_true, y_pred))


def _matches(left: Any, right: Any) -> Any:
    return ops.cast(ops.equal(left, right), floatx())


@operation
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_true is what y_pred says: 1 above ``threshold``, else 0."""
    true, pred = pair("binary_accuracy", y_true, y_pred)
    return _matches(true, ops.cast(ops.greater(pred, threshold), true.dtype))


@operation
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the highest prediction is at the highest target, such as the 1 of a one-hot row."""
    true, pred = same_shape("categorical_accuracy", y_true, y_pred, _SPARSE)
    return _matches(ops.argmax(true, -1), ops.argmax(pred, -1))


@operation
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the highest prediction is at the class that the target names."""
    true, pred = _labels("sparse_categorical_accuracy", y_true, y_pred)
    return _matches(true, ops.argmax(pred, -1))


@operation
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the highest target is at one of the ``k`` highest predictions."""
    true, pred = same_shape("top_k_categorical_accuracy", y_true, y_pred, _SPARSE)
    return _in_top_k(ops.argmax(true, -1), pred, k)


@operation
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """1 where the class that the target names is among the ``k`` highest predictions.

    Args:
        from_sorted_ids: whether ``y_pred`` holds classes, the best first, in place of scores.
    """
    true, pred = _labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    classes = ops.expand_dims(true, -1)
    if from_sorted_ids:
        found = ops.cast(ops.any(ops.equal(classes, pred[..., :k]), -1), floatx())
    else:
        found = _in_top_k(true, pred, k)
    # As in Keras, an axis of size 1 of the targets is kept.
    return found if len(ops.shape(y_true)) < pred.ndim else ops.expand_dims(found, -1)


_SPARSE = (
    "For classes as integers take the sparse metric: 'sparse_categorical_accuracy', "
    "'sparse_top_k_categorical_accuracy'"
)


def _labels(name: str, y_true: Any, y_pred: Any) -> tuple[KerasTensor, KerasTensor]:
    """Classes, without an axis of size 1 at the end, and scores."""
    true, pred = ops.convert_to_tensor(y_true), tensor(floating(y_pred))
    if true.ndim == pred.ndim and true.shape[-1] == 1:
        true = ops.squeeze(true, -1)
    wanted = pred.shape[:-1]
    pairs = zip(true.shape, wanted, strict=False)
    if true.ndim != len(wanted) or any(a != b and None not in (a, b) for a, b in pairs):
        raise UsageError(
            f"{name}: expected y_true of shape {wanted}, the classes as integers, beside y_pred of "
            f"shape {pred.shape}; received {true.shape}. For one-hot targets take the metric "
            "without 'sparse_'"
        )
    return true, pred


def _in_top_k(classes: Any, scores: Any, k: int) -> Any:
    """1 where less than ``k`` scores are above that of the class; ties count as among them."""
    hot = ops.one_hot(classes, scores.shape[-1], dtype="bool")
    own = ops.max(ops.where(hot, scores, -math.inf), -1, keepdims=True)
    own = ops.where(ops.isnan(own), -math.inf, own)
    above = ops.sum(ops.greater(scores, own), -1)
    return ops.cast(ops.less(above, k), floatx())


class Accuracy(MeanMetricWrapper):
    """The mean of ``accuracy``."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """The mean of ``binary_accuracy``."""

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """The mean of ``categorical_accuracy``."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The mean of ``sparse_categorical_accuracy``."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The mean of ``top_k_categorical_accuracy``."""

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The mean of ``sparse_top_k_categorical_accuracy``."""

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        options = {"k": k, "from_sorted_ids": from_sorted_ids}
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, **options)
