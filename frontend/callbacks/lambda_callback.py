"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UsageTypeError, user_facing
from .base import Callback


class LambdaCallback(Callback):
    """Calls functions in place of hooks: ``LambdaCallback(on_epoch_end=lambda epoch, logs: ...)``.

    Args:
        on_epoch_begin, on_epoch_end: functions of ``(epoch, logs)``.
        on_train_begin, on_train_end: functions of ``(logs)``.
        on_train_batch_begin, on_train_batch_end: functions of ``(batch, logs)``.
        kwargs: any other hooks by name; other names become attributes.

    Raises:
        TypeError: a hook is given something that cannot be called.
    """

    on_train_batch_begin: Any
    on_train_batch_end: Any

    @user_facing
    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        given = {name: hook for name, hook in hooks.items() if hook is not None}
        for name, value in {**given, **kwargs}.items():
            if hasattr(Callback, name) and name.startswith("on_") and not callable(value):
                raise UsageTypeError(
                    f"LambdaCallback: expected {name} as a function; received {value!r}"
                )
            setattr(self, name, value)
