"""Kinds of attributes: an attribute's name means the same kind of value in every op.

Checked as a node is made, before the type rule, which then asks only whether values fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...runtime.dim import MOST, Dim
from .types import MOST_AXES, DType, TensorType

Check: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True)
class AttributeKind:
    """A kind of value: in words, and as a predicate."""

    words: str
    holds: Check


def attribute_kind(op: str, attribute: str) -> AttributeKind | None:
    """What ``attribute`` of the op called ``op`` is; None for a name that has no kind."""
    return _OF_ONE_OP.get((op, attribute)) or _KINDS.get(attribute)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -MOST <= value < MOST


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and -MOST <= value < MOST)


def _is_size(value: Any) -> bool:
    return isinstance(value, Dim) or _is_int(value)


def _is_dtype(value: Any) -> bool:
    return isinstance(value, (DType, str))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _each(check: Check) -> Check:
    """Tuples of what passes ``check``, one an axis."""

    def holds(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) <= MOST_AXES and all(map(check, value))

    return holds


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


# Graphs and arrays have classes that lie above this module: the type rules ask for them.
_ANY = AttributeKind("a value", lambda value: True)
_INT = AttributeKind("a whole number of 64 bits", _is_int)
_INTS = AttributeKind("whole numbers as a tuple such as (1, 2)", _each(_is_int))
_NUMBER = AttributeKind("a number", _is_number)
_SIZE = AttributeKind("a size such as 28 or N", _is_size)
_SIZES = AttributeKind("sizes as a tuple such as (N, 28)", _each(_is_size))
_AXES = AttributeKind("axes as a tuple such as (1, 2)", _each(_is_int))
_FLAG = AttributeKind("True or False", _is_flag)
_DTYPE = AttributeKind("a dtype such as f32", _is_dtype)
_TEXT = AttributeKind("a string", _is_text)
_PADDING = AttributeKind(
    'padding "valid", "same" or pairs ((1, 1), (0, 2))', _either(_is_text, _each(_each(_is_size)))
)
_PART = AttributeKind(
    "a split: None, a number, or a pair", _or_none(_either(_is_int, _each(_is_int)))
)

_KINDS: dict[str, AttributeKind] = {
    "alpha": _NUMBER,
    "approximate": _FLAG,
    "axes": _AXES,
    "axis": AttributeKind("an axis such as -1", _is_int),
    "b": _NUMBER,
    "body": _ANY,
    "carries": _INT,
    "depth": _SIZE,
    "dilation": _INTS,
    "dtype": _DTYPE,
    "epsilon": _NUMBER,
    "factors": _INTS,
    "fill": AttributeKind("None, a number, True or False", _or_none(_either(_is_flag, _is_number))),
    "from_end": _FLAG,
    "groups": _INT,
    "high": _SIZES,
    "index": _INT,
    "interior": _INTS,
    "keepdims": _FLAG,
    "label": _TEXT,
    "least": _INT,
    "low": _SIZES,
    "name": _TEXT,
    "otherwise": _ANY,
    "output_padding": AttributeKind(
        "None, or for each axis a number or None", _or_none(_each(_or_none(_is_int)))
    ),
    "padding": _PADDING,
    "split": _PART,
    "reverse": _FLAG,
    "sequences": _INT,
    "shape": _SIZES,
    "size": _SIZE,
    "slope": _NUMBER,
    "spatial": _SIZES,
    "start": _SIZES,
    "step": _INTS,
    "steps": _INTS,
    "stop": _SIZES,
    "strides": _INTS,
    "threshold": _NUMBER,
    "type": AttributeKind("a type such as f32[N, 4]", lambda value: isinstance(value, TensorType)),
    "unroll": _ANY,  # a number or a word: the op checks which
    "value": _NUMBER,
    "window": _INTS,
}

# The few names that mean something else in one op.
_OF_ONE_OP: dict[tuple[str, str], AttributeKind] = {
    ("clip", "high"): _NUMBER,
    ("clip", "low"): _NUMBER,
    ("constant", "value"): _ANY,
    ("interleave", "size"): _SIZES,
    ("layer_norm", "axis"): AttributeKind(
        "an axis such as -1, or axes as a tuple such as (1, 2)", _either(_is_int, _each(_is_int))
    ),
}
