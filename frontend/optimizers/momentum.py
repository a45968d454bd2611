"""Optimizers that step along a running sum of gradients, or along its signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..errors import UsageError
from ..variable import Variable
from .base import Optimizer
from .options import Options, share


class SGD(Optimizer):
    """``w -= rate * g``; with momentum, ``v = momentum * v - rate * g`` and ``w += v``.

    Args:
        nesterov: whether a step looks ahead: ``w += momentum * v - rate * g`` (Nesterov 1983).
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = share(self, "momentum", momentum)
        self.nesterov = nesterov

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        velocity.assign(velocity * self.momentum - step)
        ahead = velocity * self.momentum - step if self.nesterov else velocity
        variable.assign(variable + ahead)


class Lion(Optimizer):
    """Chen et al. 2023; it likes smaller learning rates and more weight decay than Adam.

    Args:
        beta_1: the share of the mean gradient in a step, above 0.
        beta_2: the share of the former mean gradient in the next one.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = share(self, "beta_1", beta_1)
        self.beta_2 = share(self, "beta_2", beta_2)
        if not self.beta_1:
            raise UsageError("Lion: expected beta_1 above 0; received 0, which leaves no momentum")

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean = self._momentums[self._get_variable_index(variable)]
        direction = ops.sign(mean * self.beta_1 + gradient * (1 - self.beta_1))
        variable.assign(variable - learning_rate * direction)
        mean.assign(mean * self.beta_2 + gradient * (1 - self.beta_2))
