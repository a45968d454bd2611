"""What arguments may be: predicates, and names for signatures to be annotated with."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..runtime.arrays import is_float
from ..runtime.dim import Dim


@dataclass(frozen=True)
class Rule:
    """What an argument has to be, in words that follow "expected units as"."""

    words: str
    accepts: Callable[[Any], bool]


def is_int(value: Any) -> bool:
    """Python's, numpy's and symbolic ones; True and False are none."""
    if isinstance(value, (int, np.integer, Dim)):
        return not isinstance(value, bool)
    return isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu"


def is_number(value: Any) -> bool:
    """A real number, infinities among them, that is no integer beyond all floats."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and _is_real(value.dtype) and not np.isnan(value)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return False
    is_real = isinstance(value, (int, float, np.integer, np.floating))
    return is_real and not isinstance(value, bool) and not math.isnan(value)


def _is_real(dtype: np.dtype) -> bool:
    return dtype.kind in "iu" or is_float(dtype)


def is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or (is_int(value) and value in (0, 1))


def is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, range, np.ndarray)) and np.ndim(value) != 0


def _at_least(least: int) -> Rule:
    return Rule(
        f"an int of {least} or more",
        lambda value: is_int(value) and (isinstance(value, Dim) or value >= least),
    )


def _are_axes(value: Any) -> bool:
    if is_int(value):
        return True
    listed = isinstance(value, (list, tuple, range, np.ndarray, set, frozenset))
    return listed and all(map(is_int, value)) and len({int(each) for each in value}) == len(value)


def _is_size(value: Any) -> bool:
    return is_int(value) and (isinstance(value, Dim) or value >= 0)


Count = Annotated[int, _at_least(1)]
Natural = Annotated[int, _at_least(0)]
Positive = Annotated[float, Rule("a number above 0", lambda value: is_number(value) and value > 0)]
NonNegative = Annotated[
    float, Rule("a number of 0 or more", lambda value: is_number(value) and value >= 0)
]
Strength = Annotated[
    float,
    Rule(
        "a finite number of 0 or more",
        lambda value: is_number(value) and 0 <= value < math.inf,
    ),
]
Share = Annotated[
    float, Rule("a number between 0 and 1", lambda value: is_number(value) and 0 <= value <= 1)
]
ShareBelowOne = Annotated[
    float, Rule("a number of 0 or more, below 1", lambda v: is_number(v) and 0 <= v < 1)
]
AnyFloat = Annotated[float, Rule("a number", lambda value: is_number(value) or _is_nan(value))]
Name = Annotated[
    str,
    Rule("a string without '/'", lambda v: isinstance(v, str) and v != "" and "/" not in v),
]
Axes = Annotated[Any, Rule("an int, or several ints, each once", _are_axes)]
Shape = Annotated[
    Any,
    Rule(
        "an int or a sequence of ints, each 0 or more",
        lambda value: _is_size(value) or (is_sequence(value) and all(map(_is_size, value))),
    ),
]
SizesOrNone = Annotated[
    Any,
    Rule(
        "sizes as ints of 0 or more, or None where they vary",
        lambda value: (
            _is_size(value)
            or (is_sequence(value) and all(each is None or _is_size(each) for each in value))
        ),
    ),
]
Ints = Annotated[
    Any,
    Rule(
        "an int or a sequence of ints",
        lambda value: is_int(value) or (is_sequence(value) and all(map(is_int, value))),
    ),
]
LineLength = Annotated[
    int, Rule("an int from 40 to 10000", lambda value: is_int(value) and 40 <= value <= 10_000)
]
NewShape = Annotated[
    Any,
    Rule(
        "an int or a sequence of ints, each 0 or more, or -1 once",
        lambda value: (
            (_is_new_size(value) and value is not None)
            or (is_sequence(value) and all(map(_is_new_size, value)))
        ),
    ),
]
Starts = Annotated[
    Any,
    Rule(
        "an int or a tensor of one for each axis",
        lambda value: (
            _has_rows(value)
            or (is_sequence(value) and all(is_int(e) or hasattr(e, "shape") for e in value))
        ),
    ),
]
Scalar = Annotated[
    Any,
    Rule(
        "a number or a tensor of numbers",
        lambda value: (
            is_number(value)
            or (hasattr(value, "dtype") and hasattr(value, "shape") and _is_numeric(value))
        ),
    ),
]
Numbers = Annotated[
    Any,
    Rule(
        "a list or tuple of numbers",
        lambda value: is_sequence(value) and all(map(is_number, value)),
    ),
]
Tensors = Annotated[
    Any,
    Rule(
        "a list of tensors, 1 or more",
        lambda value: (isinstance(value, (list, tuple)) and len(value) > 0) or _has_rows(value),
    ),
]
Function = Annotated[Callable[..., Any], Rule("a function", callable)]
Functions = Annotated[
    Sequence[Callable[..., Any]],
    Rule(
        "a list of functions",
        lambda value: (
            isinstance(value, (list, tuple)) and bool(value) and all(map(callable, value))
        ),
    ),
]
DataFormat = Annotated[
    str | None,
    Rule(
        "'channels_last', 'channels_first' or None",
        lambda value: (
            value is None
            or (isinstance(value, str) and value in ("channels_last", "channels_first"))
        ),
    ),
]


def _is_new_size(value: Any) -> bool:
    return value is None or _is_size(value) or (is_int(value) and value == -1)


def _has_rows(value: Any) -> bool:
    """An array, or a tensor, that is taken apart along its first axis."""
    shape = getattr(value, "shape", None)
    return (
        isinstance(shape, tuple) and len(shape) > 0 and isinstance(shape[0], int) and shape[0] > 0
    )


def _is_numeric(value: Any) -> bool:
    return str(value.dtype).startswith(("float", "int", "uint"))


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def is_sequence(value: Any) -> bool:
    is_rows = isinstance(value, np.ndarray) and value.ndim == 1
    return is_rows or isinstance(value, (list, tuple, range))
