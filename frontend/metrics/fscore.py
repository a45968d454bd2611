"""The harmonic mean of precision and recall."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import epsilon
from ..errors import UsageError
from ..ops.core import operation
from ..tensor import KerasTensor
from .base import Metric

AVERAGES = (None, "micro", "macro", "weighted")
_SUMS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class FBetaScore(Metric):
    """(1 + beta²) * precision * recall / (beta² * precision + recall), of classes.

    Args:
        average: None gives a score a class; "macro" their mean; "weighted" that by how often each
            class occurs; "micro" one score of all counts together.
        beta: how much more recall counts than precision.
        threshold: above which a prediction is positive; without one, the highest is.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.average, self.beta, self.threshold = average, beta, threshold
        self._check()
        self._built = False

    def _check(self) -> None:
        if self.average not in AVERAGES:
            raise UsageError(
                f"expected average out of {', '.join(map(repr, AVERAGES))}; received "
                f"{self.average!r}"
            )
        if not isinstance(self.beta, float) or self.beta <= 0:
            raise UsageError(f"expected beta as a float above 0; received {self.beta!r}")
        if self.threshold is not None and not (
            isinstance(self.threshold, float) and 0 < self.threshold <= 1
        ):
            raise UsageError(
                f"expected threshold as a float above 0, at most 1; received {self.threshold!r}"
            )

    def _build(self, shape: tuple[Any, ...]) -> None:
        classes = () if self.average == "micro" else (shape[1],)
        for name in _SUMS:
            setattr(self, name, self.add_variable(classes, "zeros", self.dtype, name=name))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        shape = checked_rows(type(self).__name__, y_true, y_pred)
        if not self._built:
            self._build(shape)
        axis = None if self.average == "micro" else 0
        sums = _sums(y_true, y_pred, sample_weight, self.threshold, axis, self.dtype)
        for name, value in zip(_SUMS, sums, strict=True):
            getattr(self, name).assign_add(value)

    def result(self) -> Any:
        if not self._built:
            return ops.zeros((), self.dtype)
        sums = [ops.convert_to_tensor(getattr(self, name)) for name in _SUMS]
        return _score(self.average, self.beta, *sums)

    def get_config(self) -> dict[str, Any]:
        options = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **options}


def checked_rows(name: str, y_true: Any, y_pred: Any) -> tuple[Any, ...]:
    """The shape of predictions; raises ``ValueError`` unless it and the targets' are rows alike."""
    true, pred = (ops.convert_to_tensor(each).shape for each in (y_true, y_pred))
    if len(true) != 2 or len(pred) != 2 or pred[1] is None or true[1] != pred[1]:
        raise UsageError(
            f"{name}: expected y_true and y_pred of shape (samples, size), with one known size; "
            f"received y_true of shape {tuple(true)} and y_pred of shape {tuple(pred)}"
        )
    return tuple(pred)


@operation
def _sums(
    y_true: Any, y_pred: Any, sample_weight: Any, threshold: float | None, axis: Any, dtype: str
) -> list[KerasTensor]:
    true, pred = ops.cast(y_true, dtype), ops.cast(y_pred, dtype)
    if threshold is None:
        best = ops.greater_equal(pred, ops.max(pred, -1, keepdims=True))
        chosen = ops.logical_and(best, ops.greater(ops.absolute(pred), 1e-9))
    else:
        chosen = ops.greater(pred, threshold)
    called = ops.cast(chosen, dtype)
    several = [called * true, called * (1 - true), (1 - called) * true, true]
    if sample_weight is not None:
        weights = ops.reshape(ops.cast(sample_weight, dtype), (-1, 1))
        several = [each * weights for each in several]
    return [ops.sum(each, axis) for each in several]


@operation
def _score(
    average: str | None,
    beta: float,
    right: KerasTensor,
    extra: KerasTensor,
    missed: KerasTensor,
    present: KerasTensor,
) -> Any:
    precision = right / (right + extra + epsilon())
    recall = right / (right + missed + epsilon())
    mean = precision * recall / (beta**2 * precision + recall + epsilon())
    score = mean * (1 + beta**2)
    if average == "weighted":
        return ops.sum(score * (present / (ops.sum(present) + epsilon())))
    return score if average is None else ops.mean(score)


class F1Score(FBetaScore):
    """``FBetaScore`` with precision and recall counting the same."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
