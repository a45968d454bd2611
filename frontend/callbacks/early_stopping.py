"""Ending a training that no longer improves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..source import warn
from .base import Logs
from .monitor import MonitorCallback, listed


class EarlyStopping(MonitorCallback):
    """Ends ``fit`` when a metric has stopped improving.

    Args:
        monitor, min_delta, mode: as for ``MonitorCallback``.
        patience: after how many epochs without improvement to stop.
        verbose: 1 prints what was done.
        baseline: unless a value is better than this as well, patience goes on running out.
        restore_best_weights: whether to end with the weights of the best epoch, not of the last.
        start_from_epoch: epochs before this one, counted from 0, are not looked at.

    Attributes:
        stopped_epoch: the epoch it stopped after, counted from 0; 0 where it did not.
        best_epoch: the epoch of the best value, counted from 0.
        wait: epochs since then.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._begin()

    def _begin(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None
        self.best_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.find_direction()
        current = self._value(logs or {})
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best = current
            self._keep_weights(epoch)
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping", flush=True)
        if self.best_weights is None:
            return
        if self.verbose > 0:
            print(
                f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.",
                flush=True,
            )
        self.model.set_weights(self.best_weights)

    def _keep_weights(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def _value(self, logs: Logs) -> Any:
        value = logs.get(self.monitor)
        if value is None:
            warn(
                f"EarlyStopping: expected the metric {self.monitor!r}, which is not available; "
                f"there are: {listed(logs)}"
            )
        return value
