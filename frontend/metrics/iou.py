"""Segmentation: of the places that are or are called a class, how many are both."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..accepted import Count
from ..allocation import require_memory
from ..backend import epsilon
from ..errors import UsageError
from ..losses.weighting import leading, matched_ranks
from ..ops.core import operation
from ..tensor import KerasTensor
from .base import Metric


class IoU(Metric):
    """Intersection over union of some classes, their mean.

    A confusion matrix is kept: rows are classes that are, columns those that are called.

    Args:
        num_classes: how many classes there are.
        target_class_ids: those that count.
        dtype: of the matrix; int32 unless given, which drops fractions of weights.
        ignore_class: a target that does not count, such as 255.
        sparse_y_true, sparse_y_pred: whether classes are integers; else the highest along ``axis``.

    Raises:
        ValueError: a class is out of range.
    """

    def __init__(
        self,
        num_classes: Count,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__("int" if dtype is None else dtype, name)
        require_memory(type(self).__name__, (num_classes, num_classes), np.dtype(self.dtype))
        if not all(0 <= each < num_classes for each in target_class_ids):
            raise UsageError(
                f"expected target_class_ids from 0 to {num_classes - 1}; received "
                f"{list(target_class_ids)}"
            )
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        shape = (num_classes, num_classes)
        self.total_cm = self.add_variable(shape, "zeros", self.dtype, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total_cm.assign_add(_matrix(self, y_true, y_pred, sample_weight))

    def result(self) -> Any:
        # Each class as often as it is listed.
        listed = np.bincount(self.target_class_ids, minlength=self.num_classes)
        return _mean_iou(ops.convert_to_tensor(self.total_cm), listed.astype("float32"))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }


@operation
def _matrix(metric: IoU, y_true: Any, y_pred: Any, sample_weight: Any) -> KerasTensor:
    """How often each class is called each class, as a product of two one-hot matrices."""
    true = _classes(y_true, metric.sparse_y_true, metric)
    pred = _classes(y_pred, metric.sparse_y_pred, metric)
    true, pred = matched_ranks(true, pred)
    _check(true, pred)
    # Sums of integers are exact in float64, and in no integers a product would be as fast.
    exact = metric.dtype if metric.dtype.startswith("float") else "float64"
    weights = _weights(true, sample_weight, metric.dtype, exact)
    if metric.ignore_class is not None:
        weights = ops.where(ops.not_equal(true, metric.ignore_class), weights, 0.0)
    rows, columns = (
        ops.one_hot(ops.reshape(each, (-1,)), metric.num_classes, dtype=exact)
        for each in (true, pred)
    )
    weighted = rows * ops.reshape(weights, (-1, 1))
    return ops.cast(ops.matmul(ops.transpose(weighted), columns), metric.dtype)


def _classes(y: Any, sparse: bool, metric: IoU) -> KerasTensor:
    return ops.cast(y if sparse else ops.argmax(y, metric.axis), "int32")


def _check(true: KerasTensor, pred: KerasTensor) -> None:
    pairs = zip(true.shape, pred.shape, strict=False)
    if true.ndim != pred.ndim or any(a != b and None not in (a, b) for a, b in pairs):
        raise UsageError(
            f"expected classes y_true and y_pred of one shape; received {true.shape} and "
            f"{pred.shape}. sparse_y_true and sparse_y_pred say which are integers already"
        )


def _weights(true: KerasTensor, sample_weight: Any, dtype: str, exact: str) -> Any:
    weights = ops.convert_to_tensor(1 if sample_weight is None else sample_weight)
    if "float" in weights.dtype and "int" in dtype:
        warnings.warn(
            f"sample_weight of dtype {weights.dtype} is cut to whole numbers, since the metric has "
            'dtype "int32". Make it with dtype="float32" to keep fractions',
            stacklevel=2,
        )
    weights = ops.cast(weights, dtype)
    if weights.ndim:
        weights = leading(matched_ranks(true, weights, expand_rank_1=False)[1], true.ndim)
    return ops.broadcast_to(ops.cast(weights, exact), true.sizes)


@operation
def _mean_iou(matrix: KerasTensor, listed: np.ndarray) -> KerasTensor:
    """The mean over those of the classes that occur."""
    counts = ops.cast(matrix, "float32")
    both = ops.sum(counts * np.eye(len(listed), dtype="float32"), 0)
    either = ops.sum(counts, 0) + ops.sum(counts, 1) - both
    occurs = ops.where(ops.greater(either, 1e-9), listed, 0.0)
    shares = occurs * both / (either + epsilon())
    return ops.sum(shares) / (ops.sum(occurs) + epsilon())


class BinaryIoU(IoU):
    """``IoU`` of two classes, called 1 where predictions are ``threshold`` or more."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        called = ops.greater_equal(ops.cast(y_pred, "float32"), self.threshold)
        super().update_state(y_true, ops.cast(called, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        options = {"target_class_ids": self.target_class_ids, "threshold": self.threshold}
        return {**Metric.get_config(self), **options}


class MeanIoU(IoU):
    """``IoU`` of all classes."""

    def __init__(
        self,
        num_classes: Count,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        classes = range(num_classes)
        options = (ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, classes, name, dtype, *options)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["target_class_ids"]
        return config


class OneHotIoU(IoU):
    """``IoU`` of targets that are one-hot, and of predictions that are scores of classes."""

    def __init__(
        self,
        num_classes: Count,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        options = (ignore_class, False, sparse_y_pred, axis)
        super().__init__(num_classes, target_class_ids, name, dtype, *options)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config


class OneHotMeanIoU(MeanIoU):
    """``OneHotIoU`` of all classes."""

    def __init__(
        self,
        num_classes: Count,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        options = (ignore_class, False, sparse_y_pred, axis)
        super().__init__(num_classes, name, dtype, *options)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config
