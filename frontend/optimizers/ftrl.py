"""Ftrl: follow the regularized leader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import initializers, ops
from ..errors import UsageError
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least


class Ftrl(Optimizer):
    """McMahan et al. 2013, for sparse models; a weight follows from the sums of its gradients.

    Args:
        learning_rate_power: 0 or less; 0 keeps the learning rate fixed.
        initial_accumulator_value: where the sums of squares begin, 0 or more.
        l1_regularization_strength, l2_regularization_strength: 0 or more.
        l2_shrinkage_regularization_strength: 0 or more; a penalty on size that is part of the loss.
        beta: of the paper.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if learning_rate_power > 0:
            raise UsageError(
                f"Ftrl: expected learning_rate_power of 0 or less; received {learning_rate_power!r}"
            )
        strengths = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for name, value in strengths.items():
            setattr(self, name, at_least(self, name, value))
        self.learning_rate_power = float(learning_rate_power)
        self.beta = float(beta)

    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        starts = [initializers.Constant(self.initial_accumulator_value), "zeros"]
        self._squares, self._linears = self.add_optimizer_variables(
            variables, ["accumulator", "linear"], starts
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, linear = self._squares[index], self._linears[index]
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        root_before = ops.power(squares, -self.learning_rate_power)
        squares.assign(squares + ops.square(gradient))
        root = ops.power(squares, -self.learning_rate_power)
        growth = ops.divide(root - root_before, learning_rate)
        linear.assign(linear + shrunk - growth * variable)
        l2 = self.l2_regularization_strength + ops.divide(self.beta, 2 * learning_rate)
        limit = self.l1_regularization_strength
        numerator = ops.clip(linear, -limit, limit) - linear
        variable.assign(ops.divide(numerator, ops.divide(root, learning_rate) + 2 * l2))
