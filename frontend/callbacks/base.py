"""What callbacks are: objects that `fit`, `evaluate` and `predict` tell of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arguments import Checked

Logs = dict[str, Any]

# The hooks of batches, and the older name that Keras still calls from the first two.
_OLDER_NAME = {
    "on_train_batch_begin": "on_batch_begin",
    "on_train_batch_end": "on_batch_end",
}


class Callback(Checked):
    """Base of all callbacks: override the hooks of interest.

    ``logs`` maps names of metrics to floats; hooks of beginnings get an empty dict. Epochs and
    batches count from 0.

    Attributes:
        model: the model under way.
        params: ``verbose``, ``epochs`` and ``steps`` as ``fit``, ``evaluate`` or ``predict`` was
            given them; ``steps`` is None where the data do not tell.
        takes_unread_logs: whether the logs of batches are handed over without being read, as
            reading them waits for the step. They are then any mapping, not a dict of floats.
    """

    params: dict[str, Any] | None = None
    takes_unread_logs = False
    _model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    @property
    def model(self) -> Any:
        return self._model

    def wants(self, hook: str) -> bool:
        """Whether a hook of batches, such as ``on_train_batch_end``, is to be called at all."""
        return overrides(self, hook) or overrides(self, _OLDER_NAME.get(hook, hook))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """At the beginning of ``fit``."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """At the end of ``fit``, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """At the beginning of an epoch of ``fit``."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """At the end of an epoch; logs of validation begin with ``val_``.

        What a callback adds to ``logs``, later ones see, and the history keeps.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before each step of training; with several steps an execution, before each of those."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After each step of training, with the metrics over the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_end``."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """At the beginning of ``evaluate``, and of the validation within ``fit``."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """At the end of ``evaluate`` or of a validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before each batch of ``evaluate`` or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After each batch of ``evaluate`` or of a validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """At the beginning of ``predict``."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """At the end of ``predict``."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before each batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After each batch of ``predict``; ``logs["outputs"]`` are its outputs."""


def overrides(callback: Any, hook: str, base: type = Callback) -> bool:
    """Whether a callback defines a hook otherwise than ``base`` does, by class or by attribute."""
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(base, hook)


def plain_logs(logs: Mapping[str, Any] | None) -> Logs:
    """Logs as a new dict of floats, sorted by name; dicts inside are flattened.

    What is no scalar stays as it is.
    """
    plain: Logs = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, Mapping):
            plain.update(plain_logs(value))
        else:
            plain[name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        return float(value)
    array = np.asarray(value) if hasattr(value, "__array__") else None
    return float(array) if array is not None and array.ndim == 0 else value
