"""Lamb: Adam's steps, as long for each weight as the weight itself."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..variable import Variable
from .moments import Moments


class Lamb(Moments):
    """You et al. 2019, for large batches.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share of the former mean square in the next one.
        options: as ``Optimizer`` takes them.
    """

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean, square = self.kept_for(variable)
        time = ops.cast(self.iterations + 1, variable.dtype)
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1 - self.beta_2))
        spread = ops.sqrt(ops.divide(square, 1 - ops.power(self.beta_2, time))) + self.epsilon
        step = ops.divide(ops.divide(mean, 1 - ops.power(self.beta_1, time)), spread)
        variable.assign(variable - _length_ratio(variable, step) * learning_rate * step)


def _length_ratio(weight: Any, step: Any) -> Any:
    """How many times longer a weight is than a step; 1 where one of them is 0."""
    lengths = [ops.sqrt(ops.sum(ops.square(each))) for each in (weight, step)]
    are_some = ops.logical_and(ops.greater(lengths[0], 0), ops.greater(lengths[1], 0))
    return ops.where(are_some, ops.divide(*lengths), 1.0)
