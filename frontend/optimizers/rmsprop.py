"""RMSprop: gradients divided by the root of their mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least, share


class RMSprop(Optimizer):
    """Hinton 2012, lecture 6: ``w -= rate * g / sqrt(mean(g**2) + epsilon)``.

    Args:
        rho: the share of the former mean in the next one.
        momentum: of the steps, which are added up where it is above 0.
        centered: whether the square of the mean gradient is taken from the mean square.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = share(self, "rho", rho)
        self.momentum = share(self, "momentum", momentum)
        self.epsilon = at_least(self, "epsilon", epsilon)
        self.centered = centered

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        square = self._velocities[index]
        square.assign(self._mixed(square, ops.square(gradient)))
        spread = square + self.epsilon
        if self.centered:
            mean = self._average_gradients[index]
            mean.assign(self._mixed(mean, gradient))
            spread = square - ops.square(mean) + self.epsilon
        step = ops.divide(learning_rate * gradient, ops.sqrt(spread))
        if self.momentum:
            velocity = self._momentums[index]
            velocity.assign(self.momentum * velocity + step)
            step = velocity
        variable.assign(variable - step)

    def _mixed(self, mean: Variable, value: Any) -> Any:
        return self.rho * mean + (1 - self.rho) * value
