"""Functions of one value, element by element: arithmetic, exponentials, angles, rounding, tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import REQUIRED, Node, Op, Sample
from ..ir.kinds import Composite, Elementwise, NoGrad
from ..ir.types import BOOL, DType, TensorType, dtype_of
from .building import number, zero_gradient
from .registry import TypedOp, ops, register
from .rules import want_bool, want_float, want_number

Vjp = Callable[[Node, Node, Node], Node]
Check = Callable[[TensorType], None]


def unary(
    name: str,
    reference: Callable[..., Any],
    doc: str,
    vjp: Vjp | None = None,
    check: Check = want_float,
    low: float = -2.0,
    high: float = 2.0,
) -> Op:
    """A function of one value that keeps the dtype.

    ``vjp(x, y, grad)`` gives the gradient; None stands for a derivative of 0 everywhere.
    """

    def infer(x: TensorType) -> TensorType:
        check(x)
        return x

    def gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
        return (vjp(node.inputs[0], node, grad),) if vjp else zero_gradient(node, grad)

    samples = (Sample(("f32[3, 4]",), low=low, high=high),)
    return register(Op(name, infer, reference, Elementwise(name), {}, gradient, samples, doc))


def test(name: str, reference: Callable[..., Any], doc: str) -> Op:
    """A question about one float."""

    def infer(x: TensorType) -> TensorType:
        want_float(x)
        return x.with_dtype(BOOL)

    grad = NoGrad("it answers yes or no, which has no derivative")
    return register(
        Op(name, infer, reference, Elementwise(name), {}, grad, (Sample(("f32[3, 4]",)),), doc)
    )


def _square(x: Any) -> Any:
    return x * x


def _rsqrt(x: Any) -> Any:
    return np.reciprocal(np.sqrt(x))


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones_like(x), small) / (1 + small)


def _relu(x: Any) -> Any:
    zero = x.dtype.type(0)
    return np.where(x < zero, zero, x)


def _sign(x: Any) -> Any:
    """numpy's, but that a zero keeps its sign."""
    return np.where(x == 0, x, np.sign(x))


_ERF = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Any) -> Any:
    return np.asarray(_ERF(x)).astype(x.dtype)


def _half(x: Node) -> Node:
    return number(0.5, x)


def _one(x: Node) -> Node:
    return number(1.0, x)


def _one_minus(x: Node) -> Node:
    return ops.subtract(_one(x), x)


def _over(grad: Node, divisor: Node) -> Node:
    return ops.divide(grad, divisor)


def _relu_vjp(x: Node, y: Node, grad: Node) -> Node:
    # In terms of the result, which later layers save anyway: the operand need not be saved.
    zero = number(0, x)
    return ops.select(ops.greater(y, zero), grad, zero)


def _erf_vjp(x: Node, y: Node, grad: Node) -> Node:
    bell = ops.exp(ops.negative(ops.square(x)))
    return ops.multiply(grad, ops.multiply(number(2 / math.sqrt(math.pi), x), bell))


def _rsqrt_vjp(x: Node, y: Node, grad: Node) -> Node:
    return ops.multiply(grad, ops.multiply(ops.multiply(number(-0.5, x), y), ops.square(y)))


