"""Right and wrong predictions of two classes, counted above and below thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..accepted import is_number
from ..backend import epsilon
from ..dtypes import floatx
from ..errors import UsageError, shown
from ..losses.weighting import leading, matched_ranks
from ..ops.core import operation
from ..tensor import KerasTensor
from .base import Metric

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
# What predictions that are not among the best become.
LEAST = -1e10


@dataclass(frozen=True)
class Counting:
    """How predictions are counted.

    Attributes:
        thresholds: a prediction is positive above one; counted for each.
        even: whether the thresholds divide [0, 1] evenly; then a prediction is put between two of
            them by one multiplication, as Keras does, which decides ties.
        top_k: only that many best predictions of a sample can be positive.
        class_id: only this entry of the last axis counts.
        by_label: whether each entry of the last axis is counted by itself.
    """

    thresholds: tuple[float, ...]
    even: bool = False
    top_k: int | None = None
    class_id: int | None = None
    by_label: bool = False


def counting(thresholds: Sequence[float], **options: Any) -> Counting:
    """A ``Counting`` that sees for itself whether the thresholds are even."""
    return Counting(tuple(thresholds), is_even(thresholds), **options)


def is_even(thresholds: Sequence[float]) -> bool:
    """Whether thresholds, three or more, divide [0, 1] evenly."""
    count = len(thresholds)
    if count < 3:
        return False
    even = np.arange(count, dtype="float32") / (count - 1)
    return bool(np.allclose(thresholds, even, atol=epsilon()))


@operation
def counts(
    how: Counting,
    wanted: tuple[str, ...],
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    label_weights: Any = None,
) -> list[KerasTensor]:
    """Those of ``COUNTS`` that are wanted, one for each threshold; by label, a row for each.

    Raises:
        ValueError: shapes do not fit; ``class_id`` is no index of the last axis.
    """
    true, pred = _arguments(how, y_true, y_pred)
    weights = _weights(pred, sample_weight, label_weights)
    weights = weights if how.class_id is None else _of_class(weights, how.class_id)
    if how.top_k is not None:
        pred = _best(pred, how.top_k)
    if how.class_id is not None:
        true, pred = (_of_class(each, how.class_id) for each in (true, pred))
    positive = _positive(how, _in_line(how, pred))
    label = _in_line(how, ops.cast(true, "bool"))
    weights = _in_line(how, ops.broadcast_to(weights, pred.sizes))
    found: dict[str, KerasTensor] = {}
    for kind, mine in (("true", label), ("false", ops.logical_not(label))):
        weighted = ops.where(mine, weights, 0.0)
        found[f"{kind}_positives"] = ops.sum(ops.where(positive, weighted, 0.0), 1)
        rest = ops.sum(weighted, 1) - found[f"{kind}_positives"]
        # What is true and not called positive is a false negative.
        found["false_negatives" if kind == "true" else "true_negatives"] = rest
    return [found[name] for name in wanted]


def _arguments(how: Counting, y_true: Any, y_pred: Any) -> tuple[KerasTensor, KerasTensor]:
    pred, true = matched_ranks(ops.cast(y_pred, floatx()), ops.cast(y_true, floatx()))
    pairs = zip(true.shape, pred.shape, strict=False)
    if true.ndim != pred.ndim or any(a != b and None not in (a, b) for a, b in pairs):
        raise UsageError(
            f"expected y_true of the shape of y_pred, {pred.shape}; received {true.shape}. For "
            "classes as integers turn them into one-hot targets with keraunos.utils.to_categorical"
        )
    size = pred.shape[-1]
    if how.class_id is not None and (
        pred.ndim < 2 or (size is not None and not -size <= how.class_id < size)
    ):
        raise UsageError(
            f"expected class_id as an index of the last of two axes or more; received "
            f"{how.class_id} for predictions of shape {pred.shape}"
        )
    return true, pred


def _weights(pred: KerasTensor, sample_weight: Any, label_weights: Any) -> KerasTensor:
    weights = ops.cast(1.0 if sample_weight is None else sample_weight, pred.dtype)
    if weights.ndim:
        weights = leading(matched_ranks(pred, weights, expand_rank_1=False)[1], pred.ndim)
    if label_weights is not None:
        weights = weights * ops.cast(label_weights, pred.dtype)
    return weights


def _of_class(x: KerasTensor, class_id: int) -> Any:
    if x.ndim == 0 or x.shape[-1] == 1:
        return x
    return ops.expand_dims(x[..., class_id], -1)


def _best(pred: KerasTensor, k: int) -> Any:
    """Predictions, those that are not among the ``k`` best ``LEAST``; the first of equals wins."""
    size = pred.shape[-1]
    if size is None:
        raise UsageError(f"top_k: expected a known number of classes; received shape {pred.shape}")
    mine, other = ops.expand_dims(pred, -1), ops.expand_dims(pred, -2)
    earlier = np.arange(size)[None, :] < np.arange(size)[:, None]
    tied = ops.logical_and(ops.equal(other, mine), earlier)
    before = ops.sum(ops.logical_or(ops.greater(other, mine), tied), -1)
    return ops.where(ops.less(before, k), pred, LEAST)


def _in_line(how: Counting, x: KerasTensor) -> Any:
    """Samples along axis 1, labels along 2 if they are counted by themselves."""
    return ops.expand_dims(x, 0) if how.by_label else ops.reshape(x, (1, -1))


def _positive(how: Counting, pred: KerasTensor) -> Any:
    count = len(how.thresholds)
    shape = (count, *(1,) * (pred.ndim - 1))
    if not how.even:
        return ops.greater(pred, np.reshape(how.thresholds, shape).astype(pred.dtype))
    places = ops.ceil(ops.clip(pred, 0.0, 1.0) * float(count - 1)) - 1
    if how.thresholds[0] < 0:
        places = ops.maximum(places, 0.0)  # below the first there is nothing: 0 is above it
    return ops.greater_equal(places, np.arange(count).reshape(shape).astype(pred.dtype))


def checked_thresholds(thresholds: Any, default: float = 0.5) -> list[float]:
    """One threshold or several as a list. Raises ``ValueError`` unless they are in [0, 1]."""
    if thresholds is None:
        return [default]
    several = (
        list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    )
    if not several or not all(is_number(each) and 0 <= each <= 1 for each in several):
        raise UsageError(f"expected thresholds from 0 to 1; received {shown(thresholds)}")
    return several


class Counts(Metric):
    """A metric that keeps counts by threshold: ``kinds`` of ``COUNTS``, a variable each."""

    def __init__(self, how: Counting, kinds: tuple[str, ...], name: str | None, dtype: Any) -> None:
        super().__init__(dtype, name)
        self.how, self.kinds = how, kinds

    def make_counts(self, shape: tuple[int, ...]) -> None:
        """Makes the variables, as attributes named as the counts."""
        for kind in self.kinds:
            setattr(self, kind, self.add_variable(shape, "zeros", name=kind))

    def add_counts(self, y_true: Any, y_pred: Any, sample_weight: Any, labels: Any = None) -> None:
        """Adds a batch to the variables."""
        found = counts(self.how, self.kinds, y_true, y_pred, sample_weight, labels)
        for kind, count in zip(self.kinds, found, strict=True):
            getattr(self, kind).assign_add(count)

    def single(self, result: Any) -> Any:
        """A number where there is one threshold."""
        return result[0] if len(self.how.thresholds) == 1 else result


class _Count(Counts):
    """One of the counts."""

    kind: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        self.init_thresholds = thresholds
        self.thresholds = checked_thresholds(thresholds)
        super().__init__(counting(self.thresholds), (self.kind,), name, dtype)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(self.how, self.kinds, y_true, y_pred, sample_weight)
        self.accumulator.assign_add(found[0])

    def result(self) -> Any:
        return self.single(ops.convert_to_tensor(self.accumulator))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """How many 1 are predicted as 1, by weight."""

    kind = "true_positives"


class FalsePositives(_Count):
    """How many 0 are predicted as 1, by weight."""

    kind = "false_positives"


class TrueNegatives(_Count):
    """How many 0 are predicted as 0, by weight."""

    kind = "true_negatives"


class FalseNegatives(_Count):
    """How many 1 are predicted as 0, by weight."""

    kind = "false_negatives"


class _Share(Counts):
    """True positives out of those and something else."""

    other: str

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else LEAST)
        how = counting(self.thresholds, top_k=top_k, class_id=class_id)
        super().__init__(how, ("true_positives", self.other), name, dtype)
        self.make_counts((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add_counts(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        right, other = (getattr(self, kind) for kind in self.kinds)
        return self.single(ops.divide_no_nan(right, right + other))

    def get_config(self) -> dict[str, Any]:
        options = {"thresholds": self.init_thresholds, "top_k": self.top_k}
        return {**super().get_config(), **options, "class_id": self.class_id}


class Precision(_Share):
    """How many of those predicted as 1 are 1.

    Args:
        thresholds: above which a prediction is 1; several give a result for each. 0.5 unless given.
        top_k: that many best predictions of a sample count as 1, whatever they are.
        class_id: the one entry of the last axis that counts.
    """

    other = "false_positives"


class Recall(_Share):
    """How many 1 are predicted as 1. Arguments as of ``Precision``."""

    other = "false_negatives"
