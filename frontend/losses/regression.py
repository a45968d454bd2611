"""Losses of numbers: squared, absolute, relative and logarithmic errors."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import epsilon
from ..ops.core import operation
from .arguments import pair
from .base import LossFunctionWrapper


@operation
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of (y_true - y_pred) ** 2 over the last axis."""
    true, pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(true - pred), -1)


@operation
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of |y_true - y_pred| over the last axis."""
    true, pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(true - pred), -1)


@operation
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 times the mean of |y_true - y_pred| / |y_true| over the last axis."""
    true, pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    scale = ops.maximum(ops.absolute(true), epsilon())
    return 100.0 * ops.mean(ops.absolute((true - pred) / scale), -1)


@operation
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of (log(y_true + 1) - log(y_pred + 1)) ** 2; below 0 counts as 0."""
    true, pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log(ops.maximum(each, epsilon()) + 1.0) for each in (pred, true)]
    return ops.mean(ops.square(logs[0] - logs[1]), -1)


@operation
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine of the angle between vectors along ``axis``: -1 where they agree."""
    true, pred = pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(unit(true, axis) * unit(pred, axis), axis)


def unit(x: Any, axis: int) -> Any:
    """Vectors of length 1; those shorter than epsilon keep their direction, and are shorter."""
    inverse = ops.rsqrt(ops.sum(ops.square(x), axis, keepdims=True))
    return x * ops.minimum(inverse, 1 / epsilon())


@operation
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Half the squared error up to ``delta``, a line beyond it (Huber 1964)."""
    true, pred = pair("huber", y_true, y_pred)
    error = ops.absolute(pred - true)
    line = delta * error - 0.5 * delta * delta
    return ops.mean(ops.where(error <= delta, 0.5 * ops.square(error), line), -1)


@operation
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """The mean of log(cosh(y_pred - y_true)) over the last axis, without overflow."""
    true, pred = pair("log_cosh", y_true, y_pred)
    error = pred - true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), -1)


class MeanSquaredError(LossFunctionWrapper):
    """``mean_squared_error``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """``mean_absolute_error``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """``mean_absolute_percentage_error``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """``mean_squared_logarithmic_error``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """``cosine_similarity``, reduced."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class Huber(LossFunctionWrapper):
    """``huber``, reduced."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """``log_cosh``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
