"""Functions that programs call on the host between launches, by name.

A program names such a function and carries none: what is not registered here is not called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

Arrays: TypeAlias = Sequence[np.ndarray]
HostFunction: TypeAlias = Callable[[str, Arrays, Arrays], None]

REQUIRE_NO_NAN, REQUIRE_FINITE = "require_no_nan", "require_finite"


class NotFiniteError(ValueError):
    """A value of a program that was to be finite is not; the message says whose."""


def register(name: str, function: HostFunction) -> None:
    """Makes ``function(label, reads, writes)`` known as ``name`` to programs of this process.

    It is given the row's label, then arrays of the slots that the row reads, which are read-only,
    and of those that it writes: of a slot's shape, or flat where its memory holds more than the
    value. They are valid during the call. What it raises ends the run.

    Raises:
        ValueError: another function has this name.
    """
    if _functions.setdefault(name, function) is not function:
        raise ValueError(f"host function {name!r}: expected a name that no other function has")


def host_function(name: str) -> HostFunction:
    """The function of this name; raises ``ValueError`` if there is none."""
    if name not in _functions:
        known = ", ".join(map(repr, _functions))
        raise ValueError(
            f"expected a host function among {known}; got {name!r}. Functions of your own are "
            "registered with keraunos.runtime.host_functions.register before the program is loaded"
        )
    return _functions[name]


def _require_no_nan(label: str, reads: Arrays, writes: Arrays) -> None:
    if any(np.isnan(array).any() for array in reads):
        raise NotFiniteError(label)


def _require_finite(label: str, reads: Arrays, writes: Arrays) -> None:
    if not all(np.isfinite(array).all() for array in reads):
        raise NotFiniteError(label)


_functions: dict[str, HostFunction] = {
    REQUIRE_NO_NAN: _require_no_nan,
    REQUIRE_FINITE: _require_finite,
}
