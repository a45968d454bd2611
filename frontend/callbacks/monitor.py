"""What callbacks share that watch one metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import losses
from ..errors import UsageError
from ..source import warn
from .base import Callback

_SIGN_OF_MODE = {"min": -1, "max": 1}
_SIGN_OF_DIRECTION = {"down": -1, "up": 1}

# Metrics of which more is better, themselves or what they derive from. Less is better of losses
# and of root mean squared errors; of the others, such as sums, neither can be said.
_UP = {
    *("Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"),
    *("TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy"),
    *("AUC", "Precision", "Recall", "PrecisionAtRecall", "RecallAtPrecision"),
    *("SensitivityAtSpecificity", "SpecificityAtSensitivity", "FBetaScore", "IoU"),
    *("ConcordanceCorrelation", "PearsonCorrelation", "CosineSimilarity", "R2Score"),
}
_DOWN = {"RootMeanSquaredError"}


class MonitorCallback(Callback):
    """Knows whether a metric has improved.

    Args:
        monitor: the name of the metric in the logs, such as ``val_loss``.
        mode: "min" where less is better, "max" where more is, "auto" to ask the metric.
        baseline: the best value there is to begin with.
        min_delta: the least change that counts as an improvement; it has to be more than this.

    Attributes:
        best: the best value so far; None before the first.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            warn(
                f'{type(self).__name__}: expected mode "auto", "min" or "max"; received {mode!r}, '
                'for which "auto" is taken'
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign = _SIGN_OF_MODE.get(mode)

    def find_direction(self) -> int:
        """-1 where less is better, 1 where more is; once the metrics are there.

        Raises:
            ValueError: the mode is "auto", and no metric tells.
        """
        if self._sign is None:
            self._sign = self._direction_of_metric()
        return self._sign

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether ``value`` is better than ``reference`` by more than ``min_delta``.

        Raises:
            ValueError: as ``find_direction``.
        """
        sign = self.find_direction()
        if reference is None:
            return True
        # Compared as floats of 32 bits, as Keras does: it decides when they differ by min_delta.
        moved = np.float32(value - sign * self.min_delta)
        return bool(sign * moved > sign * np.float32(reference))

    def _direction_of_metric(self) -> int:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return -1
        entries = getattr(self.model, "metrics", ())
        # Those of `compile` are one entry, which lists them.
        for metric in (each for entry in entries for each in getattr(entry, "metrics", [entry])):
            sign = sign_of(metric)
            if metric.name == name and sign is not None:
                return sign
        raise UsageError(
            f"{type(self).__name__}: expected a metric that tells whether less or more of it is "
            f'better; monitor={self.monitor!r} does not. Pass mode="min" or mode="max"'
        )


def sign_of(metric: Any) -> int | None:
    """1 for a metric where more is better, -1 where less is better, None where it is unknown.

    A metric of one's own may say so by an attribute ``_direction``, "up" or "down".
    """
    direction = getattr(metric, "_direction", None)
    if direction is not None:
        return _SIGN_OF_DIRECTION[direction]
    names = {kind.__name__ for kind in type(metric).__mro__}
    if names & _UP:
        return 1
    return -1 if names & _DOWN or _is_loss(getattr(metric, "fn", None)) else None


def _is_loss(function: Any) -> bool:
    """Whether a metric is the mean of one of this package's losses."""
    name = getattr(function, "__name__", "")
    return isinstance(function, losses.Loss) or (
        function is not None and getattr(losses, name, None) is function
    )


def listed(names: Any) -> str:
    """The names of the metrics that there are, for a message."""
    return ", ".join(names) or "none"
