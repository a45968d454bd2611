"""Checks of layer arguments: the value in its own form, or an error that says what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LayerError


def positive(layer: Any, name: str, value: Any) -> int:
    """An int of 1 or more."""
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0
    if not good:
        raise LayerError(layer, f"expected {name} as an int of 1 or more; received {value!r}")
    return int(value)


def sizes(layer: Any, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """An int for all axes, or one int for each of ``rank`` axes."""
    given = [value] * rank if isinstance(value, (int, np.integer)) else value
    good = (
        isinstance(given, (list, tuple))
        and len(given) == rank
        and all(isinstance(size, (int, np.integer)) and size >= least for size in given)
    )
    if not good:
        each = "an int" if rank == 1 else f"an int or {rank} ints"
        raise LayerError(layer, f"expected {name} as {each}, {least} or more; received {value!r}")
    return tuple(int(size) for size in given)


def choice(layer: Any, name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """One of some values."""
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise LayerError(layer, f"expected {name} out of {listed}; received {value!r}")
    return value


def rate(layer: Any, name: str, value: Any, *, below_one: bool = False) -> float:
    """A float from 0 to 1."""
    good = isinstance(value, (int, float, np.number)) and 0 <= value <= 1
    if not good or (below_one and value == 1):
        raise LayerError(layer, f"expected {name} between 0 and 1; received {value!r}")
    return float(value)


DATA_FORMATS = ("channels_last", "channels_first")


def checked_format(layer: Any, value: Any) -> str:
    """``"channels_last"``, the default, or ``"channels_first"``."""
    return str(choice(layer, "data_format", value or "channels_last", DATA_FORMATS))