negative = unary("negative", np.negative, "-x.", lambda x, y, g: ops.negative(g), want_number)
abs_ = unary("abs", np.abs, "|x|.", lambda x, y, g: ops.multiply(g, ops.sign(x)), want_number)
sign = unary("sign", _sign, "-1, 0 or 1; NaN for a NaN.", None, want_number)
square = unary(
    "square",
    _square,
    "x * x.",
    lambda x, y, g: ops.multiply(g, ops.add(x, x)),
    want_number,
)
sqrt = unary(
    "sqrt",
    np.sqrt,
    "Square root.",
    lambda x, y, g: ops.multiply(g, _over(_half(x), y)),
    low=0.1,
)
rsqrt = unary("rsqrt", _rsqrt, "1 / sqrt(x).", _rsqrt_vjp, low=0.1)
reciprocal = unary(
    "reciprocal",
    np.reciprocal,
    "1 / x.",
    lambda x, y, g: ops.negative(ops.multiply(g, ops.square(y))),
    low=0.5,
)
exp = unary("exp", np.exp, "e to the power x.", lambda x, y, g: ops.multiply(g, y))
expm1 = unary(
    "expm1",
    np.expm1,
    "exp(x) - 1, exact near 0.",
    lambda x, y, g: ops.multiply(g, ops.add(y, _one(x))),
)
log = unary("log", np.log, "Natural logarithm.", lambda x, y, g: _over(g, x), low=0.1)
log1p = unary(
    "log1p",
    np.log1p,
    "log(1 + x), exact near 0.",
    lambda x, y, g: _over(g, ops.add(x, _one(x))),
    low=-0.9,
)
tanh = unary(
    "tanh",
    np.tanh,
    "Hyperbolic tangent.",
    lambda x, y, g: ops.multiply(g, _one_minus(ops.square(y))),
)
sigmoid = unary(
    "sigmoid",
    _sigmoid,
    "1 / (1 + exp(-x)).",
    lambda x, y, g: ops.multiply(g, ops.multiply(y, _one_minus(y))),
)
erf = unary("erf", _erf, "The error function.", _erf_vjp)
relu = unary("relu", _relu, "max(x, 0).", _relu_vjp, want_number)
floor = unary("floor", np.floor, "The next integer below.")
ceil = unary("ceil", np.ceil, "The next integer above.")
round_ = unary("round", np.round, "The nearest integer, halves to the even one.")
sin = unary("sin", np.sin, "Sine.", lambda x, y, g: ops.multiply(g, ops.cos(x)))
cos = unary("cos", np.cos, "Cosine.", lambda x, y, g: ops.negative(ops.multiply(g, ops.sin(x))))
tan = unary(
    "tan",
    np.tan,
    "Tangent.",
    lambda x, y, g: ops.multiply(g, ops.add(ops.square(y), _one(x))),
    low=-1.2,
    high=1.2,
)
asin = unary(
    "asin",
    np.arcsin,
    "Inverse sine.",
    lambda x, y, g: ops.multiply(g, ops.rsqrt(_one_minus(ops.square(x)))),
    low=-0.9,
    high=0.9,
)
acos = unary(
    "acos",
    np.arccos,
    "Inverse cosine.",
    lambda x, y, g: ops.negative(ops.multiply(g, ops.rsqrt(_one_minus(ops.square(x))))),
    low=-0.9,
    high=0.9,
)
atan = unary(
    "atan",
    np.arctan,
    "Inverse tangent.",
    lambda x, y, g: _over(g, ops.add(ops.square(x), _one(x))),
)
sinh = unary("sinh", np.sinh, "Hyperbolic sine.", lambda x, y, g: ops.multiply(g, ops.cosh(x)))
cosh = unary("cosh", np.cosh, "Hyperbolic cosine.", lambda x, y, g: ops.multiply(g, ops.sinh(x)))
asinh = unary(
    "asinh",
    np.arcsinh,
    "Inverse hyperbolic sine.",
    lambda x, y, g: ops.multiply(g, ops.rsqrt(ops.add(ops.square(x), _one(x)))),
)
acosh = unary(
    "acosh",
    np.arccosh,
    "Inverse hyperbolic cosine.",
    lambda x, y, g: ops.multiply(g, ops.rsqrt(ops.subtract(ops.square(x), _one(x)))),
    low=1.2,
    high=3.0,
)
atanh = unary(
    "atanh",
    np.arctanh,
    "Inverse hyperbolic tangent.",
    lambda x, y, g: _over(g, _one_minus(ops.square(x))),
    low=-0.9,
    high=0.9,
)
is_nan = test("is_nan", np.isnan, "Whether x is not a number.")
is_inf = test("is_inf", np.isinf, "Whether x is infinite.")
is_finite = test("is_finite", np.isfinite, "Whether x is neither infinite nor a NaN.")


