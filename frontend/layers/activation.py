"""Activations as layers."""

from __future__ import annotations

from typing import Any

from .. import activations, constraints, initializers, ops, regularizers
from ..accepted import Axes
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .core import known_size
from .spec import InputSpec


class Activation(Layer):
    """An activation by its name or as a function."""

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return activations.get(self.activation)(inputs)


def _not_negative(layer: Layer, name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or value < 0:
        raise LayerError(layer, f"expected {name} as a number of 0 or more; received {value!r}")
    return float(value)


class ReLU(Layer):
    """x above ``threshold`` and at most ``max_value``; below, a line of ``negative_slope``."""

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative(self, "max_value", max_value)
        self.negative_slope = _not_negative(self, "negative_slope", negative_slope)
        self.threshold = _not_negative(self, "threshold", threshold)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """x, below 0 times ``negative_slope``."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in Keras 2
        super().__init__(**kwargs)
        self.negative_slope = _not_negative(self, "negative_slope", negative_slope)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return activations.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer):
    """x, below 0 times a learned slope per element.

    Weights: alpha, of the input's shape without the batch, size 1 along ``shared_axes``.
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Axes | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else list(axes)
        self.alpha: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shared = self.shared_axes or []
        shape = tuple(
            1 if axis in shared else known_size(self, input_shape, axis)
            for axis in range(1, len(input_shape))
        )
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        axes = {axis: size for axis, size in enumerate(shape, start=1) if axis not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class ELU(Layer):
    """x, below 0 ``alpha * (exp(x) - 1)``."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return activations.elu(inputs, self.alpha)


class Softmax(Layer):
    """exp(x) as shares of its sum along ``axis``; elements that the mask leaves out get 0."""

    supports_masking = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: KerasTensor, mask: Any = None) -> KerasTensor:
        if mask is not None:
            inputs = inputs + (1.0 - ops.cast(mask, inputs.dtype)) * -3e38
        return activations.softmax(inputs, self.axis)
