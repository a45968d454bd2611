"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..dtypes import floatx
from ..variable import Variable
from .moments import Moments


class Nadam(Moments):
    """Dozat 2015: the momentum of update t is ``beta_1 * (1 - 0.96**t / 2)``.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share of the former mean square in the next one.
        options: as ``Optimizer`` takes them.
    """

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype if variables else floatx()
        self._momentum_product = self.add_variable((), "ones", dtype, name="u_product")

    def update_all(
        self, gradients: Sequence[Any], variables: Sequence[Variable], learning_rate: Any
    ) -> None:
        product = self._momentum_product
        time = ops.cast(self.iterations + 1, product.dtype)
        product.assign(product * self._momentum_at(time))
        super().update_all(gradients, variables, learning_rate)

    def _momentum_at(self, time: Any) -> Any:
        return self.beta_1 * (1 - 0.5 * ops.power(0.96, time))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean, square = self.kept_for(variable)
        time = ops.cast(self.iterations + 1, variable.dtype)
        now, ahead = self._momentum_at(time), self._momentum_at(time + 1)
        product = ops.cast(self._momentum_product, variable.dtype)
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1 - self.beta_2))
        of_mean = ops.divide(ahead, 1 - product * ahead)
        of_gradient = ops.divide(1 - now, 1 - product)
        step = (of_mean * mean + of_gradient * gradient) * learning_rate
        spread = ops.divide(square, 1 - ops.power(self.beta_2, time))
        variable.assign(variable - ops.divide(step, ops.sqrt(spread) + self.epsilon))
