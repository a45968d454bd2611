"""Adadelta: steps of the size of the steps before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least, share


class Adadelta(Optimizer):
    """Zeiler 2012; its own learning rate is 1.

    Args:
        rho: the share of the former means in the next ones.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = share(self, "rho", rho)
        self.epsilon = at_least(self, "epsilon", epsilon)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        names = ["accumulated_grad", "accumulated_delta_var"]
        self._squares, self._square_steps = self.add_optimizer_variables(variables, names)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, steps = self._squares[index], self._square_steps[index]
        squares.assign(self._mixed(squares, gradient))
        step = ops.divide(self._root(steps) * gradient, self._root(squares))
        steps.assign(self._mixed(steps, step))
        variable.assign(variable - learning_rate * step)

    def _mixed(self, mean: Variable, value: Any) -> Any:
        return self.rho * mean + (1 - self.rho) * ops.square(value)

    def _root(self, mean: Variable) -> Any:
        return ops.sqrt(mean + self.epsilon)
