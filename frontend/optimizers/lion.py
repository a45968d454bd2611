"""Lion: steps by the sign of the momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..errors import UsageError
from ..variable import Variable
from .base import Optimizer
from .options import Options, share


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
