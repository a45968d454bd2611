"""Adam and AdamW: momentum, divided by the root of the mean square of the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..variable import Variable
from .moments import Moments
from .options import Options, at_least


class Adam(Moments):
    """Kingma and Ba 2014, with the epsilon of section 2, outside the correction of the mean square.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share of the former mean square in the next one.
        amsgrad: whether to divide by the largest mean square so far (Reddi et al. 2018).
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.amsgrad = amsgrad

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean, square = self.kept_for(variable)
        time = ops.cast(self.iterations + 1, variable.dtype)
        rate = corrected_rate(learning_rate, time, self.beta_1, self.beta_2)
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1 - self.beta_2))
        if self.amsgrad:
            largest = self._velocity_hats[self._get_variable_index(variable)]
            largest.assign(ops.maximum(largest, square))
            square = largest
        variable.assign(variable - ops.divide(mean * rate, ops.sqrt(square) + self.epsilon))


def corrected_rate(learning_rate: Any, time: Any, beta_1: float, beta_2: float) -> Any:
    """The learning rate at update ``time``, counted from 1: means that began at 0 are too small."""
    # In its own dtype, 1 - beta ** time is what Keras computes, rounding included.
    square, mean = 1 - ops.power(beta_2, time), 1 - ops.power(beta_1, time)
    return ops.divide(learning_rate * ops.sqrt(square), mean)


class AdamW(Adam):
    """Adam with weight decay (Loshchilov and Hutter 2019); ``exclude_from_weight_decay`` limits it.

    Raises:
        ValueError: ``weight_decay`` is None.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        at_least(self, "weight_decay", weight_decay)
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options
        )
