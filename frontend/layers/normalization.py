"""Batch and layer normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import constraints, initializers, ops, regularizers
from ..accepted import Axes, NonNegative, Share
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .core import known_size
from .spec import InputSpec


def axis_in(layer: Layer, axis: int, shape: tuple[int | None, ...]) -> int:
    if not isinstance(axis, (int, np.integer)) or not -len(shape) <= axis < len(shape):
        raise LayerError(layer, f"expected axis within shape {shape}; received {axis!r}")
    return int(axis) % len(shape)


class BatchNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, per channel.

    Training uses mean and variance of the batch, and moves the moving ones towards them. Inference
    uses these, and so does training while ``trainable`` is False. Where there is a mask, what it
    hides does not count.

    Weights: gamma, beta, moving_mean, moving_variance, each ``(channels,)``.
    """

    supports_masking = True

    def __init__(
        self,
        axis: int = -1,
        momentum: Share = 0.99,
        epsilon: NonNegative = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.synchronized = synchronized
        self.gamma: Variable | None = None
        self.beta: Variable | None = None
        self.moving_mean: Variable | None = None
        self.moving_variance: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        axis = axis_in(self, self.axis, input_shape)
        channels = known_size(self, input_shape, axis)
        if self.scale:
            self.gamma = self._learned("gamma", channels)
        if self.center:
            self.beta = self._learned("beta", channels)
        self.moving_mean = self.add_weight(
            (channels,), self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (channels,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: channels})

    def _learned(self, name: str, channels: int) -> Variable:
        return self.add_weight(
            (channels,),
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=name,
        )

    def call(
        self, inputs: KerasTensor, training: bool = False, mask: KerasTensor | None = None
    ) -> KerasTensor:
        inputs = ops.cast(inputs, self.dtype)
        if training and self.trainable:
            return self._by_batch(inputs, mask)
        return ops.batch_normalization(
            inputs,
            self.moving_mean,
            self.moving_variance,
            self.axis,
            self.beta,
            self.gamma,
            self.epsilon,
        )

    def _by_batch(self, inputs: KerasTensor, mask: KerasTensor | None) -> KerasTensor:
        """Normalized by the batch's own statistics, towards which the moving ones go."""
        place = self.axis % inputs.ndim
        over = tuple(axis for axis in range(inputs.ndim) if axis != place)
        mean, centred, variance = _moments(inputs, over, self._seen(inputs, mask))
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        shape = tuple(-1 if axis == place else 1 for axis in range(inputs.ndim))
        factor = ops.rsqrt(variance + self.epsilon)
        factor = factor if self.gamma is None else factor * ops.reshape(self.gamma, shape)
        normal = centred * factor
        return normal if self.beta is None else normal + ops.reshape(self.beta, shape)

    def _seen(self, inputs: KerasTensor, mask: KerasTensor | None) -> KerasTensor | None:
        """Which elements count, under a mask."""
        if mask is None:
            return None
        if mask.ndim != inputs.ndim - 1:
            raise LayerError(
                self, f"expected a mask of {inputs.ndim - 1} axes; received shape {mask.shape}"
            )
        return ops.broadcast_to(ops.cast(ops.expand_dims(mask, -1), "bool"), inputs.sizes)

    def _move(self, moving: Variable | None, value: KerasTensor) -> None:
        assert moving is not None
        new = moving * self.momentum + ops.reshape(value, moving.shape) * (1 - self.momentum)
        moving.assign(new)


def _moments(
    x: KerasTensor, over: tuple[int, ...], seen: KerasTensor | None
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """The mean over some axes of what is ``seen``, x less the mean, and the variance."""

    def average(values: KerasTensor) -> KerasTensor:
        if seen is None:
            return ops.mean(values, over, keepdims=True)
        total = ops.sum(ops.cast(seen, values.dtype), over, keepdims=True)
        return ops.sum(ops.where(seen, values, 0.0), over, keepdims=True) / (total + 1e-7)

    mean = average(x)
    # Moving the mean does not change the variance, to first order: it needs no gradient there.
    variance = average(ops.square(x - ops.stop_gradient(mean)))
    return mean, x - mean, variance


class LayerNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over ``axis`` of each sample.

    Weights: gamma, beta, each of the shape of ``axis``.
    """

    supports_masking = True

    def __init__(
        self,
        axis: Axes = -1,
        epsilon: NonNegative = 1e-3,
        center: bool = True,
        scale: bool = True,
        rms_scaling: bool = False,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.rms_scaling = rms_scaling
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        given = self.axis if isinstance(self.axis, list) else [self.axis]
        axes = sorted(axis_in(self, axis, input_shape) for axis in given)
        shape = tuple(known_size(self, input_shape, axis) for axis in axes)
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def call(self, inputs: KerasTensor) -> KerasTensor:
        given = self.axis if isinstance(self.axis, list) else [self.axis]
        axes = sorted(axis % inputs.ndim for axis in given)
        shape = tuple(inputs.sizes[axis] if axis in axes else 1 for axis in range(inputs.ndim))
        along = len(axes) == 1 and not self.rms_scaling
        gamma, beta = (
            weight if weight is None or along else ops.reshape(weight, shape)
            for weight in (self.gamma, self.beta)
        )
        return ops.layer_normalization(inputs, gamma, beta, axes, self.epsilon, self.rms_scaling)
