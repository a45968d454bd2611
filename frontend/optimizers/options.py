"""What every optimizer can be told, and checks of numbers, with errors that say what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from ..errors import UsageError, unexpected


class Options(TypedDict, total=False):
    """The arguments that all optimizers share; ``Optimizer`` tells what they mean."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


def at_least(owner: Any, name: str, value: Any, least: float = 0.0) -> float:
    """``value`` as a float. Raises ``ValueError`` unless it is a number of ``least`` or more."""
    if not _is_number(value) or not value >= least:
        raise UsageError(f"{_named(owner)}expected {name} of {least:g} or more; received {value!r}")
    return float(value)


def above_zero(owner: Any, name: str, value: Any) -> float:
    """``value`` as a float. Raises ``ValueError`` unless it is a number above 0."""
    if not _is_number(value) or not value > 0:
        raise UsageError(f"{_named(owner)}expected {name} above 0; received {value!r}")
    return float(value)


def share(owner: Any, name: str, value: Any) -> float:
    """``value`` as a float. Raises ``ValueError`` unless it is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"{_named(owner)}expected {name} between 0 and 1; received {value!r}")
    return float(value)


def count(owner: Any, name: str, value: Any, least: int) -> int:
    """``value`` as an int. Raises ``ValueError`` unless it is one of ``least`` or more."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise UsageError(
            f"{_named(owner)}expected {name} as an int of {least} or more; received {value!r}"
        )
    return int(value)


def clip_option(owner: Any, options: Mapping[str, float | None]) -> None:
    """Raises ``ValueError`` where several of the options are given, or one is no number above 0."""
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) > 1:
        listed = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise UsageError(
            f"{_named(owner)}expected one of clipnorm, clipvalue and global_clipnorm at most; "
            f"received {listed}"
        )
    for name, value in given.items():
        above_zero(owner, name, value)


def refuse_unknown(owner: Any, unknown: Mapping[str, Any], known: list[str]) -> None:
    """Raises ``ValueError`` for arguments that are not there, with the ones that may be meant."""
    left = dict(unknown)
    if left.pop("decay", None) is not None:
        # As in Keras, which takes it so that older code runs.
        warnings.warn(
            f"{_named(owner)}decay is ignored. Pass a schedule in place of it: learning_rate="
            "keraunos.optimizers.schedules.InverseTimeDecay(...)",
            stacklevel=4,
        )
    if not left:
        return
    raise UsageError(f"{_named(owner)}{unexpected(left, known)}")


def _is_number(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "fiu" and bool(np.isfinite(value))
    return isinstance(value, (int, float, np.integer, np.floating)) and bool(np.isfinite(value))


def _named(owner: Any) -> str:
    return f"{type(owner).__name__}: "
