"""What users name losses and metrics by, and what shapes tell about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..naming import snake_case
from ..tensor import KerasTensor
from .outputs import is_nested


def is_config(value: Any) -> bool:
    """Whether a dict describes one loss or metric, and is no dict by outputs."""
    return isinstance(value, Mapping) and "class_name" in value


def identifiers_in(value: Any) -> list[Any]:
    """The losses or metrics in a nesting, without None; configs are no nestings."""
    if value is None or is_config(value) or not is_nested(value):
        return [] if value is None else [value]
    inner = value.values() if isinstance(value, Mapping) else value
    return [leaf for each in inner for leaf in identifiers_in(each)]


def name_of(target: Any) -> str:
    """The name of a loss, metric or function in the history."""
    given = getattr(target, "name", None)
    return str(given or snake_case(getattr(target, "__name__", type(target).__name__)))


def kind_of(y_true: Any, y_pred: Any) -> str:
    """Whether targets are "binary", "sparse" (integers) or "categorical" (one-hot), as Keras tells.

    One prediction a sample is binary; targets with an axis less, or with size 1 where there are
    several classes, are integers.
    """
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    if pred[-1:] == (1,):
        return "binary"
    one = true[-1:] == (1,) and pred[-1:] != (1,)
    return "sparse" if len(true) < len(pred) or one else "categorical"


def shape_of(value: Any) -> tuple[Any, ...]:
    """The shape of a tensor or an array; None where only the data tell."""
    return value.shape if isinstance(value, KerasTensor) else tuple(np.shape(value))
