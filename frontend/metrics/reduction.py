"""Sums and means over all samples, and the mean of any function of targets and predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import ops
from ..errors import UsageError, made_by_users
from ..losses.weighting import element_count, mask_of, matched_ranks, with_mask
from ..ops.core import operation
from ..serialize import described_in
from ..tensor import KerasTensor
from .base import Metric

Reduce = Callable[..., Any]
Weights = KerasTensor | None


def by_sample(
    values: Any, sample_weight: Any, dtype: str, reduce: Reduce
) -> tuple[KerasTensor, Weights]:
    """Values times weights, reduced to one of each per sample; no weights stay None.

    Raises:
        ValueError: the weights have neither the shape of the values nor that of their first axes.
    """
    mask = mask_of(values)
    found = ops.cast(values, dtype)
    if sample_weight is None:
        return _samples(found, reduce), None
    weights = with_mask(sample_weight, mask, dtype, "sum")
    found, weights = matched_ranks(found, weights)
    if found.ndim > weights.ndim:
        found = reduce(found, axis=list(range(weights.ndim, found.ndim)))
    weights = ops.broadcast_to(_checked(weights, found), found.sizes)
    return _samples(found * weights, reduce), _samples(weights, reduce)


def _samples(values: KerasTensor, reduce: Reduce) -> KerasTensor:
    return reduce(values, axis=list(range(1, values.ndim))) if values.ndim > 1 else values


def _checked(weights: KerasTensor, values: KerasTensor) -> KerasTensor:
    pairs = zip(reversed(weights.shape), reversed(values.shape), strict=False)
    if weights.ndim > values.ndim or any(a not in (b, 1) and None not in (a, b) for a, b in pairs):
        raise UsageError(
            f"expected sample_weight of shape {values.shape}, one for each value, or of its first "
            f"axes; received shape {weights.shape}"
        )
    return weights


@operation
def _summed(values: Any, sample_weight: Any, dtype: str) -> KerasTensor:
    return ops.sum(by_sample(values, sample_weight, dtype, ops.sum)[0])


@operation
def total_and_count(values: Any, sample_weight: Any, dtype: str) -> tuple[KerasTensor, KerasTensor]:
    """The weighted sum of the samples' means, and the sum of their weights."""
    means, weights = by_sample(values, sample_weight, dtype, ops.mean)
    return ops.sum(means), element_count(means) if weights is None else ops.sum(weights)


class Sum(Metric):
    """The sum of all values, times their weights."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(_summed(values, sample_weight, self.dtype))

    def result(self) -> Any:
        return ops.cast(self.total, self.dtype)


class Mean(Metric):
    """The mean of all samples, each counted as often as its weight says."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")
        self.count = self.add_variable((), "zeros", self.dtype, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self._add(*total_and_count(values, sample_weight, self.dtype))

    def _add(self, total: Any, count: Any) -> None:
        self.total.assign_add(total)
        self.count.assign_add(count)

    def result(self) -> Any:
        return ops.divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of a function ``(y_true, y_pred, **options)`` that gives a value per sample."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name, dtype)
        self.fn = fn
        self.options = kwargs

    def update_state(  # type: ignore[override]  # as in Keras: another signature than Mean's
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        self._add(*_of_function(self, y_true, y_pred, sample_weight))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if "fn" in inspect.signature(type(self).__init__).parameters:
            config["fn"] = described_in("losses", self.fn)
        return {**config, **self.options}


@operation
def _of_function(
    metric: MeanMetricWrapper, y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[KerasTensor, KerasTensor]:
    mask = mask_of(y_pred)
    true, pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    values = made_by_users(metric.fn, f'metric "{metric.name}"', true, pred, **metric.options)
    weights = with_mask(sample_weight, mask, metric.dtype, "sum")
    return total_and_count(values, weights, metric.dtype)
