"""The progress bar as a callback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..progress import Progbar
from .base import Callback, Logs, plain_logs


class ProgbarLogger(Callback):
    """Shows the progress of ``fit``, ``evaluate`` and ``predict``, as ``verbose`` says.

    ``fit`` and the others add one themselves unless ``verbose=0``.
    """

    takes_unread_logs = True

    def __init__(self) -> None:
        self.verbose = 1
        self.epochs = 1
        self.target: int | None = None
        self.seen = 0
        self.progbar: Progbar | None = None
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        # A validation within `fit` prints nothing.
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False
        if self.progbar is not None:  # interrupted within an epoch
            self.progbar.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.verbose and self.epochs > 1:
            print(f"Epoch {epoch + 1}/{self.epochs}", flush=True)
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._begin()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end(None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._show(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._in_fit:
            self._show(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._show(batch, None)

    def _begin(self) -> None:
        self.seen = 0
        # Metrics are means over the epoch already, to be shown as they are.
        self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def _show(self, batch: int, logs: Mapping[str, Any] | None) -> None:
        self.seen = batch + 1
        if self.progbar is not None and self.verbose:
            values = plain_logs(logs) if self.progbar.is_due else None
            self.progbar.update(self.seen, values, finalize=False)

    def _end(self, logs: Mapping[str, Any] | None) -> None:
        if self.progbar is None:
            return
        # What the data turned out to have is the target of the next epoch.
        self.target = self.target or self.seen
        self.progbar.target = self.target
        self.progbar.update(self.seen or self.target, plain_logs(logs), finalize=True)
        self.progbar = None
