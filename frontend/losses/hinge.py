"""Losses that want the right side of a margin."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops.core import operation
from ..tensor import KerasTensor
from .arguments import pair
from .base import LossFunctionWrapper


@operation
def hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of max(1 - y_true * y_pred, 0); targets are -1 and 1, or all of them 0 and 1."""
    true, pred = pair("hinge", y_true, y_pred)
    return ops.mean(_shortfall(true, pred), -1)


@operation
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of max(1 - y_true * y_pred, 0) ** 2; targets as for ``hinge``."""
    true, pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(_shortfall(true, pred)), -1)


def _shortfall(true: KerasTensor, pred: KerasTensor) -> Any:
    return ops.maximum(1.0 - _signs(true) * pred, 0.0)


def _signs(true: KerasTensor) -> Any:
    """Targets of which all are 0 or 1 become -1 and 1; others stay as they are."""
    binary = ops.all(ops.logical_or(ops.equal(true, 0), ops.equal(true, 1)))
    return ops.where(binary, 2.0 * true - 1.0, true)


@operation
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(best wrong score - right score + 1, 0); targets are 0 but for 1 at the right class."""
    true, pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(true * pred, -1)
    wrong = ops.max((1.0 - true) * pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


class Hinge(LossFunctionWrapper):
    """``hinge``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """``squared_hinge``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """``categorical_hinge``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
