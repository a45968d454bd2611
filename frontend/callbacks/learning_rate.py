"""Reading the learning rate, and setting it before each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UsageError, of_users
from .base import Callback, Logs


def optimizers_of(model: Any) -> list[Any]:
    """The optimizer of a model, or those that it consists of."""
    optimizer = model.optimizer
    return list(getattr(optimizer, "optimizers", [optimizer]))


def learning_rates(model: Any) -> dict[str, float]:
    """The learning rate now, as logs name it; one per optimizer where there are several."""
    several = hasattr(model.optimizer, "optimizers")
    return {
        f"learning_rate_{each.name}" if several else "learning_rate": float(each.learning_rate)
        for each in optimizers_of(model)
    }


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Args:
        schedule: a function of the epoch, counted from 0, and of the learning rate so far, or of
            the epoch alone; it returns the learning rate as a float.
        verbose: 1 prints it.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for optimizer in optimizers_of(self.model):
            rate = self._scheduled(epoch, float(optimizer.learning_rate))
            optimizer.learning_rate = rate
            if self.verbose > 0:
                print(
                    f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.",
                    flush=True,
                )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model))

    def _scheduled(self, epoch: int, rate: float) -> float:
        takes_rate = _takes(self.schedule, epoch, rate)
        given = (epoch, rate) if takes_rate else (epoch,)
        found = of_users(self.schedule, type(self).__name__, *given)
        if isinstance(found, (float, np.floating)):
            return float(found)
        raise UsageError(
            f"LearningRateScheduler: expected a float from the schedule; received {found!r}"
        )


def _takes(function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-in functions have none
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
