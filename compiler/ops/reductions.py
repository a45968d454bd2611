"""Ops that combine elements along axes: sums, extremes, products, and where the extremes are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import REQUIRED, Node, Op, Sample
from ..ir.kinds import Composite, NoGrad, Reduction
from ..ir.types import FLOAT32, INT32, TensorType
from .building import broadcast, count, expanded, number
from .registry import ops, register
from .rules import (
    normal_axes,
    normal_axis,
    reduced_shape,
    want_bool,
    want_float,
    want_number,
)

EXACT = 2**24  # up to here float32 has all integers
SAMPLE_ATTRS = (
    {"axes": (1,)},
    {"axes": (0, -1), "keepdims": True},
    {"axes": (0, 1, 2)},
)
Check = Callable[[TensorType], None]


def reduction_type(check: Check) -> Callable[..., TensorType]:
    """The type rule of a reduction over operands that pass ``check``."""

    def infer(x: TensorType, *, axes: tuple[int, ...], keepdims: bool) -> TensorType:
        check(x)
        return x.with_shape(reduced_shape(x.shape, normal_axes(axes, x.rank), keepdims))

    return infer


def reduction(
    name: str,
    reference: Callable[..., Any],
    kind: Reduction,
    doc: str,
    gradient: Any,
    check: Check = want_number,
) -> Op:
    """Combines elements along ``axes``, which stay with size 1 if ``keepdims``."""
    dtype = "bool" if check is want_bool else "f32"
    samples = tuple(Sample((f"{dtype}[2, 3, 4]",), attrs) for attrs in SAMPLE_ATTRS)
    attrs = {"axes": REQUIRED, "keepdims": False}
    infer = reduction_type(check)
    return register(Op(name, infer, reference, kind, attrs, gradient, samples, doc))


def kept(node: Node, of: Node) -> Node:
    """The result ``node`` of a reduction (or its gradient) with its axes in place, as ``of``'s."""
    if of.attrs["keepdims"]:
        return node
    return expanded(node, normal_axes(of.attrs["axes"], of.inputs[0].tensor_type.rank))


def accumulated(reduce: Callable[..., Any], x: Any, axes: Any, keepdims: bool) -> Any:
    """A reduction of numpy's whose sums do not round: along most axes it adds one by one."""
    wide = np.dtype("float64") if x.dtype.kind == "f" else x.dtype
    return reduce(x, axes, wide, keepdims=keepdims).astype(x.dtype)


