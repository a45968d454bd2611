"""Adagrad: gradients divided by the root of the sum of their squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import initializers, ops
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least


class Adagrad(Optimizer):
    """Duchi et al. 2011: ``w -= rate * g / sqrt(sum(g**2) + epsilon)``.

    Args:
        initial_accumulator_value: where the sums begin, 0 or more.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = at_least(
            self, "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = at_least(self, "epsilon", epsilon)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        start = initializers.Constant(self.initial_accumulator_value)
        self._squares = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        squares = self._squares[self._get_variable_index(variable)]
        squares.assign(squares + ops.square(gradient))
        spread = ops.sqrt(squares + self.epsilon)
        variable.assign(variable - ops.divide(learning_rate * gradient, spread))
