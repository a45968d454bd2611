"""Adamax: Adam by the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least, share


class Adamax(Optimizer):
    """Kingma and Ba 2014, section 7.1: ``u = max(beta_2 * u, |g|)``, a step is divided by u.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share that the former largest gradient keeps.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = share(self, "beta_1", beta_1)
        self.beta_2 = share(self, "beta_2", beta_2)
        self.epsilon = at_least(self, "epsilon", epsilon)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._m, self._u = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        mean, norm = self._m[index], self._u[index]
        time = ops.cast(self.iterations + 1, variable.dtype)
        rate = ops.divide(learning_rate, 1 - ops.power(self.beta_1, time))
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        norm.assign(ops.maximum(self.beta_2 * norm, ops.abs(gradient)))
        variable.assign(variable - ops.divide(rate * mean, norm + self.epsilon))
