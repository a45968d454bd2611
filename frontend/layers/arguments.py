"""Checks of layer arguments: the value in its own form, or an error that says what was expected."""

from __future__ import annotations

from typing import Any

from ..accepted import is_int
from ..errors import LayerError


def sizes(layer: Any, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """An int for all axes, or one int for each of ``rank`` axes."""
    given = [value] * rank if is_int(value) else value
    good = (
        isinstance(given, (list, tuple))
        and len(given) == rank
        and all(is_int(size) and size >= least for size in given)
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


DATA_FORMATS = ("channels_last", "channels_first")


def checked_format(layer: Any, value: Any) -> str:
    """``"channels_last"``, the default, or ``"channels_first"``."""
    return str(choice(layer, "data_format", value or "channels_last", DATA_FORMATS))
