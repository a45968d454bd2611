"""The record of a training."""

from __future__ import annotations

from typing import Any

from .base import Callback, Logs


class History(Callback):
    """What ``fit`` returns.

    Attributes:
        history: the values of each metric, one an epoch: ``history.history["val_loss"]``.
        epoch: the epochs that were run, counted from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
