"""Functions of two or three values that broadcast: arithmetic, comparisons, logic, choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Node, Op, Sample
from ..ir.kinds import Elementwise, NoGrad
from ..ir.types import BOOL, TensorType, broadcast_shapes
from .building import number, sum_to, zero_gradient
from .registry import ops, register
from .rules import want_bool, want_float, want_integer, want_number, want_same_dtype

Vjp = Callable[[Node, Node, Node, Node], tuple[Node | None, ...]]


def _broadcast(x: TensorType, y: TensorType) -> TensorType:
    return TensorType(want_same_dtype(x, y), broadcast_shapes(x.shape, y.shape))


def _samples(dtype: str, low: float, high: float) -> tuple[Sample, ...]:
    shapes = (("[3, 4]", "[3, 4]"), ("[2, 1, 4]", "[3, 1]"), ("[3, 4]", "[]"))
    return tuple(Sample((dtype + x, dtype + y), low=low, high=high) for x, y in shapes)


def arithmetic(
    name: str,
    reference: Callable[..., Any],
    doc: str,
    vjp: Vjp | None,
    low: float = -2.0,
    high: float = 2.0,
    check: Callable[[TensorType], None] = want_number,
) -> Op:
    """A number of two numbers of one dtype.

    ``vjp(x, y, result, grad)`` gives both gradients in the shape of the result; None stands for
    derivatives of 0 everywhere.
    """

    def infer(x: TensorType, y: TensorType) -> TensorType:
        check(x)
        check(y)
        return _broadcast(x, y)

    def gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
        if vjp is None:
            return zero_gradient(node, grad)
        found = vjp(node.inputs[0], node.inputs[1], node, grad)
        pairs = zip(found, node.inputs, strict=True)
        return tuple(
            None if cotangent is None else sum_to(cotangent, x.shape) for cotangent, x in pairs
        )

    samples = _samples("f32", low, high)
    return register(Op(name, infer, reference, Elementwise(name), {}, gradient, samples, doc))


def comparison(name: str, reference: Callable[..., Any], doc: str) -> Op:
    """A question about two values of one dtype."""

    def infer(x: TensorType, y: TensorType) -> TensorType:
        return _broadcast(x, y).with_dtype(BOOL)

    grad = NoGrad("a comparison answers yes or no, which has no derivative")
    samples = (*_samples("f32", -2, 2), *_samples("i32", -2, 2))
    return register(Op(name, infer, reference, Elementwise(name), {}, grad, samples, doc))


def logical(name: str, reference: Callable[..., Any], doc: str) -> Op:
    """A function of two booleans."""

    def infer(x: TensorType, y: TensorType) -> TensorType:
        want_bool(x)
        want_bool(y)
        return _broadcast(x, y)

    grad = NoGrad("booleans have no derivative")
    samples = _samples("bool", 0, 1)
    return register(Op(name, infer, reference, Elementwise(name), {}, grad, samples, doc))


def bitwise(name: str, reference: Callable[..., Any], doc: str, arity: int = 2) -> Op:
    """A function of the bits of integers of one dtype."""

    def infer(*types: TensorType) -> TensorType:
        for each in types:
            want_integer(each)
        return TensorType(want_same_dtype(*types), broadcast_shapes(*(t.shape for t in types)))

    grad = NoGrad("bits have no derivative")
    pairs = _samples("i32", 0, 6)
    samples = pairs if arity == 2 else (Sample(pairs[0].types[:1], low=0, high=6),)
    return register(Op(name, infer, reference, Elementwise(name), {}, grad, samples, doc))


def _power(x: Any, y: Any) -> Any:
    """numpy's over all pairs: its shortcuts for one exponent give other values for infinities.

    Integers have powers below 0 too: 1 over the opposite power, without its fraction.
    """
    bases, exponents = (np.array(each) for each in np.broadcast_arrays(x, y))
    if bases.dtype.kind != "i":
        return np.power(bases, exponents)
    inverse = exponents < 0
    # Of what has a whole inverse, 1 and -1, the power depends on whether the exponent is odd.
    result = np.power(bases, np.where(inverse, exponents & 1, exponents))
    return np.where(inverse & (np.abs(bases) != 1), bases.dtype.type(0), result)


def _power_vjp(x: Node, y: Node, z: Node, g: Node) -> tuple[Node, Node]:
    zero, one = number(0, x), number(1, x)
    lower = ops.power(x, ops.subtract(y, one))
    # 0 ** -1 is infinite, but the derivative of x ** 0 is 0 there too.
    by_x = ops.select(ops.equal(y, zero), zero, ops.multiply(y, lower))
    logarithm = ops.select(ops.greater(x, zero), ops.log(x), zero)
    return ops.multiply(g, by_x), ops.multiply(g, ops.multiply(z, logarithm))


def _divide_vjp(x: Node, y: Node, z: Node, g: Node) -> tuple[Node, Node]:
    share = ops.divide(g, y)
    return share, ops.negative(ops.multiply(share, z))


def _mod_vjp(x: Node, y: Node, z: Node, g: Node) -> tuple[Node, Node]:
    return g, ops.negative(ops.multiply(g, ops.floor_divide(x, y)))


def _extreme_vjp(wins: Callable[[Node, Node], Node]) -> Vjp:
    """Of the one that wins; two that tie get half each, and beside a NaN both g times 0.

    The one that loses gets 0 whatever g is: sqrt(maximum(x, 0)) has an infinite one below 0.
    """

    def vjp(x: Node, y: Node, z: Node, g: Node) -> tuple[Node, Node]:
        zero, half = number(0, g), number(0.5, g)
        shared = ops.multiply(g, ops.select(ops.equal(x, y), half, zero))
        first, second = wins(x, y), wins(y, x)
        return (
            ops.select(first, g, ops.select(second, zero, shared)),
            ops.select(second, g, ops.select(first, zero, shared)),
        )

    return vjp


def _chosen(condition: Node, g: Node) -> tuple[Node, Node]:
    zero = number(0, g)
    return ops.select(condition, g, zero), ops.select(condition, zero, g)


add = arithmetic("add", np.add, "x + y.", lambda x, y, z, g: (g, g))
subtract = arithmetic("subtract", np.subtract, "x - y.", lambda x, y, z, g: (g, ops.negative(g)))
multiply = arithmetic(
    "multiply",
    np.multiply,
    "x * y.",
    lambda x, y, z, g: (ops.multiply(g, y), ops.multiply(g, x)),
)
divide = arithmetic("divide", np.divide, "x / y.", _divide_vjp, 0.5, 3.0, want_float)
floor_divide = arithmetic(
    "floor_divide", np.floor_divide, "The quotient rounded down.", None, 0.5, 3.0
)
mod = arithmetic("mod", np.mod, "The remainder, with the sign of y.", _mod_vjp, 0.5, 3.0)
power = arithmetic("power", _power, "x to the power y.", _power_vjp, 0.5, 2.0)
maximum = arithmetic(
    "maximum",
    np.maximum,
    "The larger of two; NaN if one is.",
    _extreme_vjp(lambda x, y: ops.greater(x, y)),
)
minimum = arithmetic(
    "minimum",
    np.minimum,
    "The smaller of two; NaN if one is.",
    _extreme_vjp(lambda x, y: ops.less(x, y)),
)
equal = comparison("equal", np.equal, "x == y.")
not_equal = comparison("not_equal", np.not_equal, "x != y.")
less = comparison("less", np.less, "x < y.")
less_equal = comparison("less_equal", np.less_equal, "x <= y.")
greater = comparison("greater", np.greater, "x > y.")
greater_equal = comparison("greater_equal", np.greater_equal, "x >= y.")
logical_and = logical("logical_and", np.logical_and, "Both.")
logical_or = logical("logical_or", np.logical_or, "Either.")
logical_xor = logical("logical_xor", np.logical_xor, "Exactly one.")
bitwise_and = bitwise("bitwise_and", np.bitwise_and, "The bits that both have.")
bitwise_or = bitwise("bitwise_or", np.bitwise_or, "The bits that either has.")
bitwise_xor = bitwise("bitwise_xor", np.bitwise_xor, "The bits that exactly one has.")
bitwise_not = bitwise("bitwise_not", np.bitwise_not, "The bits that x has not.", arity=1)
left_shift = bitwise(
    "left_shift", np.left_shift, "Bits moved up by y places; none are left from all places on."
)
right_shift = bitwise(
    "right_shift", np.right_shift, "x / 2**y rounded down; its sign alone from all places on."
)


def _select_type(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    want_bool(condition)
    shape = broadcast_shapes(condition.shape, x.shape, y.shape)
    return TensorType(want_same_dtype(x, y), shape)


def _select_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    condition, x, y = node.inputs
    by_x, by_y = _chosen(condition, grad)
    return None, sum_to(by_x, x.shape), sum_to(by_y, y.shape)


select = register(
    Op(
        "select",
        _select_type,
        np.where,
        Elementwise("select"),
        {},
        _select_gradient,
        (
            Sample(("bool[3, 4]", "f32[3, 4]", "f32[3, 4]")),
            Sample(("bool[3, 1]", "f32[4]", "f32[]")),
        ),
        "x where the condition holds, else y.",
    )
)
