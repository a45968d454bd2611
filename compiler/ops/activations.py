"""Activations made of other ops; each is one table entry whose expansion says what it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..ir.graph import REQUIRED, Node, Op, Sample
from ..ir.kinds import Composite
from ..ir.types import TensorType
from .building import number, pieces
from .registry import ops, register
from .rules import normal_axis, want_float

Formula = Callable[..., Node]


def activation(
    name: str,
    reference: Callable[..., Any],
    formula: Formula,
    doc: str,
    attrs: Mapping[str, Any] | None = None,
    derivative: Callable[..., Node] | None = None,
    sample: Mapping[str, Any] | None = None,
    passes: Callable[..., Node] | None = None,
) -> Op:
    """A composite function of one float value.

    ``formula(x, **attrs)`` is its expansion. ``derivative(x, y)`` gives its derivative where that
    of the expansion would be slower, or wrong in a corner; ``passes(x, y, **attrs)`` says where
    that is 1, and 0 elsewhere.
    """

    def infer(x: TensorType, **_: Any) -> TensorType:
        want_float(x)
        return x

    def gradient(node: Node, grad: Node) -> tuple[Node, ...]:
        if passes is not None:
            condition = passes(node.inputs[0], node, **node.attrs)
            return (ops.select(condition, grad, number(0, grad)),)
        assert derivative is not None
        return (ops.multiply(grad, derivative(node.inputs[0], node)),)

    samples = [Sample(("f32[3, 4]",), each, -4, 4) for each in ({}, sample) if each is not None]
    needs = REQUIRED in (attrs or {}).values()
    expand = Composite(lambda node: formula(node.inputs[0], **node.attrs))
    return register(
        Op(
            name,
            infer,
            reference,
            expand,
            attrs or {},
            gradient if derivative or passes else None,
            tuple(samples[1:] if needs else samples),
            doc,
        )
    )


def _zero(x: Node) -> Node:
    return number(0, x)


def _one(x: Node) -> Node:
    return number(1, x)


def _scaled(x: Node, factor: float) -> Node:
    return x if factor == 1 else ops.multiply(x, number(factor, x))


def _below(x: Node) -> Node:
    """min(x, 0): keeps exp from overflowing on the side that is not chosen.

    The derivative of ``minimum`` at 0 would be a half.
    """
    return ops.select(ops.greater(x, _zero(x)), _zero(x), x)


# numpy references


def _np_sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(x.dtype.type(0), -x))


def _np_softplus(x: Any) -> Any:
    return np.logaddexp(x.dtype.type(0), x)


def _np_exponential(x: Any, alpha: float, scale: float = 1.0) -> Any:
    below = np.where(x > 0, x.dtype.type(0), x)
    low = np.expm1(below / x.dtype.type(scale)) * x.dtype.type(alpha)
    return np.where(x > 0, x, low)


_ERF = np.frompyfunc(math.erf, 1, 1)


def _np_gelu(x: Any, *, approximate: bool) -> Any:
    if not approximate:
        return x * 0.5 * (1 + np.asarray(_ERF(x / math.sqrt(2))).astype(x.dtype))
    return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _np_sparse_plus(x: Any) -> Any:
    return np.where(x <= -1, x.dtype.type(0), np.where(x >= 1, x, (x + 1) ** 2 / 4))


def _np_shrink(x: Any, *, threshold: float, hard: bool) -> Any:
    inside = np.abs(x) <= threshold
    moved = x if hard else x - np.sign(x) * x.dtype.type(threshold)
    return np.where(inside, x.dtype.type(0), moved)


# Formulas


def _exponential(x: Node, alpha: float, scale: float = 1.0) -> Node:
    inverse = 1 / scale if scale else math.copysign(math.inf, scale)
    low = ops.expm1(_scaled(_below(x), inverse))
    return ops.select(ops.greater(x, _zero(x)), x, _scaled(low, alpha))


def _leaky_relu(x: Node, slope: float) -> Node:
    return ops.select(ops.greater_equal(x, _zero(x)), x, _scaled(x, slope))


def _gelu(x: Node, approximate: bool) -> Node:
    if approximate:
        cube = ops.multiply(ops.multiply(ops.square(x), x), number(0.044715, x))
        inner = ops.tanh(_scaled(ops.add(x, cube), math.sqrt(2 / math.pi)))
    else:
        inner = ops.erf(_scaled(x, math.sqrt(0.5)))
    return ops.multiply(_scaled(x, 0.5), ops.add(inner, _one(x)))


def _softplus(x: Node) -> Node:
    return ops.add(ops.relu(x), ops.log1p(ops.exp(ops.negative(ops.abs(x)))))


def _relu6(x: Node) -> Node:
    return ops.clip(x, low=0.0, high=6.0)


def _relu6_passes(x: Node, y: Node) -> Node:
    # In terms of the result, as for relu: the operand need not be saved for backward.
    return ops.logical_and(ops.greater(y, _zero(y)), ops.less(y, number(6, y)))


def _hard_sigmoid(x: Node) -> Node:
    return _scaled(ops.relu6(ops.add(x, number(3, x))), 1 / 6)


def _sparse_plus(x: Node) -> Node:
    middle = _scaled(ops.square(ops.add(x, _one(x))), 0.25)
    lower = ops.select(ops.less_equal(x, number(-1, x)), _zero(x), middle)
    return ops.select(ops.greater_equal(x, _one(x)), x, lower)


def _hard_shrink(x: Node, threshold: float) -> Node:
    inside = ops.less_equal(ops.abs(x), number(threshold, x))
    return ops.select(inside, _zero(x), x)


def _soft_shrink(x: Node, threshold: float) -> Node:
    return ops.subtract(x, ops.clip(x, low=-threshold, high=threshold))


def _sparse_sigmoid(x: Node) -> Node:
    middle = _scaled(ops.add(x, _one(x)), 0.5)
    lower = ops.select(ops.less_equal(x, number(-1, x)), _zero(x), middle)
    return ops.select(ops.greater_equal(x, _one(x)), _one(x), lower)


def _threshold(x: Node, threshold: float, value: float) -> Node:
    return ops.select(ops.greater(x, number(threshold, x)), x, number(value, x))


def _squareplus(x: Node, b: float) -> Node:
    root = ops.sqrt(ops.add(ops.square(x), number(b, x)))
    return _scaled(ops.add(x, root), 0.5)


def _softplus_derivative(x: Node, y: Node) -> Node:
    return ops.sigmoid(x)


def _log_sigmoid_derivative(x: Node, y: Node) -> Node:
    return ops.sigmoid(ops.negative(x))


def _silu_derivative(x: Node, y: Node) -> Node:
    share = ops.sigmoid(x)
    return ops.multiply(share, ops.add(ops.subtract(x, y), _one(x)))


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805

leaky_relu = activation(
    "leaky_relu",
    lambda x, *, slope: np.where(x >= 0, x, x * x.dtype.type(slope)),
    _leaky_relu,
    "x, below 0 times ``slope``.",
    {"slope": 0.2},
)
elu = activation(
    "elu",
    lambda x, *, alpha: _np_exponential(x, alpha),
    lambda x, alpha: _exponential(x, alpha),
    "x, below 0 alpha * (exp(x) - 1).",
    {"alpha": 1.0},
    sample={"alpha": 0.5},
)
selu = activation(
    "selu",
    lambda x: x.dtype.type(SELU_SCALE) * _np_exponential(x, SELU_ALPHA),
    lambda x: _scaled(_exponential(x, SELU_ALPHA), SELU_SCALE),
    "elu with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).",
)
celu = activation(
    "celu",
    lambda x, *, alpha: _np_exponential(x, alpha, alpha),
    lambda x, alpha: _exponential(x, alpha, alpha),
    "x, below 0 alpha * (exp(x / alpha) - 1).",
    {"alpha": 1.0},
    sample={"alpha": 2.0},
)
gelu = activation(
    "gelu",
    _np_gelu,
    _gelu,
    "x times the normal distribution function of x, by tanh if ``approximate``.",
    {"approximate": False},
    sample={"approximate": True},
)
silu = activation(
    "silu",
    lambda x: x * _np_sigmoid(x),
    lambda x: ops.multiply(x, ops.sigmoid(x)),
    "x * sigmoid(x).",
    derivative=_silu_derivative,
)
softplus = activation(
    "softplus", _np_softplus, _softplus, "log(1 + exp(x)).", derivative=_softplus_derivative
)
log_sigmoid = activation(
    "log_sigmoid",
    lambda x: -_np_softplus(-x),
    lambda x: ops.negative(_softplus(ops.negative(x))),
    "log(sigmoid(x)).",
    derivative=_log_sigmoid_derivative,
)
softsign = activation(
    "softsign",
    lambda x: x / (1 + np.abs(x)),
    lambda x: ops.divide(x, ops.add(ops.abs(x), _one(x))),
    "x / (1 + |x|).",
)
mish = activation(
    "mish",
    lambda x: x * np.tanh(_np_softplus(x)),
    lambda x: ops.multiply(x, ops.tanh(ops.softplus(x))),
    "x * tanh(softplus(x)).",
)
relu6 = activation(
    "relu6",
    lambda x: np.clip(x, 0, 6),
    _relu6,
    "x held between 0 and 6.",
    passes=_relu6_passes,
)
hard_sigmoid = activation(
    "hard_sigmoid",
    lambda x: np.clip(x + 3, 0, 6) / 6,
    _hard_sigmoid,
    "relu6(x + 3) / 6.",
)
hard_silu = activation(
    "hard_silu",
    lambda x: x * (np.clip(x + 3, 0, 6) / 6),
    lambda x: ops.multiply(x, _hard_sigmoid(x)),
    "x * hard_sigmoid(x).",
)
hard_tanh = activation(
    "hard_tanh",
    lambda x: np.clip(x, -1, 1),
    lambda x: ops.clip(x, low=-1.0, high=1.0),
    "x held between -1 and 1.",
    passes=lambda x, y: ops.logical_not(ops.greater(ops.abs(x), _one(x))),
)
tanh_shrink = activation(
    "tanh_shrink",
    lambda x: x - np.tanh(x),
    lambda x: ops.subtract(x, ops.tanh(x)),
    "x - tanh(x).",
)
soft_shrink = activation(
    "soft_shrink",
    lambda x, *, threshold: _np_shrink(x, threshold=threshold, hard=False),
    _soft_shrink,
    "x moved towards 0 by the threshold.",
    {"threshold": 0.5},
    passes=lambda x, y, threshold: ops.greater(ops.abs(x), number(threshold, x)),
)
hard_shrink = activation(
    "hard_shrink",
    lambda x, *, threshold: _np_shrink(x, threshold=threshold, hard=True),
    _hard_shrink,
    "x, and 0 between -threshold and threshold.",
    {"threshold": 0.5},
)
threshold = activation(
    "threshold",
    lambda x, *, threshold, value: np.where(x > threshold, x, x.dtype.type(value)),
    _threshold,
    "x above the threshold, else ``value``.",
    {"threshold": REQUIRED, "value": REQUIRED},
    sample={"threshold": 0.5, "value": -1.0},
)
squareplus = activation(
    "squareplus",
    lambda x, *, b: (x + np.sqrt(x * x + b)) / 2,
    _squareplus,
    "(x + sqrt(x * x + b)) / 2.",
    {"b": 4.0},
)
sparse_plus = activation(
    "sparse_plus", _np_sparse_plus, _sparse_plus, "0 up to -1, a parabola, x from 1 on."
)
sparse_sigmoid = activation(
    "sparse_sigmoid",
    lambda x: np.clip((x + 1) / 2, 0, 1),
    _sparse_sigmoid,
    "(x + 1) / 2 held between 0 and 1.",
)


# glu halves an axis


def _glu_type(x: TensorType, *, axis: int) -> TensorType:
    want_float(x)
    place = normal_axis(axis, x.rank)
    size = x.shape[place]
    if not isinstance(size, int) or size % 2:
        raise ValueError(f"expected an even size on axis {axis}, got {x}")
    return x.with_shape((*x.shape[:place], size // 2, *x.shape[place + 1 :]))


def _glu(x: Any, *, axis: int) -> Any:
    left, right = np.split(x, 2, axis)
    return left * _np_sigmoid(right)


def _glu_expand(node: Node) -> Node:
    place = normal_axis(node.attrs["axis"], node.tensor_type.rank)
    half = node.shape[place]
    left, right = pieces(node.inputs[0], place, [half, half])
    return ops.multiply(left, ops.sigmoid(right))


glu = register(
    Op(
        "glu",
        _glu_type,
        _glu,
        Composite(_glu_expand),
        {"axis": -1},
        None,
        (Sample(("f32[3, 4]",)), Sample(("f32[4, 3]",), {"axis": 0})),
        "The first half of ``axis`` times the sigmoid of the second.",
    )
)
