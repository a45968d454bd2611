"""Activations, normalization, and losses' ingredients, by the names of ``keras.ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ..accepted import Axes, Count, NonNegative, is_number
from ..dtypes import standard_dtype
from ..errors import UsageError
from ..tensor import KerasTensor
from .core import as_node, floating, ir, normal_axes, normal_axis, operation, tensor
from .elementwise import log, maximum, rsqrt, square
from .picking import integers
from .reductions import mean
from .reductions import sum as sum_


def _activation(name: str, doc: str, op: str | None = None, **fixed: Any) -> Callable[..., Any]:
    def function(x: Any) -> KerasTensor:
        return tensor(getattr(ir, op or name)(floating(x), **fixed))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(function)


def _shaped(
    name: str,
    argument: str,
    default: float,
    doc: str,
    op: str | None = None,
    *,
    attribute: str | None = None,
) -> Callable[..., Any]:
    """An activation with one number that shapes it, called ``attribute`` in the compiler."""

    def positional(x: Any, *args: float, **given: float) -> KerasTensor:
        named = dict(zip((argument,), args, strict=False)) | given
        if set(named) - {argument} or len(args) > 1:
            raise UsageError(
                f"{name}: expected x and {argument}; received {len(args)} more and {sorted(given)}"
            )
        value = named.get(argument, default)
        if not is_number(value):
            raise UsageError(f"{name}: expected {argument} as a number; received {value!r}")
        node = floating(x)
        return tensor(getattr(ir, op or name)(node, **{attribute or argument: float(value)}))

    positional.__name__ = positional.__qualname__ = name
    positional.__doc__ = doc
    return operation(positional)


@operation
def relu(x: Any) -> KerasTensor:
    """max(x, 0)."""
    return tensor(ir.relu(as_node(x)))


sigmoid = _activation("sigmoid", "1 / (1 + exp(-x)).")
silu = _activation("silu", "x * sigmoid(x).")
relu6 = _activation("relu6", "min(max(x, 0), 6).")
selu = _activation("selu", "Scaled exponential linear unit.")
softplus = _activation("softplus", "log(1 + exp(x)).")
softsign = _activation("softsign", "x / (1 + |x|).")
log_sigmoid = _activation("log_sigmoid", "log(sigmoid(x)).")
hard_sigmoid = _activation("hard_sigmoid", "relu6(x + 3) / 6.")
hard_silu = _activation("hard_silu", "x * hard_sigmoid(x).")
hard_tanh = _activation("hard_tanh", "x clipped between -1 and 1.")
tanh_shrink = _activation("tanh_shrink", "x - tanh(x).")
sparse_plus = _activation("sparse_plus", "0, a parabola, then x: softplus with flat ends.")
sparse_sigmoid = _activation("sparse_sigmoid", "x clipped between -1 and 1, as a share.")
swish = silu
hard_swish = hard_silu

leaky_relu = _shaped("leaky_relu", "negative_slope", 0.2, "x, below 0 sloped.", attribute="slope")
elu = _shaped("elu", "alpha", 1.0, "x, below 0 alpha * (exp(x) - 1).")
celu = _shaped("celu", "alpha", 1.0, "x, below 0 alpha * (exp(x / alpha) - 1).")
hard_shrink = _shaped("hard_shrink", "threshold", 0.5, "x, 0 between the thresholds.")
soft_shrink = _shaped("soft_shrink", "threshold", 0.5, "x moved towards 0 by the threshold.")
squareplus = _shaped("squareplus", "b", 4.0, "(x + sqrt(x * x + b)) / 2.")


@operation
def gelu(x: Any, approximate: bool = True) -> KerasTensor:
    """x times the normal distribution function of x, by tanh if ``approximate``."""
    return tensor(ir.gelu(floating(x), approximate=bool(approximate)))


@operation
def threshold(x: Any, threshold: float, default_value: float) -> KerasTensor:
    """x above the threshold, else ``default_value``."""
    node = floating(x)
    return tensor(ir.threshold(node, threshold=float(threshold), value=float(default_value)))


@operation
def glu(x: Any, axis: int = -1) -> KerasTensor:
    """The first half of ``axis`` times the sigmoid of the second."""
    node = floating(x)
    return tensor(ir.glu(node, axis=normal_axis(axis, node.tensor_type.rank)))


@operation
def softmax(x: Any, axis: Axes | None = -1) -> KerasTensor:
    """exp(x) as shares of its sum along one axis, or over several taken together."""
    return _over_axes("softmax", x, axis)


@operation
def log_softmax(x: Any, axis: Axes | None = -1) -> KerasTensor:
    """log(softmax(x))."""
    return _over_axes("log_softmax", x, axis)


def _over_axes(name: str, x: Any, axis: Any) -> KerasTensor:
    node = floating(x)
    rank = node.tensor_type.rank
    if rank == 0:
        raise UsageError(f"{name}: expected a tensor of rank 1 or more; received a scalar")
    if isinstance(axis, (int, np.integer)):
        return tensor(getattr(ir, name)(node, axis=normal_axis(int(axis), rank)))
    axes = normal_axes(axis, rank)
    if len(axes) == 1:
        return tensor(getattr(ir, name)(node, axis=axes[0]))
    kept = [i for i in range(rank) if i not in axes]
    moved = ir.transpose(node, axes=(*kept, *axes))
    joined = 1
    for i in axes:
        joined = node.shape[i] * joined  # type: ignore[assignment]
    flat = ir.reshape(moved, shape=(*(node.shape[i] for i in kept), joined))
    shares = ir.reshape(getattr(ir, name)(flat, axis=len(kept)), shape=moved.shape)
    back = np.argsort([*kept, *axes]).tolist()
    return tensor(ir.transpose(shares, axes=tuple(back)))


@operation
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: NonNegative = 1e-3,
) -> KerasTensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, along ``axis``."""
    node = floating(x)
    place = normal_axis(axis, node.tensor_type.rank)
    weights = _weights_along(node, place, scale, offset)
    statistics = as_node(mean, node.dtype), as_node(variance, node.dtype)
    result = ir.batch_norm(node, *weights, *statistics, axis=place, epsilon=float(epsilon))
    return tensor(result)


