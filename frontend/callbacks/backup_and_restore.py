"""Going on with a training that was interrupted."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from .. import lazy
from ..errors import LayerError, UsageError, user_facing
from ..saving.atomic import make_folder
from ..source import warn
from .base import Callback, Logs, overrides
from .model_checkpoint import BatchCounter, checked_frequency


class BackupAndRestore(Callback):
    """Keeps the state of the training in a folder, from which `fit` goes on when it is run again.

    Weights, optimizer, seeds and the global random streams are part of it, so that the weights and
    the history are those of a training that was not interrupted, bit for bit, as long as the data
    come in the same order again: those of arrays do, and what is drawn from the global streams.
    What other callbacks remember is not part of it, and the history begins with the epoch that is
    gone on with. Put it last in the list of callbacks, so that it sees what the others did.

    Args:
        backup_dir: a folder for nothing else.
        save_freq: "epoch", or every how many batches to write a backup.
        double_checkpoint: whether to keep the backup before the last one as well, to go back to
            it if the disk damages the last one.
        delete_checkpoint: whether to remove the folder when the training is over.

    Raises:
        ValueError: no folder is named, or ``save_freq`` is something else; when used, the backup is
            of another model.
    """

    @user_facing
    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not os.fspath(backup_dir):
            raise UsageError("BackupAndRestore: expected the path of a folder; received none")
        self.backup_dir = Path(backup_dir)
        self.save_freq = checked_frequency("BackupAndRestore", save_freq)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.path = self.backup_dir / "latest.weights.h5"
        self.previous = self.backup_dir / "previous.weights.h5"
        self._counter = BatchCounter(self.save_freq)
        self._begin()

    def _begin(self) -> None:
        self._epoch = 0
        self._steps = 0
        self._saved_steps = 0
        self._is_due = False
        self._at_epoch: Any = None
        self._found: Any = None

    def wants(self, hook: str) -> bool:
        needed = self.save_freq != "epoch" or self.path.exists()
        if hook.startswith("on_train_batch") and not needed:
            older = hook.replace("train_", "")
            return overrides(self, hook, BackupAndRestore) or overrides(self, older)
        return super().wants(hook)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model = self.model
        if not model.built:
            raise LayerError(
                model,
                "BackupAndRestore: expected a built model; give it an Input, or call it on some "
                "data before fit",
            )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._begin()
        self._restore()
        self._at_epoch = _states().RandomState.now()

    def on_train_end(self, logs: Logs | None = None) -> None:
        # After Ctrl-C callbacks hear of an end, but the training is to be gone on with.
        if self.delete_checkpoint and not isinstance(sys.exception(), KeyboardInterrupt):
            self._delete()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._steps = self._saved_steps = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._at_epoch = _states().RandomState.now()
        at_last_step = self._saved_steps and self._saved_steps == self._steps
        if self.save_freq == "epoch" or self._is_due or at_last_step:
            self._save(epoch + 1, 0)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        if self._found is not None:
            # The first step after the interruption: by now there are metrics.
            self._found.restore_metrics(self.model)
            self._found = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        self._steps = batch + 1
        self._is_due |= self._counter.is_due(batch)
        # After the last step comes the end of the epoch, which is what to go on from.
        if self._is_due and self._steps != (self.params or {}).get("steps"):
            self._save(self._epoch, self._steps)

    def _save(self, epoch: int, steps: int) -> None:
        states = _states()
        make_folder("BackupAndRestore", self.backup_dir)
        if self.double_checkpoint and self.path.exists():
            self.path.replace(self.previous)
        position = states.Position(epoch, steps, self._at_epoch, states.RandomState.now())
        states.save_state(self.model, self.path, position)
        self._is_due = False
        self._saved_steps = steps

    def _restore(self) -> None:
        """Sets what a backup has, and tells `fit` where to begin."""
        state, model = self._state(), self.model
        if state is None:
            return
        position = state.position
        state.restore_weights()
        position.at_epoch.restore()
        model._initial_epoch, model._initial_step = position.epoch, position.step
        model._initial_draws = position.now
        self._found = state if position.step else None

    def _state(self) -> Any:
        files = [path for path in (self.path, self.previous) if path.exists()]
        for path in files:
            try:
                return _states().load_state(self.model, path)
            except UsageError as error:
                if path == files[-1]:
                    raise
                warn(f"BackupAndRestore: {error}; the backup before it is taken")
        return None

    def _delete(self) -> None:
        """Removes the callback's own files, and the folder if it is empty then."""
        for path in (self.path, self.previous):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.backup_dir.rmdir()


def _states() -> Any:
    """Loaded when the first backup is made: HDF5 is slow to import."""
    return lazy.load(".saving.state")
