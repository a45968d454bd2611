"""The area under a curve of two measures, as the threshold moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..accepted import Count
from ..allocation import require_memory
from ..backend import epsilon
from ..dtypes import as_array
from ..errors import UsageError
from ..ops.core import operation
from ..tensor import KerasTensor
from .confusion import COUNTS, Counting, Counts, checked_thresholds, is_even

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")


class AUC(Counts):
    """The area under the ROC curve or the precision-recall curve.

    Args:
        num_thresholds: at how many points the curve is known.
        curve: "ROC", true against false positive rates; "PR", precision against recall; "PRGAIN",
            their gains (Flach and Kull 2015).
        summation_method: "interpolation" (Davis and Goadrich 2006 for PR), or the "minoring" or
            "majoring" of two neighbours.
        thresholds: in place of ``num_thresholds``, besides 0 and 1.
        multi_label: whether each entry of the last axis has an area of its own; then the mean.
        num_labels: entries of the last axis, where that is not to wait for the first batch.
        label_weights: of the entries, in the mean, or in the counts if they have none of their own.
        from_logits: whether predictions are to be put through a sigmoid.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        num_thresholds: Count = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: Count | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _choice("curve", str(curve).upper(), CURVES)
        self.summation_method = _choice("summation_method", str(summation_method).lower(), METHODS)
        self.init_thresholds = None if thresholds is None else sorted(thresholds)
        inner = _inner(num_thresholds, self.init_thresholds)
        self.num_thresholds = len(inner) + 2
        self.thresholds = [-epsilon(), *inner, 1 + epsilon()]
        even = self.init_thresholds is None or is_even([0.0, *inner, 1.0])
        how = Counting(tuple(self.thresholds), even, by_label=multi_label)
        super().__init__(how, COUNTS, name, dtype)
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = (
            None if label_weights is None else as_array(label_weights).astype(self.dtype)
        )
        self.from_logits = from_logits
        self._built = False
        if num_labels and not multi_label:
            raise UsageError("num_labels: expected it only with multi_label=True")
        if num_labels or not multi_label:
            self._build((None, num_labels))

    def _build(self, shape: tuple[Any, ...]) -> None:
        if self.multi_label and (len(shape) != 2 or shape[1] is None):
            raise UsageError(
                "AUC(multi_label=True): expected predictions of shape (samples, labels); received "
                f"{shape}"
            )
        self.make_counts((self.num_thresholds, *(shape[1:] if self.multi_label else ())))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self._built:
            self._build(tuple(ops.convert_to_tensor(y_pred).shape))
        labels = None if self.multi_label else self.label_weights
        pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        self.add_counts(y_true, pred, sample_weight, labels)

    def result(self) -> Any:
        if not self._built:
            return np.zeros((), self.dtype)
        found = [ops.convert_to_tensor(getattr(self, kind)) for kind in COUNTS]
        areas = _areas(self.curve, self.summation_method, *found)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        total = ops.sum(areas * self.label_weights)
        return ops.divide_no_nan(total, ops.sum(self.label_weights))

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else weights.tolist(),
            "from_logits": self.from_logits,
        }
        given = self.init_thresholds
        return config if given is None else {**config, "thresholds": given}


def _choice(what: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageError(
            f"AUC: expected {what} out of {', '.join(map(repr, choices))}; received {value!r}"
        )
    return value


def _inner(count: int, thresholds: Sequence[float] | None) -> list[float]:
    """The thresholds between the first and the last."""
    if thresholds is not None:
        return checked_thresholds(thresholds)
    require_memory("AUC", (count,), np.dtype("float64"))
    if count < 2:
        raise UsageError(f"AUC: expected num_thresholds of 2 or more; received {count}")
    return [(i + 1) / (count - 1) for i in range(count - 2)]


@operation
def _areas(
    curve: str, method: str, tp: KerasTensor, fp: KerasTensor, tn: KerasTensor, fn: KerasTensor
) -> Any:
    """The area, or one for each label, from counts with thresholds along the first axis."""
    if (curve, method) == ("PR", "interpolation"):
        return _interpolated(tp, fp, fn)
    x, y = _curve(curve, tp, fp, tn, fn)
    left, right = y[:-1], y[1:]
    heights = {
        "interpolation": lambda: (left + right) / 2.0,
        "minoring": lambda: ops.minimum(left, right),
        "majoring": lambda: ops.maximum(left, right),
    }[method]()
    return ops.sum((x[:-1] - x[1:]) * heights, 0)


def _curve(
    curve: str, tp: KerasTensor, fp: KerasTensor, tn: KerasTensor, fn: KerasTensor
) -> tuple[Any, Any]:
    recall = ops.divide_no_nan(tp, tp + fn)
    if curve == "ROC":
        return ops.divide_no_nan(fp, fp + tn), recall
    if curve == "PR":
        return recall, ops.divide_no_nan(tp, tp + fp)
    odds, none = ops.divide_no_nan(tp + fn, tn + fp), ops.equal(tp, 0.0)
    recall_gain = ops.where(none, 0.0, 1.0 - odds * ops.divide_no_nan(fn, tp))
    precision_gain = ops.where(none, 1.0, 1.0 - odds * ops.divide_no_nan(fp, tp))
    return ops.maximum(recall_gain, 0.0), precision_gain


def _interpolated(tp: KerasTensor, fp: KerasTensor, fn: KerasTensor) -> Any:
    """Under the precision-recall curve, whose points are joined by hyperbolas, not by lines.

    Between two thresholds true positives grow in proportion to all positives (Davis and Goadrich
    2006, section 4); the sum is the integral of that.
    """
    positives = tp + fp
    before, after = positives[:-1], positives[1:]
    gained = tp[:-1] - tp[1:]
    slope = ops.divide_no_nan(gained, ops.maximum(before - after, 0.0))
    intercept = tp[1:] - slope * after
    both = ops.logical_and(ops.greater(before, 0.0), ops.greater(after, 0.0))
    ratio = ops.where(both, ops.divide_no_nan(before, after), 1.0)
    area = slope * (gained + intercept * ops.log(ratio))
    return ops.sum(ops.divide_no_nan(area, ops.maximum(tp[1:] + fn[1:], 0.0)), 0)
