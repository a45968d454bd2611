"""Smaller steps when a metric no longer improves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UsageError, user_facing
from ..source import warn
from .base import Logs
from .learning_rate import learning_rates, optimizers_of
from .monitor import MonitorCallback, listed


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by ``factor`` when a metric has stopped improving.

    Args:
        monitor, mode, min_delta: as for ``MonitorCallback``.
        factor: below 1.
        patience: after how many epochs without improvement.
        verbose: 1 prints what was done.
        cooldown: epochs to wait after a reduction before counting again.
        min_lr: the least learning rate.

    Raises:
        ValueError: ``factor`` is 1 or more.
    """

    @user_facing
    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise UsageError(
                f"ReduceLROnPlateau: expected a factor below 1; received factor={factor}"
            )
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.find_direction()
        logs = {} if logs is None else logs
        logs.update(learning_rates(self.model))
        current = logs.get(self.monitor)
        if current is None:
            warn(
                f"ReduceLROnPlateau: expected the metric {self.monitor!r}, which is not "
                f"available; there are: {listed(logs)}"
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self._wait_or_reduce(epoch)

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def _wait_or_reduce(self, epoch: int) -> None:
        self.wait += 1
        if self.wait < self.patience:
            return
        reduced = [self._reduce(optimizer, epoch) for optimizer in optimizers_of(self.model)]
        if any(reduced):
            self.cooldown_counter = self.cooldown
            self.wait = 0

    def _reduce(self, optimizer: Any, epoch: int) -> bool:
        old = float(optimizer.learning_rate)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            print(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.",
                flush=True,
            )
        return True
