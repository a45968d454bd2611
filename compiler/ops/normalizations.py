"""Composites that normalise: softmax and its logarithm, batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Node, Op, Sample
from ..ir.kinds import Composite
from ..ir.types import TensorType
from .building import number, reshaped
from .reductions import accumulated
from .registry import ops, register
from .rules import normal_axes, normal_axis, same_size, want_float, want_same_dtype

# softmax


def _softmax_type(x: TensorType, *, axis: int) -> TensorType:
    want_float(x)
    normal_axis(axis, x.rank)
    return x


def _shifted(x: Any, axis: int) -> Any:
    return x - np.max(x, axis, keepdims=True, initial=-np.inf)


def _softmax(x: Any, *, axis: int) -> Any:
    powers = np.exp(_shifted(x, axis))
    return powers / accumulated(np.sum, powers, axis, True)


def _log_softmax(x: Any, *, axis: int) -> Any:
    shifted = _shifted(x, axis)
    return shifted - np.log(accumulated(np.sum, np.exp(shifted), axis, True))


def _axes(node: Node) -> tuple[int, ...]:
    return (normal_axis(node.attrs["axis"], node.tensor_type.rank),)


def _below_top(node: Node) -> Node:
    (x,) = node.inputs
    return ops.subtract(x, ops.max(x, axes=_axes(node), keepdims=True))


def _softmax_expand(node: Node) -> Node:
    powers = ops.exp(_below_top(node))
    return ops.divide(powers, ops.sum(powers, axes=_axes(node), keepdims=True))


def _log_softmax_expand(node: Node) -> Node:
    shifted = _below_top(node)
    total = ops.sum(ops.exp(shifted), axes=_axes(node), keepdims=True)
    return ops.subtract(shifted, ops.log(total))


def _softmax_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    level = ops.sum(ops.multiply(grad, node), axes=_axes(node), keepdims=True)
    return (ops.multiply(node, ops.subtract(grad, level)),)


def _log_softmax_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    total = ops.sum(grad, axes=_axes(node), keepdims=True)
    return (ops.subtract(grad, ops.multiply(ops.exp(node), total)),)


def _along_axis(
    name: str, reference: Callable[..., Any], expand: Any, gradient: Any, doc: str
) -> Op:
    samples = (Sample(("f32[3, 4]",), {"axis": -1}), Sample(("f32[3, 4, 2]",), {"axis": 1}))
    entry = Op(
        name, _softmax_type, reference, Composite(expand), {"axis": -1}, gradient, samples, doc
    )
    return register(entry)


softmax = _along_axis(
    "softmax",
    _softmax,
    _softmax_expand,
    _softmax_gradient,
    "exp(x) as shares of its sum along one axis.",
)
log_softmax = _along_axis(
    "log_softmax",
    _log_softmax,
    _log_softmax_expand,
    _log_softmax_gradient,
    "log(softmax(x)), without overflow.",
)


# batch_norm


def _batch_norm_type(x: TensorType, *statistics: TensorType, axis: int, **_: Any) -> TensorType:
    if len(statistics) != 4:
        raise ValueError(f"expected x, gamma, beta, mean, variance; got {len(statistics) + 1}")
    want_float(x)
    want_same_dtype(x, *statistics)
    channels = x.shape[normal_axis(axis, x.rank)]
    for vector in statistics:
        if vector.rank != 1 or not same_size(vector.shape[0], channels):
            raise ValueError(
                f"expected vectors of {channels}, the size of axis {axis}; got {vector}"
            )
    return x


def _batch_norm(
    x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, *, axis: int, epsilon: float
) -> Any:
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    gamma, beta, mean, variance = (v.reshape(shape) for v in (gamma, beta, mean, variance))
    return (x - mean) / np.sqrt(variance + x.dtype.type(epsilon)) * gamma + beta


def _batch_norm_expand(node: Node) -> Node:
    """Centred before it is scaled: ``x * scale + shift`` would cancel where the mean is large."""
    x, gamma, beta, mean, variance = node.inputs
    scale = ops.multiply(gamma, ops.rsqrt(ops.add(variance, number(node.attrs["epsilon"], x))))
    rank = x.tensor_type.rank
    place = normal_axis(node.attrs["axis"], rank)

    def aligned(vector: Node) -> Node:
        # A vector already stands along the last axis by the rules of broadcasting.
        return reshaped(vector, (*vector.shape, *(1,) * (rank - 1 - place)))

    centred = ops.subtract(x, aligned(mean))
    return ops.add(ops.multiply(centred, aligned(scale)), aligned(beta))


batch_norm = register(
    Op(
        "batch_norm",
        _batch_norm_type,
        _batch_norm,
        Composite(_batch_norm_expand),
        {"axis": -1, "epsilon": 1e-3},
        None,
        (
            Sample(("f32[2, 3, 4]", *["f32[4]"] * 4), low=0.1),
            Sample(("f32[2, 3, 4]", *["f32[3]"] * 4), {"axis": 1, "epsilon": 1e-2}, low=0.1),
        ),
        "(x - mean) / sqrt(variance + epsilon) * gamma + beta, along one axis.",
    )
)


# layer_norm


def _layer_axes(axis: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return tuple(sorted(normal_axes((axis,) if isinstance(axis, int) else axis, rank)))


def _layer_norm_type(
    x: TensorType,
    gamma: TensorType,
    beta: TensorType,
    *,
    axis: int | tuple[int, ...],
    **_: Any,
) -> TensorType:
    want_float(x)
    want_same_dtype(x, gamma, beta)
    shape = tuple(x.shape[place] for place in _layer_axes(axis, x.rank))
    for weight in (gamma, beta):
        if weight.shape != shape:
            raise ValueError(f"expected weights of {x.with_shape(shape)}, got {weight}")
    return x


def _layer_norm(
    x: Any, gamma: Any, beta: Any, *, axis: int | tuple[int, ...], epsilon: float
) -> Any:
    axes = _layer_axes(axis, x.ndim)
    shape = [size if place in axes else 1 for place, size in enumerate(x.shape)]
    centred = x - accumulated(np.mean, x, axes, True)
    spread = np.sqrt(accumulated(np.var, x, axes, True) + x.dtype.type(epsilon))
    return centred / spread * gamma.reshape(shape) + beta.reshape(shape)


def _layer_norm_expand(node: Node) -> Node:
    x, gamma, beta = node.inputs
    axes = _layer_axes(node.attrs["axis"], x.tensor_type.rank)
    first = axes[0]
    shape = [x.shape[place] if place in axes else 1 for place in range(first, x.tensor_type.rank)]
    centred = ops.subtract(x, ops.mean(x, axes=axes, keepdims=True))
    variance = ops.mean(ops.square(centred), axes=axes, keepdims=True)
    scale = ops.rsqrt(ops.add(variance, number(node.attrs["epsilon"], x)))
    normal = ops.multiply(centred, scale)
    return ops.add(ops.multiply(normal, reshaped(gamma, shape)), reshaped(beta, shape))


layer_norm = register(
    Op(
        "layer_norm",
        _layer_norm_type,
        _layer_norm,
        Composite(_layer_norm_expand),
        {"axis": -1, "epsilon": 1e-3},
        None,
        (
            Sample(("f32[2, 3, 4]", "f32[4]", "f32[4]")),
            Sample(("f32[2, 3, 4]", "f32[2, 4]", "f32[2, 4]"), {"axis": (0, 2)}),
        ),
        "x with mean 0 and variance 1 over one or several axes, times gamma plus beta.",
    )
)