def _sum(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return accumulated(np.sum, x, axes, keepdims)


def _prod(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return accumulated(np.prod, x, axes, keepdims)


def _limit(dtype: np.dtype, end: str) -> Any:
    """What ``max`` (``end="min"``) or ``min`` (``"max"``) of nothing is."""
    if dtype.kind == "f":
        return -math.inf if end == "min" else math.inf
    return getattr(np.iinfo(dtype), end)


def _max(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.max(x, axes, keepdims=keepdims, initial=_limit(x.dtype, "min"))


def _min(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.min(x, axes, keepdims=keepdims, initial=_limit(x.dtype, "max"))


def _any(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.any(x, axes, keepdims=keepdims)


def _all(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.all(x, axes, keepdims=keepdims)


def _sum_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (broadcast(kept(grad, node), node.inputs[0].shape),)


def _extreme_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """Elements that tie for the extreme share the gradient."""
    (x,) = node.inputs
    hit = ops.select(ops.equal(x, kept(node, node)), number(1, x), number(0, x))
    ties = ops.sum(hit, axes=node.attrs["axes"], keepdims=True)
    return (ops.multiply(hit, ops.divide(kept(grad, node), ties)),)


def _prod_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """The product of the other elements: without division where one of them is 0."""
    (x,), axes = node.inputs, node.attrs["axes"]
    zero, one = number(0, x), number(1, x)
    is_zero = ops.equal(x, zero)
    safe = ops.select(is_zero, one, x)
    rest = ops.prod(safe, axes=axes, keepdims=True)
    zeros = ops.sum(ops.cast(is_zero, dtype=x.dtype), axes=axes, keepdims=True)
    others = ops.subtract(zeros, ops.cast(is_zero, dtype=x.dtype))
    # 0, but for a NaN or an infinity among the others.
    derivative = ops.select(
        ops.equal(others, zero), ops.divide(rest, safe), ops.multiply(rest, zero)
    )
    return (ops.multiply(kept(grad, node), derivative),)


sum_ = reduction("sum", _sum, Reduction("add", 0.0), "The sum.", _sum_gradient)
prod = reduction("prod", _prod, Reduction("multiply", 1.0), "The product.", _prod_gradient)
max_ = reduction(
    "max",
    _max,
    Reduction("maximum", -math.inf),
    "The largest element; NaN if one is.",
    _extreme_gradient,
)
min_ = reduction(
    "min",
    _min,
    Reduction("minimum", math.inf),
    "The smallest element; NaN if one is.",
    _extreme_gradient,
)
_BOOLEAN = NoGrad("booleans have no derivative")
any_ = reduction("any", _any, Reduction("maximum", 0.0), "Any true.", _BOOLEAN, want_bool)
all_ = reduction("all", _all, Reduction("minimum", 1.0), "All true.", _BOOLEAN, want_bool)


# Where the extremes are


def argument(name: str, reference: Callable[..., Any], extreme: str, doc: str) -> Op:
    """The first index of the extreme along ``axis`` (the first NaN if there is one), int32."""

    def infer(x: TensorType, *, axis: int) -> TensorType:
        want_number(x)
        place = normal_axis(axis, x.rank)
        return TensorType(INT32, reduced_shape(x.shape, (place,), False))

    def compute(x: Any, *, axis: int) -> Any:
        return reference(x, axis).astype(np.int32)

    def expand(node: Node) -> Node:
        (x,) = node.inputs
        place = normal_axis(node.attrs["axis"], x.tensor_type.rank)
        best = getattr(ops, extreme)(x, axes=(place,), keepdims=True)
        hit = ops.equal(x, best)
        if x.dtype.is_float:
            hit = ops.logical_or(hit, ops.is_nan(x))
        shape = tuple(n if axis == place else 1 for axis, n in enumerate(x.shape))
        size = x.shape[place]
        exact = isinstance(size, int) and size <= EXACT
        steps = ops.iota(shape=shape, axis=place, dtype=FLOAT32 if exact else INT32)
        # Kernels compare floats in vectors; there is always an index below this one.
        far = number(EXACT if exact else np.iinfo(np.int32).max, steps)
        first = ops.min(ops.select(hit, steps, far), axes=(place,))
        return ops.cast(first, dtype=INT32) if exact else first

    samples = (
        Sample(("f32[3, 4]",), {"axis": -1}),
        Sample(("i32[3, 4, 2]",), {"axis": 1}),
    )
    grad = NoGrad("an index has no derivative")
    return register(Op(name, infer, compute, Composite(expand), {"axis": -1}, grad, samples, doc))


argmax = argument("argmax", np.argmax, "max", "Where the largest element is.")
argmin = argument("argmin", np.argmin, "min", "Where the smallest element is.")


# Statistics


def statistic(
    name: str,
    reference: Callable[..., Any],
    expand: Callable[[Node], Node],
    doc: str,
    gradient: Any = None,
) -> Op:
    """A composite over ``axes`` of floats."""
    attrs = {"axes": REQUIRED, "keepdims": False}
    samples = tuple(Sample(("f32[2, 3, 4]",), attrs_) for attrs_ in SAMPLE_ATTRS)
    infer = reduction_type(want_float)
    return register(Op(name, infer, reference, Composite(expand), attrs, gradient, samples, doc))


def _mean(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    total = _sum(x, axes=axes, keepdims=keepdims)
    return total / x.dtype.type(math.prod(x.shape[axis] for axis in axes))


def _variance(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    centred = x - _mean(x, axes=axes, keepdims=True)
    return _mean(centred * centred, axes=axes, keepdims=keepdims)


def _logsumexp(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    top = np.max(x, axes, keepdims=True)
    safe = np.where(np.isfinite(top), top, top.dtype.type(0))
    total = np.log(accumulated(np.sum, np.exp(x - safe), axes, True)) + safe
    return total if keepdims else np.squeeze(total, axes)


def _mean_expand(node: Node) -> Node:
    (x,), rank = node.inputs, node.inputs[0].tensor_type.rank
    sizes = [x.shape[axis] for axis in normal_axes(node.attrs["axes"], rank)]
    return ops.divide(ops.sum(x, **node.attrs), count(sizes, x.dtype))


def _variance_expand(node: Node) -> Node:
    """In two sweeps: the mean of squares less the square of the mean would cancel."""
    (x,), axes = node.inputs, node.attrs["axes"]
    centred = ops.subtract(x, ops.mean(x, axes=axes, keepdims=True))
    return ops.mean(ops.square(centred), **node.attrs)


def _powers(node: Node) -> tuple[Node, Node, Node]:
    """exp(x - shift), the sum of that, and a shift that keeps it from overflowing."""
    (x,), axes = node.inputs, node.attrs["axes"]
    top = ops.max(x, axes=axes, keepdims=True)
    # Where all is -inf (or one is inf) the shift would make a NaN of inf - inf.
    shift = ops.select(ops.is_finite(top), top, number(0, x))
    powers = ops.exp(ops.subtract(x, shift))
    return powers, ops.sum(powers, axes=axes, keepdims=True), shift


def _logsumexp_expand(node: Node) -> Node:
    _, total, shift = _powers(node)
    result = ops.add(ops.log(total), shift)
    return result if node.attrs["keepdims"] else ops.reshape(result, shape=node.shape)


def _variance_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """The mean does not matter: distances from it sum to 0."""
    (x,), rank = node.inputs, node.inputs[0].tensor_type.rank
    axes = normal_axes(node.attrs["axes"], rank)
    centred = ops.subtract(x, ops.mean(x, axes=axes, keepdims=True))
    share = ops.divide(number(2, x), count([x.shape[axis] for axis in axes], x.dtype))
    return (ops.multiply(centred, ops.multiply(kept(grad, node), share)),)


def _logsumexp_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """Not by exp(x - result): the rounding of a large result would scale all shares."""
    powers, total, _ = _powers(node)
    return (ops.multiply(kept(grad, node), ops.divide(powers, total)),)


mean = statistic("mean", _mean, _mean_expand, "The arithmetic mean.")
variance = statistic(
    "variance",
    _variance,
    _variance_expand,
    "The mean squared distance from the mean.",
    _variance_gradient,
)
logsumexp = statistic(
    "logsumexp",
    _logsumexp,
    _logsumexp_expand,
    "log(sum(exp(x))), without overflow.",
    _logsumexp_gradient,
)
