"""Saving the model while it trains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.file_names import filled
from ..errors import UsageError, user_facing
from ..saving.atomic import make_folder
from ..source import warn
from .base import Logs, overrides
from .monitor import MonitorCallback

_WHOLE = (".keras", ".h5")
_WEIGHTS = (".weights.h5",)


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after epochs or after a number of batches.

    A file is replaced at once or not at all: stopped at any moment, the last one is whole.

    Args:
        filepath: of the file, with ``{epoch}``, ``{batch}`` (both counted from 1) and the names of
            logs in braces where wanted: ``best-{epoch:02d}-{val_loss:.2f}.weights.h5``. It ends in
            ``.weights.h5`` with ``save_weights_only``, else in ``.keras``.
        monitor, mode: as for ``MonitorCallback``.
        verbose: 1 prints what was done.
        save_best_only: whether to save only what is better than all before.
        save_weights_only: whether to save the weights alone.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: with ``save_best_only``, what the first one has to beat.

    Raises:
        ValueError: ``filepath`` or ``save_freq`` is of another form.
    """

    @user_facing
    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = checked_frequency("ModelCheckpoint", save_freq)
        self._counter = BatchCounter(self.save_freq)
        self._epoch = 0
        endings = _WEIGHTS if save_weights_only else _WHOLE
        if not self.filepath.endswith(endings):
            raise UsageError(
                f"ModelCheckpoint: expected a filepath that ends in {endings[0]} with "
                f"{save_weights_only=}; received {self.filepath!r}"
            )

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if not self.save_weights_only and not hasattr(model, "save"):
            raise UsageError(
                "ModelCheckpoint: expected save_weights_only=True and a filepath that ends in "
                f'.weights.h5, as model "{model.name}" cannot be saved as a whole'
            )

    def wants(self, hook: str) -> bool:
        if hook == "on_train_batch_end" and self.save_freq == "epoch":
            return overrides(self, hook, ModelCheckpoint) or overrides(self, "on_batch_end")
        return super().wants(hook)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self._counter.is_due(batch):
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        make_folder("ModelCheckpoint", Path(path).parent)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self._say(epoch, f"finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        known = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return filled(self.filepath, known)
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise UsageError(
                f"ModelCheckpoint: expected names of {', '.join(known)} in braces; received "
                f"{error} in filepath {self.filepath!r}"
            ) from None

    def _is_wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        value = logs.get(self.monitor)
        if value is None or np.ndim(value):
            what = "which is not available" if value is None else f"as a number; it is {value}"
            warn(
                f"ModelCheckpoint: expected the metric {self.monitor!r}, {what}; the model is "
                "saved without regard to it"
            )
            return True
        return self._is_best(epoch, value, path)

    def _is_best(self, epoch: int, value: float, path: str) -> bool:
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self.is_improvement(value, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {before}")
            return False
        change = f"{self.monitor} improved from {before} to {value:.5f}"
        self._say(epoch, f"{change}, saving model to {path}")
        self.best = value
        return True

    def _say(self, epoch: int, message: str) -> None:
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: {message}", flush=True)


class BatchCounter:
    """Tells every how many batches something is due; with "epoch", never."""

    def __init__(self, frequency: str | int) -> None:
        self._frequency = frequency
        self._last: int | None = None
        self._waiting = 0

    def is_due(self, batch: int) -> bool:
        """Whether it is after ``batch``, counted from 0 in each epoch; batches may be skipped."""
        if isinstance(self._frequency, str):
            return False
        begins = self._last is None or batch <= self._last
        self._waiting += batch + 1 if begins or self._last is None else batch - self._last
        self._last = batch
        if self._waiting < self._frequency:
            return False
        self._waiting = 0
        return True


def checked_frequency(what: str, frequency: Any) -> str | int:
    """ "epoch", or a number of batches. Raises ``ValueError`` for anything else."""
    is_count = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
    if frequency != "epoch" and not is_count:
        raise UsageError(
            f'{what}: expected save_freq as "epoch" or as a number of batches; received '
            f"{frequency!r}"
        )
    return frequency
