"""Several callbacks as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import tree
from ..errors import UsageTypeError, of_users, user_facing
from .base import Callback, Logs, overrides, plain_logs
from .history import History
from .progbar_logger import ProgbarLogger

_BATCH_HOOKS = (
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
)


class CallbackList(Callback):
    """Calls the hooks of several callbacks, in their order.

    Logs become one dict of floats that all of them share. A hook of batches goes only to the
    callbacks that want it, so that one nobody overrides costs nothing.

    Args:
        callbacks: callbacks, nested in lists or not; None is none.
        add_history: whether to add a ``History`` where there is none.
        add_progbar: whether to add a ``ProgbarLogger`` where there is none.
        model, params: given to each callback.

    Attributes:
        callbacks: the callbacks, the added ones last.
        history: the first ``History`` among them, or None.
        wants_train_batches, wants_test_batches, wants_predict_batches: whether any callback wants
            to hear of batches; where none does, the hooks of batches need not be called.

    Raises:
        TypeError: an entry of another type than Callback.
    """

    @user_facing
    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks = _checked([] if callbacks is None else tree.flatten(callbacks))
        if add_history and self.history is None:
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(each, ProgbarLogger) for each in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self._listeners: dict[str, list[Any]] = {}
        self.set_model(model)
        self.set_params(params)

    @property
    def history(self) -> History | None:
        return next((each for each in self.callbacks if isinstance(each, History)), None)

    @user_facing
    def append(self, callback: Any) -> None:
        """Adds a callback at the end."""
        self.callbacks.extend(_checked([callback]))
        if self._model is not None:
            callback.set_model(self._model)
        self.set_params(self.params or {})

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        self._model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for callback in self.callbacks if params else ():
            callback.set_params(params)
        self._listeners = {
            hook: [callback for callback in self.callbacks if _wants(callback, hook)]
            for hook in _BATCH_HOOKS
        }

    def wants(self, hook: str) -> bool:
        return bool(self._listeners[hook])

    @property
    def wants_train_batches(self) -> bool:
        return self.wants("on_train_batch_begin") or self.wants("on_train_batch_end")

    @property
    def wants_test_batches(self) -> bool:
        return self.wants("on_test_batch_begin") or self.wants("on_test_batch_end")

    @property
    def wants_predict_batches(self) -> bool:
        return self.wants("on_predict_batch_begin") or self.wants("on_predict_batch_end")

    def on_train_begin(self, logs: Any = None) -> None:
        self._tell("on_train_begin", logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._tell("on_train_end", logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self._tell("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._tell("on_test_end", logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._tell("on_predict_begin", logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self._tell("on_predict_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._tell("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._tell("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_train_batch_end", batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_begin(batch, logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._tell_of_batch("on_predict_batch_end", batch, logs)

    def _tell(self, hook: str, logs: Mapping[str, Any] | None, *position: int) -> None:
        plain = plain_logs(logs)
        for callback in self.callbacks:
            _called(callback, hook, *position, plain)

    def _tell_of_batch(self, hook: str, batch: int, logs: Mapping[str, Any] | None) -> None:
        plain: Logs | None = None
        for callback in self._listeners[hook]:
            if getattr(callback, "takes_unread_logs", False):
                _called(callback, hook, batch, logs)
                continue
            plain = plain_logs(logs) if plain is None else plain
            _called(callback, hook, batch, plain)


def _called(callback: Any, hook: str, *args: Any) -> None:
    of_users(getattr(callback, hook), f"{hook} of {type(callback).__name__}", *args)


def _wants(callback: Any, hook: str) -> bool:
    """Callbacks made for Keras itself have the hooks alone: they want each."""
    return callback.wants(hook) if isinstance(callback, Callback) else overrides(callback, hook)


def _checked(callbacks: list[Any]) -> list[Any]:
    for callback in callbacks:
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            raise UsageTypeError(
                "callbacks: expected instances of keraunos.callbacks.Callback; received "
                f"{callback!r}. Derive your class from Callback, and pass an instance of it"
            )
    return callbacks
