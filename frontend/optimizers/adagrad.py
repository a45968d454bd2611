"""Optimizers that divide a gradient by a root of sums or means of squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import initializers, ops
from ..errors import UsageError
from ..variable import Variable
from .base import Optimizer
from .options import Options, at_least, share


class Adagrad(Optimizer):
    """Duchi et al. 2011: ``w -= rate * g / sqrt(sum(g**2) + epsilon)``.

    Args:
        initial_accumulator_value: where the sums begin, 0 or more.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = at_least(
            self, "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = at_least(self, "epsilon", epsilon)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        start = initializers.Constant(self.initial_accumulator_value)
        self._squares = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        squares = self._squares[self._get_variable_index(variable)]
        squares.assign(squares + ops.square(gradient))
        spread = ops.sqrt(squares + self.epsilon)
        variable.assign(variable - ops.divide(learning_rate * gradient, spread))


class Adadelta(Optimizer):
    """Zeiler 2012; its own learning rate is 1.

    Args:
        rho: the share of the former means in the next ones.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = share(self, "rho", rho)
        self.epsilon = at_least(self, "epsilon", epsilon)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        names = ["accumulated_grad", "accumulated_delta_var"]
        self._squares, self._square_steps = self.add_optimizer_variables(variables, names)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, steps = self._squares[index], self._square_steps[index]
        squares.assign(self._mixed(squares, gradient))
        step = ops.divide(self._root(steps) * gradient, self._root(squares))
        steps.assign(self._mixed(steps, step))
        variable.assign(variable - learning_rate * step)

    def _mixed(self, mean: Variable, value: Any) -> Any:
        return self.rho * mean + (1 - self.rho) * ops.square(value)

    def _root(self, mean: Variable) -> Any:
        return ops.sqrt(mean + self.epsilon)


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


class Ftrl(Optimizer):
    """McMahan et al. 2013, for sparse models; a weight follows from the sums of its gradients.

    Args:
        learning_rate_power: 0 or less; 0 keeps the learning rate fixed.
        initial_accumulator_value: where the sums of squares begin, 0 or more.
        l1_regularization_strength, l2_regularization_strength: 0 or more.
        l2_shrinkage_regularization_strength: 0 or more; a penalty on size that is part of the loss.
        beta: of the paper.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if learning_rate_power > 0:
            raise UsageError(
                f"Ftrl: expected learning_rate_power of 0 or less; received {learning_rate_power!r}"
            )
        strengths = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for name, value in strengths.items():
            setattr(self, name, at_least(self, name, value))
        self.learning_rate_power = float(learning_rate_power)
        self.beta = float(beta)

    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        starts = [initializers.Constant(self.initial_accumulator_value), "zeros"]
        self._squares, self._linears = self.add_optimizer_variables(
            variables, ["accumulator", "linear"], starts
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, linear = self._squares[index], self._linears[index]
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        root_before = ops.power(squares, -self.learning_rate_power)
        squares.assign(squares + ops.square(gradient))
        root = ops.power(squares, -self.learning_rate_power)
        growth = ops.divide(root - root_before, learning_rate)
        linear.assign(linear + shrunk - growth * variable)
        l2 = self.l2_regularization_strength + ops.divide(self.beta, 2 * learning_rate)
        limit = self.l1_regularization_strength
        numerator = ops.clip(linear, -limit, limit) - linear
        variable.assign(ops.divide(numerator, ops.divide(root, learning_rate) + 2 * l2))