def _logical_not_type(x: TensorType) -> TensorType:
    want_bool(x)
    return x


logical_not = register(
    Op(
        "logical_not",
        _logical_not_type,
        np.logical_not,
        Elementwise("logical_not"),
        {},
        NoGrad("booleans have no derivative"),
        (Sample(("bool[3, 4]",)),),
        "Whether x is false.",
    )
)


def _cast_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    source = node.inputs[0].dtype
    return (ops.cast(grad, dtype=source) if source.is_float else None,)


def _cast_type(x: TensorType, *, dtype: DType | str) -> TensorType:
    return x.with_dtype(dtype_of(dtype))


def _cast(x: Any, *, dtype: DType | str) -> Any:
    target = dtype_of(dtype)
    saturates = x.dtype.kind == "f" and target.is_integer
    return _nearest_integer(x, target.numpy) if saturates else x.astype(target.numpy)


def _nearest_integer(x: Any, dtype: np.dtype) -> Any:
    """x without its fraction, or the integer of ``dtype`` that is nearest; 0 for NaN."""
    limits = np.iinfo(dtype)
    over, under = x >= float(limits.max), x <= float(limits.min)
    inside = np.where(over | under | np.isnan(x), x.dtype.type(0), x).astype(dtype)
    return np.where(over, limits.max, np.where(under, limits.min, inside)).astype(dtype)


cast = register(
    TypedOp(
        "cast",
        _cast_type,
        _cast,
        Elementwise("cast"),
        {"dtype": REQUIRED},
        _cast_gradient,
        (
            Sample(("f32[3, 4]",), {"dtype": "float64"}),
            Sample(("i32[3, 4]",), {"dtype": "float32"}),
            Sample(("f32[3, 4]",), {"dtype": "int32"}),
            Sample(("f32[3, 4]",), {"dtype": "bool"}),
        ),
        "x in another element type; floats become integers by dropping the fraction, those out of "
        "range the nearest integer and NaN 0; integers out of range wrap around.",
    )
)


def _clip_type(x: TensorType, *, low: float, high: float) -> TensorType:
    want_number(x)
    if not low <= high:
        raise ValueError(f"expected low <= high, got low={low} and high={high}")
    return x


def _clip(x: Any, *, low: float, high: float) -> Any:
    bounds = (low, high) if x.dtype.kind == "f" else np.clip([low, high], *_limits(x.dtype))
    least, most = (x.dtype.type(bound) for bound in bounds)
    raised = np.where(x < least, least, x)
    return np.where(raised > most, most, raised)


def _limits(dtype: np.dtype) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _clip_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    """As of ``minimum(maximum(x, low), high)``: a bound shares with what equals it.

    A NaN gets grad times 0, which is NaN where what came of it is.
    """
    (x,), low, high = node.inputs, node.attrs["low"], node.attrs["high"]
    zero, share = number(0, grad), number(0.5 if low < high else 0.25, grad)
    least, most = number(low, x), number(high, x)
    inside = ops.logical_and(ops.greater(x, least), ops.less(x, most))
    outside = ops.logical_or(ops.less(x, least), ops.greater(x, most))
    shared = ops.multiply(grad, ops.select(ops.is_nan(x), zero, share))
    return (ops.select(inside, grad, ops.select(outside, zero, shared)),)


clip = register(
    Op(
        "clip",
        _clip_type,
        _clip,
        Elementwise("clip"),
        {"low": REQUIRED, "high": REQUIRED},
        _clip_gradient,
        (Sample(("f32[3, 4]",), {"low": -1.0, "high": 1.5}),),
        "x held between two bounds; a NaN stays one.",
    )
)

stop_gradient = register(
    Op(
        "stop_gradient",
        lambda x: x,
        lambda x: x,
        Composite(lambda node: node.inputs[0]),
        {},
        zero_gradient,
        (Sample(("f32[3, 4]",)),),
        "x, held constant in differentiation.",
    )
)
