"""Adamax: Adam by the largest gradient in place of the mean square."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..variable import Variable
from .moments import Moments


class Adamax(Moments):
    """Kingma and Ba 2014, section 7.1: ``u = max(beta_2 * u, |g|)``, a step is divided by u.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share that the former largest gradient keeps.
        options: as ``Optimizer`` takes them.
    """

    kept = ("momentum", "norm")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean, norm = self.kept_for(variable)
        time = ops.cast(self.iterations + 1, variable.dtype)
        rate = ops.divide(learning_rate, 1 - ops.power(self.beta_1, time))
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        norm.assign(ops.maximum(self.beta_2 * norm, ops.abs(gradient)))
        variable.assign(variable - ops.divide(rate * mean, norm + self.epsilon))