@operation
def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: Axes = -1,
    epsilon: NonNegative | None = None,
    rms_scaling: bool = False,
) -> KerasTensor:
    """x with mean 0 and variance 1 over ``axis``, then times gamma plus beta."""
    value = tensor(floating(x))
    eps = 1e-7 if epsilon is None else epsilon
    axes = normal_axes(axis, value.ndim)
    gamma, beta = (w if w is None else tensor(as_node(w, value.dtype)) for w in (gamma, beta))
    if rms_scaling:
        normal = value * rsqrt(mean(square(value), axes, True) + eps)
        return normal if gamma is None else normal * gamma
    if len(axes) == 1 and _lie_along(axes[0], value, gamma, beta):
        return _normalized_along(axes[0], value, gamma, beta, eps)
    centred = value - mean(value, axes, True)
    normal = centred * rsqrt(mean(square(centred), axes, True) + eps)
    normal = normal if gamma is None else normal * gamma
    return normal if beta is None else normal + beta


def _lie_along(axis: int, value: KerasTensor, *weights: Any) -> bool:
    """Whether weights have one axis, of the size of ``axis``."""
    return all(weight is None or tuple(weight.shape) == (value.sizes[axis],) for weight in weights)


def _normalized_along(
    axis: int, value: KerasTensor, gamma: Any, beta: Any, epsilon: float
) -> KerasTensor:
    node = value.node
    weights = _weights_along(node, axis, gamma, beta)
    return tensor(ir.layer_norm(node, *weights, axis=axis, epsilon=float(epsilon)))


def _weights_along(node: Node, axis: int, scale: Any, offset: Any) -> tuple[Node, Node]:
    """Scale and offset as nodes, 1 and 0 where there are none."""
    size = (node.shape[axis],)
    ones, zeros = (ir.broadcast_to(as_node(v, node.dtype), shape=size) for v in (1.0, 0.0))
    gamma = ones if scale is None else as_node(scale, node.dtype)
    return gamma, zeros if offset is None else as_node(offset, node.dtype)


@operation
def rms_normalization(
    x: Any, scale: Any = None, axis: Axes = -1, epsilon: NonNegative | None = None
) -> KerasTensor:
    """x divided by the root of its mean square over ``axis``."""
    value = tensor(floating(x))
    normal = value * rsqrt(mean(square(value), axis, True) + (1e-7 if epsilon is None else epsilon))
    return normal if scale is None else normal * tensor(as_node(scale, value.dtype))


@operation
def unit_normalization(x: Any, axis: Axes = -1, epsilon: NonNegative = 1e-12) -> KerasTensor:
    """x divided by its length over ``axis``."""
    value = tensor(floating(x))
    return value * rsqrt(maximum(sum_(square(value), axis, True), epsilon))


@operation
def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> KerasTensor:
    """-sum(target * log(output)); probabilities are held within [1e-7, 1 - 1e-7]."""
    logs = _log_shares(tensor(floating(output)), from_logits, axis)
    return -sum_(tensor(floating(target)) * logs, axis)


@operation
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> KerasTensor:
    """``categorical_crossentropy`` with the class as an integer; 0 where there is no such class."""
    node = floating(output)
    place = normal_axis(axis, node.tensor_type.rank)
    hot = ir.one_hot(integers(target), depth=node.shape[place], dtype=node.dtype.name)
    last = hot.tensor_type.rank - 1
    order = (*range(place), last, *range(place, last))
    hot = hot if place == last else ir.transpose(hot, axes=order)
    return -sum_(tensor(hot) * _log_shares(tensor(node), from_logits, axis), axis)


def _log_shares(value: KerasTensor, from_logits: bool, axis: int) -> KerasTensor:
    if from_logits:
        return log_softmax(value, axis)
    shares = value / sum_(value, axis, True)
    return log(tensor(ir.clip(shares.node, low=1e-7, high=1 - 1e-7)))


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> KerasTensor:
    """-(t * log(o) + (1 - t) * log(1 - o)), element by element."""
    truth, value = tensor(floating(target)), tensor(floating(output))
    if from_logits:
        return -(truth * log_sigmoid(value) + (1 - truth) * log_sigmoid(-value))
    clipped = tensor(ir.clip(value.node, low=1e-7, high=1 - 1e-7))
    return -(truth * log(clipped) + (1 - truth) * log(1 - clipped))


@operation
def multi_hot(inputs: Any, num_classes: Count, axis: int = -1, dtype: Any = None) -> KerasTensor:
    """1 at every index that the last axis of ``inputs`` names.

    Raises:
        ValueError: ``axis`` is another than -1, where the classes come.
    """
    if axis != -1:
        raise UsageError(
            f"multi_hot: expected axis=-1; received {axis}. keraunos.ops.moveaxis moves the classes"
        )
    name = standard_dtype(dtype).name
    hot = ir.one_hot(integers(inputs), depth=int(num_classes), dtype=name)
    return tensor(ir.max(hot, axes=(hot.tensor_type.rank - 2,), keepdims=False))
