"""Files that TensorBoard shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ..errors import UsageError, user_facing
from .base import Callback, Logs, overrides
from .events import EventWriter
from .learning_rate import learning_rates


class TensorBoard(Callback):
    """Writes losses, metrics and learning rates to event files, below ``train`` and ``validation``.

    They are named as Keras names them: ``epoch_loss`` by epoch, ``batch_loss`` by batch,
    ``evaluation_loss_vs_iterations`` by the steps of the optimizer. The package ``tensorboard``
    shows them; none is needed to write them.

    Args:
        log_dir: of the files.
        histogram_freq: every how many epochs to write histograms of the weights; 0 is never.
        write_graph: accepted as in Keras, without effect: ``model.explain()`` shows the graph.
        write_steps_per_second: whether to write how fast it goes.
        update_freq: "epoch"; "batch", or every how many batches to write their logs as well.
        write_images, profile_batch, embeddings_freq, embeddings_metadata: not to be had.

    Raises:
        ValueError: something is asked for that is not to be had.
    """

    @user_facing
    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: Any = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: Any = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        _decline(
            write_images=write_images,
            profile_batch=profile_batch,
            embeddings_freq=embeddings_freq,
            embeddings_metadata=embeddings_metadata,
        )
        self.log_dir = Path(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, EventWriter] = {}
        self._batches = 0
        self._batch_start = 0.0
        self._epoch_start = (0.0, 0)
        self._in_fit = False

    def wants(self, hook: str) -> bool:
        rare = self.update_freq == "epoch" and not self.write_steps_per_second
        if rare and hook.startswith("on_train_batch"):
            older = hook.replace("train_", "")
            return overrides(self, hook, TensorBoard) or overrides(self, older)
        return super().wants(hook)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False
        self._close()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        self._batches += 1
        self._batch_start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if isinstance(self.update_freq, str) or self._batches % self.update_freq:
            return
        values = {f"batch_{name}": value for name, value in (logs or {}).items()}
        if self.write_steps_per_second:
            elapsed = time.monotonic() - self._batch_start
            values["batch_steps_per_second"] = 1 / max(elapsed, 1e-9)
        self._scalars("train", values, self._batches)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.write_steps_per_second:
            self._epoch_start = (time.monotonic(), self._steps())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        trained = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validated = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        if logs:
            trained |= learning_rates(self.model)
            if self.write_steps_per_second:
                trained["steps_per_second"] = self._steps_per_second()
        for part, values in (("train", trained), ("validation", validated)):
            self._scalars(part, {f"epoch_{name}": v for name, v in values.items()}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._histograms(epoch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            values = {f"evaluation_{n}_vs_iterations": value for n, value in (logs or {}).items()}
            self._scalars("validation", values, self._steps())
        if not self._in_fit:
            self._close()

    def _scalars(self, part: str, values: dict[str, Any], step: int) -> None:
        if not values:
            return
        writer = self._writer(part)
        for name, value in values.items():
            writer.scalar(name, float(value), step)
        writer.flush()

    def _histograms(self, epoch: int) -> None:
        writer = self._writer("train")
        for weight in self.model.weights:
            writer.histogram(f"{weight.path}/histogram", weight.view, epoch)
        writer.flush()

    def _writer(self, part: str) -> EventWriter:
        """Made when first needed, so that there are no empty files."""
        if part not in self._writers:
            self._writers[part] = EventWriter(self.log_dir / part)
        return self._writers[part]

    def _steps(self) -> int:
        return int(self.model.optimizer.iterations)

    def _steps_per_second(self) -> float:
        started, steps = self._epoch_start
        return (self._steps() - steps) / max(time.monotonic() - started, 1e-9)

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _decline(**options: Any) -> None:
    for name, value in options.items():
        is_off = value is None or (isinstance(value, (int, float, str)) and not value)
        if not is_off:
            raise UsageError(
                f"TensorBoard: expected no {name}, which is not to be had here; received "
                f"{name}={value!r}. Scalars and histograms are written"
            )
