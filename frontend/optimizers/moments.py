"""What optimizers of Adam's kind share: two running values of the gradients of each weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least, share


class Moments(Optimizer):
    """The base of optimizers that keep a mean of gradients, and a measure of their size.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share of the former measure in the next one.
        epsilon: added to what a step is divided by.
        options: as ``Optimizer`` takes them.

    Attributes:
        kept: what both are called in files.
    """

    kept: ClassVar[tuple[str, str]] = ("momentum", "velocity")

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
        self._means, self._sizes = self.add_optimizer_variables(variables, list(self.kept))

    def kept_for(self, variable: Variable) -> tuple[Variable, Variable]:
        """The mean gradient of a weight, and the measure of their size."""
        index = self._get_variable_index(variable)
        return self._means[index], self._sizes[index]
