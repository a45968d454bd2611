"""Gradient descent, with or without momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

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
