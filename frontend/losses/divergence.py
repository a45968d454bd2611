"""Losses of distributions and counts."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import epsilon
from ..ops.core import operation
from .arguments import pair
from .base import LossFunctionWrapper


@operation
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """The sum of y_true * log(y_true / y_pred) over the last axis (Kullback and Leibler 1951).

    Both are held within [1e-7, 1].
    """
    true, pred = (ops.clip(each, epsilon(), 1) for each in pair("kl_divergence", y_true, y_pred))
    return ops.sum(true * ops.log(true / pred), -1)


@operation
def poisson(y_true: Any, y_pred: Any) -> Any:
    """The mean of y_pred - y_true * log(y_pred) over the last axis."""
    true, pred = pair("poisson", y_true, y_pred)
    return ops.mean(pred - true * ops.log(pred + epsilon()), -1)


class KLDivergence(LossFunctionWrapper):
    """``kl_divergence``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """``poisson``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)
