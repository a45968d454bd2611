"""What holds of a weight after each update, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .accepted import Axes, NonNegative, Share
from .arguments import Checked, checked
from .backend import epsilon
from .naming import snake_case
from .serialize import config_of, described_in, rebuilt, resolved
from .watching import Watched


class Constraint(Checked, Watched):
    """The base of constraints: called with a weight, gives the weight as it may be."""

    def __call__(self, w: Any) -> Any:
        return ops.convert_to_tensor(w)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as ``from_config`` takes them."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that a configuration describes."""
        return cls(**config)


class MaxNorm(Constraint):
    """Lengths of ``max_value`` at most.

    Args:
        axis: along which lengths are taken, one or several: 0 for the inputs of each unit of a
            dense layer, ``[0, 1, 2]`` for each filter of a convolution.
    """

    def __init__(self, max_value: NonNegative = 2, axis: Axes = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        length = _length(w, self.axis)
        return ops.multiply(w, ops.divide(ops.clip(length, 0, self.max_value), epsilon() + length))


class NonNeg(Constraint):
    """No element below 0."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0)


class UnitNorm(Constraint):
    """Lengths of 1. ``axis`` as in ``MaxNorm``."""

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, epsilon() + _length(w, self.axis))


class MinMaxNorm(Constraint):
    """Lengths between two bounds.

    Args:
        rate: how far a length goes towards them in one update; 1 is all the way.
        axis: as in ``MaxNorm``.
    """

    def __init__(
        self,
        min_value: NonNegative = 0.0,
        max_value: NonNegative = 1.0,
        rate: Share = 1.0,
        axis: Axes = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        length = _length(w, self.axis)
        clipped = ops.clip(length, self.min_value, self.max_value)
        wanted = self.rate * clipped + (1 - self.rate) * length
        return ops.multiply(w, ops.divide(wanted, epsilon() + length))


def _length(w: Any, axis: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
_CLASSES = (Constraint, MaxNorm, NonNeg, UnitNorm, MinMaxNorm)
_TABLE: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_TABLE |= {snake_case(cls.__name__): cls for cls in _CLASSES}


def get(identifier: Any) -> Callable[..., Any] | None:
    """The constraint meant by a name, a config, a class or a callable; None stays None.

    Raises:
        ValueError: no constraint has that name, or it is something else.
    """
    others = "'max_norm', an instance or a function"
    return resolved("constraint", identifier, _TABLE, deserialize, others)


def serialize(constraint: Any) -> Any:
    """The config of a constraint, as Keras writes it."""
    return described_in("constraints", constraint)


@checked
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint that a config from ``serialize`` describes.

    Raises:
        ValueError: there is no such constraint, and it is not in ``custom_objects`` either.
    """
    return rebuilt("constraint", config, _TABLE, {}, custom_objects)


__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]
