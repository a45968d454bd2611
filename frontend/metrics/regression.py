"""Metrics of numbers that keep sums of their own, beyond the mean of a loss."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import epsilon
from ..errors import UsageError
from ..losses.arguments import pair
from ..losses.regression import cosine_similarity as minus_cosine
from ..losses.weighting import element_count, leading, matched_ranks
from ..ops.core import operation
from ..tensor import KerasTensor
from .base import Metric
from .fscore import checked_rows
from .reduction import Mean, MeanMetricWrapper, total_and_count


class RootMeanSquaredError(Mean):
    """The root of the mean of (y_true - y_pred) ** 2."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]  # as in Keras: another signature than Mean's
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        self._add(*_squared_errors(y_true, y_pred, sample_weight, self.dtype))

    def result(self) -> Any:
        return ops.sqrt(super().result())


@operation
def _squared_errors(
    y_true: Any, y_pred: Any, sample_weight: Any, dtype: str
) -> tuple[KerasTensor, KerasTensor]:
    true, pred = pair("root_mean_squared_error", y_true, ops.cast(y_pred, dtype))
    return total_and_count(ops.square(true - pred), sample_weight, dtype)


@operation
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between vectors along ``axis``: 1 where they agree."""
    return -minus_cosine(y_true, y_pred, axis)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between vectors: 1 where they agree."""

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@operation
def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The linear correlation of targets and predictions along ``axis`` (Pearson 1895)."""
    true, pred = pair("pearson_correlation", y_true, y_pred)
    return ops.mean(_standard(true, axis) * _standard(pred, axis), axis)


def _standard(x: KerasTensor, axis: int) -> Any:
    return (x - ops.mean(x, axis, keepdims=True)) / ops.std(x, axis, keepdims=True)


@operation
def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """How near targets and predictions lie to y_true = y_pred, along ``axis`` (Lin 1989)."""
    true, pred = pair("concordance_correlation", y_true, y_pred)
    centres = [ops.mean(each, axis, keepdims=True) for each in (true, pred)]
    spreads = [ops.var(each, axis, keepdims=True) for each in (true, pred)]
    # Both less the mean of the predictions: the other term is 0 on average.
    shared = (true - centres[1]) * (pred - centres[1])
    scale = spreads[0] + spreads[1] + ops.square(centres[0] - centres[1])
    return ops.mean(2 * shared / (scale + epsilon()), axis)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean of ``pearson_correlation``."""

    def __init__(
        self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of ``concordance_correlation``."""

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)


AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")
_SUMS = ("squared_sum", "sum", "residual", "count")


class R2Score(Metric):
    """1 - squared errors / squared distances from the mean: 1 is perfect, 0 as good as the mean.

    Args:
        class_aggregation: "uniform_average", the mean of the scores of all outputs;
            "variance_weighted_average"; or None, a score an output.
        num_regressors: of the adjusted score, which counts them against it; 0 is the plain score,
            as it is where there are not more samples than that.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in AGGREGATIONS:
            raise UsageError(
                f"expected class_aggregation out of {', '.join(map(repr, AGGREGATIONS))}; "
                f"received {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise UsageError(f"expected num_regressors of 0 or more; received {num_regressors}")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._built = False

    def _build(self, size: int) -> None:
        self._sums = {name: self.add_variable((size,), "zeros", name=name) for name in _SUMS}
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = _of_one_rank(y_true, y_pred, self.dtype)
        shape = checked_rows("R2Score", true, pred)
        if not self._built:
            self._build(shape[1])
        *sums, samples = _moments(true, pred, sample_weight, self.dtype)
        for name, value in zip(_SUMS, sums, strict=True):
            self._sums[name].assign_add(value)
        self.num_samples.assign_add(samples)

    def result(self) -> Any:
        if not self._built:
            return ops.zeros((), self.dtype)
        sums = [ops.convert_to_tensor(self._sums[name]) for name in _SUMS]
        score = _score(self.class_aggregation, *sums)
        return _adjusted(score, ops.convert_to_tensor(self.num_samples), self.num_regressors)

    def get_config(self) -> dict[str, Any]:
        options = {"class_aggregation": self.class_aggregation}
        return {**super().get_config(), **options, "num_regressors": self.num_regressors}


@operation
def _of_one_rank(y_true: Any, y_pred: Any, dtype: str) -> tuple[KerasTensor, KerasTensor]:
    return matched_ranks(ops.cast(y_true, dtype), ops.cast(y_pred, dtype))


@operation
def _moments(y_true: Any, y_pred: Any, sample_weight: Any, dtype: str) -> list[KerasTensor]:
    """The sums of ``_SUMS`` by output, and the number of targets."""
    true, pred = ops.cast(y_true, dtype), ops.cast(y_pred, dtype)
    weights = ops.cast(1.0 if sample_weight is None else sample_weight, dtype)
    weights = ops.broadcast_to(leading(weights, 2) if weights.ndim else weights, true.sizes)
    terms = (true * true, true, ops.square(true - pred), ops.ones_like(true))
    return [*(ops.sum(term * weights, 0) for term in terms), element_count(true)]


@operation
def _score(
    aggregation: str | None,
    squares: KerasTensor,
    total: KerasTensor,
    residual: KerasTensor,
    count: KerasTensor,
) -> Any:
    spread = squares - total * (total / count)
    # Targets that are all the same: 0, and no number at all where the predictions are right.
    same = ops.equal(spread, 0.0)
    scores = 1 - residual / ops.where(same, 1.0, spread)
    scores = ops.where(same, ops.where(ops.equal(residual, 0.0), math.nan, 0.0), scores)
    if aggregation is None:
        return scores
    if aggregation == "uniform_average":
        return ops.mean(scores)
    return ops.sum(spread * scores) / ops.sum(spread)


@operation
def _adjusted(score: KerasTensor, samples: KerasTensor, regressors: int) -> Any:
    if regressors == 0:
        return score
    free = samples - regressors - 1
    adjusted = 1.0 - (1.0 - score) * (samples - 1.0) / ops.where(ops.greater(free, 0), free, 1.0)
    return ops.where(ops.greater(free, 0), adjusted, score)
