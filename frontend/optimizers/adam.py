"""Optimizers that divide a mean of gradients by a measure of their size: Adam and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from .. import ops
from ..dtypes import floatx
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


class Lamb(Moments):
    """You et al. 2019, for large batches.

    Args:
        beta_1: the share of the former mean gradient in the next one.
        beta_2: the share of the former mean square in the next one.
        options: as ``Optimizer`` takes them.
    """

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean, square = self.kept_for(variable)
        time = ops.cast(self.iterations + 1, variable.dtype)
        mean.assign(mean + (gradient - mean) * (1 - self.beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1 - self.beta_2))
        spread = ops.sqrt(ops.divide(square, 1 - ops.power(self.beta_2, time))) + self.epsilon
        step = ops.divide(ops.divide(mean, 1 - ops.power(self.beta_1, time)), spread)
        variable.assign(variable - _length_ratio(variable, step) * learning_rate * step)


def _length_ratio(weight: Any, step: Any) -> Any:
    """How many times longer a weight is than a step; 1 where one of them is 0."""
    lengths = [ops.sqrt(ops.sum(ops.square(each))) for each in (weight, step)]
    are_some = ops.logical_and(ops.greater(lengths[0], 0), ops.greater(lengths[1], 0))
    return ops.where(are_some, ops.divide(*lengths), 1.0)
