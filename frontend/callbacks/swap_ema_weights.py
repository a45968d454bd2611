"""Averages of weights in place of the weights, where the model is looked at."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .base import Callback, Logs
from .learning_rate import optimizers_of


class SwapEMAWeights(Callback):
    """Puts the moving averages that the optimizer keeps in the place of the weights.

    It does for validation, ``evaluate`` and ``predict``, and takes the weights back afterwards.

    Args:
        swap_on_epoch: whether to do so at the end of each epoch too, until the next one begins, so
            that checkpoints hold the averages; put it before them in the list of callbacks.

    Raises:
        ValueError: when used, the optimizer has not got ``use_ema=True``.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._are_in_model = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._show_weights()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch or self._are_in_model:
            return
        self._show_averages()
        if epoch == (self.params or {}).get("epochs", 0) - 1:
            # At its end `fit` takes the averages from the optimizer once more.
            for weight, average in self._pairs():
                average.assign(weight)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._show_averages()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._show_weights()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._show_averages()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._show_weights()

    def _show_averages(self) -> None:
        if not self._are_in_model:
            self._swap()
            self._are_in_model = True

    def _show_weights(self) -> None:
        if self._are_in_model:
            self._swap()
            self._are_in_model = False

    def _swap(self) -> None:
        for weight, average in self._pairs():
            kept = weight.numpy()
            weight.assign(average)
            average.assign(kept)

    def _pairs(self) -> list[tuple[Any, Any]]:
        """Each weight with its average."""
        found: list[tuple[Any, Any]] = []
        for optimizer in optimizers_of(self.model):
            if getattr(optimizer, "use_ema", False):
                found += optimizer.averages
        if not found:
            raise UsageError(
                "SwapEMAWeights: expected an optimizer that keeps averages of the weights; pass "
                "use_ema=True to it"
            )
        return found
