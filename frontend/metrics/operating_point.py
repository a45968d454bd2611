"""The best of one measure where another is good enough, over many thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..accepted import Count, Natural, Share
from ..allocation import require_memory
from .confusion import COUNTS, Counting, Counts


class _AtLeast(Counts):
    """The best of ``dependent`` among thresholds at which ``constrained`` is at least a value."""

    argument: str
    constrained: str
    dependent: str

    def __init__(
        self, value: float, num_thresholds: int, class_id: Natural | None, name: Any, dtype: Any
    ) -> None:
        self.thresholds = even_thresholds(num_thresholds)
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        how = Counting(tuple(self.thresholds), num_thresholds > 1, class_id=class_id)
        super().__init__(how, COUNTS, name, dtype)
        self.make_counts((num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add_counts(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        enough = ops.greater_equal(self._measure(self.constrained), self.value)
        return ops.max(ops.where(enough, self._measure(self.dependent), 0.0), initial=0.0)

    def _measure(self, name: str) -> Any:
        right, wrong = (getattr(self, kind) for kind in MEASURES[name])
        return ops.divide_no_nan(right, right + wrong)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "class_id": self.class_id}
        return {**config, "num_thresholds": self.num_thresholds, self.argument: self.value}


# What is right, and what else it is a part of.
MEASURES = {
    "recall": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
    "precision": ("true_positives", "false_positives"),
}


def even_thresholds(count: int) -> list[float]:
    """``count`` thresholds from 0 to 1; a single one is 0.5."""
    require_memory("num_thresholds", (count,), np.dtype("float64"))
    if count == 1:
        return [0.5]
    return [0.0, *((i + 1) / (count - 1) for i in range(count - 2)), 1.0]


class SensitivityAtSpecificity(_AtLeast):
    """The best sensitivity (recall) where specificity is at least ``specificity``."""

    argument, constrained, dependent = "specificity", "specificity", "recall"

    def __init__(
        self,
        specificity: Share,
        num_thresholds: Count = 200,
        class_id: Natural | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_AtLeast):
    """The best specificity where sensitivity (recall) is at least ``sensitivity``."""

    argument, constrained, dependent = "sensitivity", "recall", "specificity"

    def __init__(
        self,
        sensitivity: Share,
        num_thresholds: Count = 200,
        class_id: Natural | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_AtLeast):
    """The best precision where recall is at least ``recall``."""

    argument, constrained, dependent = "recall", "recall", "precision"

    def __init__(
        self,
        recall: Share,
        num_thresholds: Count = 200,
        class_id: Natural | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_AtLeast):
    """The best recall where precision is at least ``precision``."""

    argument, constrained, dependent = "precision", "precision", "recall"

    def __init__(
        self,
        precision: Share,
        num_thresholds: Count = 200,
        class_id: Natural | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
