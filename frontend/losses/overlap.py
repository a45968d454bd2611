"""Losses of segmentation: how much of two regions is in both."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import epsilon
from ..ops.core import operation
from .arguments import pair
from .base import LossFunctionWrapper


@operation
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 - 2 * |both| / (|y_true| + |y_pred|), summed over ``axis``, the batch included by default.

    Milletari et al. 2016.
    """
    true, pred = pair("dice", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    return 1 - 2.0 * both / (ops.sum(true, axis) + ops.sum(pred, axis) + epsilon())


@operation
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Any:
    """1 - |both| / (|both| + alpha * |only y_true| + beta * |only y_pred|) (Salehi et al. 2017)."""
    true, pred = pair("tversky", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    missed, extra = ops.sum((1 - pred) * true, axis), ops.sum(pred * (1 - true), axis)
    return 1 - both / (both + missed * alpha + extra * beta + epsilon())


class Dice(LossFunctionWrapper):
    """``dice``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """``tversky``, reduced."""

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
