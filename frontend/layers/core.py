"""Dense, and layers without an axis of their own: identity, masking, lambda, embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import activations, constraints, initializers, ops, regularizers
from ..accepted import Count, Scalar, SizesOrNone
from ..errors import LayerError, UsageTypeError, of_users
from ..ops.picking import lookup
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .spec import InputSpec


class Dense(Layer):
    """``activation(inputs @ kernel + bias)`` over the last axis: ``(..., n)`` to ``(..., units)``.

    Weights: kernel ``(n, units)``, bias ``(units,)``.
    """

    supports_masking = True

    def __init__(
        self,
        units: Count,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Variable | None = None
        self.bias: Variable | None = None
        self.input_spec = InputSpec(min_ndim=2, layout="(batch, ..., features)")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = known_size(self, input_shape, -1)
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: KerasTensor) -> KerasTensor:
        result = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            result = ops.add(result, self.bias)
        return activations.get(self.activation)(result)


def known_size(layer: Layer, shape: tuple[int | None, ...], axis: int) -> int:
    """The size of an axis that weights depend on. Raises ``ValueError`` where it varies."""
    size = shape[axis]
    if size is None:
        raise LayerError(
            layer,
            f"expected a known size at axis {axis}, which its weights depend on; received shape "
            f"{shape}. Give the size in Input(shape=...)",
        )
    return size


class Identity(Layer):
    """Its input."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Masking(Layer):
    """Its input, with steps masked for layers to come that hold ``mask_value`` alone; they are 0.

    Args:
        mask_value: a step whose features all have this value is left out.
    """

    supports_masking = True

    def __init__(self, mask_value: Scalar = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_mask(self, inputs: KerasTensor, previous_mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return inputs * ops.cast(kept, inputs.dtype)


class Lambda(Layer):
    """A function of tensors as a layer.

    Args:
        function: uses ``keraunos.ops``.
        arguments: further keyword arguments of the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Callable[..., Any] | SizesOrNone | None = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise UsageTypeError(f"Lambda: expected a function of a tensor; received {function!r}")
        self.function = function
        self.arguments = arguments or {}
        self.output_shape = output_shape
        self.mask = mask

    def call(self, inputs: Any) -> Any:
        return of_users(self.function, "Lambda", inputs, **self.arguments)


class Embedding(Layer):
    """A row of ``embeddings`` for each integer: ``(...)`` to ``(..., output_dim)``.

    Weights: embeddings ``(input_dim, output_dim)``.

    Args:
        mask_zero: whether 0 marks padding that later layers skip.
    """

    def __init__(
        self,
        input_dim: Count,
        output_dim: Count,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # of older Keras code; it changes nothing
        super().__init__(**kwargs)
        self.input_dim = int(input_dim)
        self.output_dim = int(output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        self.input_spec = InputSpec()
        self.embeddings: Variable | None = None
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )
        self.built = True

    def call(self, inputs: KerasTensor) -> KerasTensor:
        indices = inputs if "int" in inputs.dtype else ops.cast(inputs, "int32")
        return lookup(self.embeddings, indices)

    def compute_mask(self, inputs: KerasTensor, previous_mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None
