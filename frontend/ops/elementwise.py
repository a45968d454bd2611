"""Arithmetic, comparisons, logic and the functions of calculus, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_dtypes import finfo

from ..accepted import AnyFloat, is_number
from ..dtypes import INT64, UINT8, as_array, standard_dtype
from ..errors import UsageError, user_facing
from ..tensor import KerasTensor, is_symbolic
from .core import (
    BOOL,
    INT32,
    aligned,
    as_node,
    cast_node,
    constant,
    floating,
    ir,
    operation,
    promoted,
    tensor,
)


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(function)


def _float_unary(name: str, op: str, doc: str) -> Callable[[Any], Any]:
    """Integers are turned into floats first, as numpy does."""

    def function(x: Any) -> KerasTensor:
        return tensor(getattr(ir, op)(floating(x)))

    return _named(function, name, doc)


def _unary(name: str, op: str, doc: str) -> Callable[[Any], Any]:
    """Keeps the dtype."""

    def function(x: Any) -> KerasTensor:
        return tensor(getattr(ir, op)(as_node(x)))

    return _named(function, name, doc)


def _binary(
    name: str, op: str, doc: str, *, of_flags: str | None = None
) -> Callable[[Any, Any], Any]:
    """``of_flags`` is the op that does the same to booleans, where that is another one."""

    def function(x1: Any, x2: Any) -> KerasTensor:
        nodes = aligned(x1, x2)
        used = of_flags if of_flags and nodes[0].dtype is BOOL else op
        return tensor(getattr(ir, used)(*nodes))

    return _named(function, name, doc)


def _logical(name: str, op: str, doc: str) -> Callable[[Any, Any], Any]:
    def function(x1: Any, x2: Any) -> KerasTensor:
        return tensor(getattr(ir, op)(*(as_node(x, "bool") for x in (x1, x2))))

    return _named(function, name, doc)


def _bitwise(name: str, op: str, doc: str, *, of_flags: str | None = None) -> Callable[..., Any]:
    """``of_flags`` is the op that does the same to booleans, which stay booleans."""

    def compute(*values: Any) -> KerasTensor:
        nodes = aligned(*values)
        dtype = nodes[0].dtype
        if dtype is BOOL and of_flags is not None:
            return tensor(getattr(ir, of_flags)(*nodes))
        if dtype.is_float:
            raise UsageError(
                f"{name}: expected integers or booleans; received {dtype.name}. Cast them first"
            )
        whole = [cast_node(node, INT32) if dtype is BOOL else node for node in nodes]
        return tensor(getattr(ir, op)(*whole))

    def of_one(x: Any) -> KerasTensor:
        return compute(x)

    def of_two(x: Any, y: Any) -> KerasTensor:
        return compute(x, y)

    return _named(of_one if op == "bitwise_not" else of_two, name, doc)


exp = _float_unary("exp", "exp", "e to the power x.")
expm1 = _float_unary("expm1", "expm1", "exp(x) - 1, exact near 0.")
log = _float_unary("log", "log", "Natural logarithm.")
log1p = _float_unary("log1p", "log1p", "log(1 + x), exact near 0.")
sqrt = _float_unary("sqrt", "sqrt", "Square root.")
rsqrt = _float_unary("rsqrt", "rsqrt", "1 / sqrt(x).")
reciprocal = _float_unary("reciprocal", "reciprocal", "1 / x.")
sin = _float_unary("sin", "sin", "Sine.")
cos = _float_unary("cos", "cos", "Cosine.")
tan = _float_unary("tan", "tan", "Tangent.")
arcsin = _float_unary("arcsin", "asin", "Inverse sine.")
arccos = _float_unary("arccos", "acos", "Inverse cosine.")
arctan = _float_unary("arctan", "atan", "Inverse tangent.")
sinh = _float_unary("sinh", "sinh", "Hyperbolic sine.")
cosh = _float_unary("cosh", "cosh", "Hyperbolic cosine.")
tanh = _float_unary("tanh", "tanh", "Hyperbolic tangent.")
arcsinh = _float_unary("arcsinh", "asinh", "Inverse hyperbolic sine.")
arccosh = _float_unary("arccosh", "acosh", "Inverse hyperbolic cosine.")
arctanh = _float_unary("arctanh", "atanh", "Inverse hyperbolic tangent.")
erf = _float_unary("erf", "erf", "The error function.")
erfinv = _float_unary("erfinv", "erf_inverse", "The inverse of the error function, in float32.")
floor = _float_unary("floor", "floor", "The next integer below.")
ceil = _float_unary("ceil", "ceil", "The next integer above.")
isnan = _float_unary("isnan", "is_nan", "Whether x is not a number.")
isinf = _float_unary("isinf", "is_inf", "Whether x is infinite.")
isfinite = _float_unary("isfinite", "is_finite", "Whether x is neither infinite nor a NaN.")

negative = _unary("negative", "negative", "-x.")
absolute = _unary("absolute", "abs", "|x|.")
sign = _unary("sign", "sign", "-1, 0 or 1.")
square = _unary("square", "square", "x * x.")

add = _binary("add", "add", "x1 + x2; of booleans either.", of_flags="logical_or")
subtract = _binary("subtract", "subtract", "x1 - x2.")
multiply = _binary("multiply", "multiply", "x1 * x2; of booleans both.", of_flags="logical_and")
floor_divide = _binary("floor_divide", "floor_divide", "The quotient rounded down.")
mod = _binary("mod", "mod", "The remainder, with the sign of x2.")
power = _binary("power", "power", "x1 to the power x2.")
maximum = _binary("maximum", "maximum", "The larger of two; NaN if one is.", of_flags="logical_or")
minimum = _binary(
    "minimum", "minimum", "The smaller of two; NaN if one is.", of_flags="logical_and"
)
equal = _binary("equal", "equal", "x1 == x2.")
not_equal = _binary("not_equal", "not_equal", "x1 != x2.")
less = _binary("less", "less", "x1 < x2.")
less_equal = _binary("less_equal", "less_equal", "x1 <= x2.")
greater = _binary("greater", "greater", "x1 > x2.")
greater_equal = _binary("greater_equal", "greater_equal", "x1 >= x2.")
logical_and = _logical("logical_and", "logical_and", "Both.")
logical_or = _logical("logical_or", "logical_or", "Either.")
logical_xor = _logical("logical_xor", "logical_xor", "Exactly one.")
bitwise_and = _bitwise(
    "bitwise_and", "bitwise_and", "The bits that both have.", of_flags="logical_and"
)
bitwise_or = _bitwise(
    "bitwise_or", "bitwise_or", "The bits that either has.", of_flags="logical_or"
)
bitwise_xor = _bitwise(
    "bitwise_xor", "bitwise_xor", "The bits that exactly one has.", of_flags="logical_xor"
)
bitwise_not = _bitwise(
    "bitwise_not", "bitwise_not", "The bits that x has not.", of_flags="logical_not"
)
left_shift = _bitwise("left_shift", "left_shift", "The bits of x moved up by y places.")
right_shift = _bitwise("right_shift", "right_shift", "x / 2**y, rounded down.")
bitwise_invert = bitwise_not
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift

abs = absolute
remainder = mod
pow = power


@operation
def true_divide(x1: Any, x2: Any) -> KerasTensor:
    """x1 / x2; integers are turned into floats first."""
    left, right = aligned(x1, x2)
    return tensor(ir.divide(floating(tensor(left)), floating(tensor(right))))


divide = true_divide


@operation
def divide_no_nan(x1: Any, x2: Any) -> KerasTensor:
    """x1 / x2, and 0 where x2 is 0."""
    safe = where(equal(x2, 0), 1, x2)
    return where(equal(x2, 0), 0, true_divide(x1, safe))


@operation
def logical_not(x: Any) -> KerasTensor:
    """Whether x is false (0)."""
    return tensor(ir.logical_not(as_node(x, "bool")))


@operation
def log2(x: Any) -> KerasTensor:
    """Logarithm to base 2."""
    return log(x) * (1 / math.log(2))


@operation
def log10(x: Any) -> KerasTensor:
    """Logarithm to base 10."""
    return log(x) * (1 / math.log(10))


@operation
def logaddexp(x1: Any, x2: Any) -> KerasTensor:
    """log(exp(x1) + exp(x2)), without overflow."""
    x1, x2 = (tensor(floating(tensor(node))) for node in aligned(x1, x2))
    top = maximum(x1, x2)
    # Two infinities of one sign are 0 apart, not inf - inf.
    apart = where(equal(x1, x2), 0.0, absolute(subtract(x1, x2)))
    return top + log1p(exp(-apart))


_MOST_DECIMALS = 300  # a power of ten that a float64 holds


@operation
def round(x: Any, decimals: int = 0) -> KerasTensor:
    """Rounded to ``decimals`` digits, halves to the even neighbour."""
    node = as_node(x)
    if decimals >= 0 and not node.dtype.is_float:
        return tensor(node)
    if decimals == 0:
        return tensor(ir.round(node))
    if not -_MOST_DECIMALS <= decimals <= _MOST_DECIMALS:
        raise UsageError(
            f"round: expected decimals between {-_MOST_DECIMALS} and {_MOST_DECIMALS}; received "
            f"{decimals}"
        )
    scale = 10.0**decimals
    return tensor(ir.round(as_node(multiply(x, scale)))) / scale


@operation
def trunc(x: Any) -> KerasTensor:
    """Rounded towards 0."""
    node = as_node(x)
    x = tensor(node)
    return where(less(x, 0), ceil(x), floor(x)) if node.dtype.is_float else x


@operation
def squared_difference(x1: Any, x2: Any) -> KerasTensor:
    """(x1 - x2) ** 2."""
    return square(subtract(x1, x2))


def _chosen(condition: Any, x1: Any, x2: Any) -> KerasTensor:
    return tensor(ir.select(as_node(condition, "bool"), *aligned(x1, x2)))


_choose = _named(_chosen, "where", "x1 where the condition holds, else x2.")


@user_facing
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2.

    Without both, the places where it holds, as ``nonzero`` gives them.

    Raises:
        ValueError: only one of both is given; as ``nonzero``.
    """
    if (x1 is None) != (x2 is None):
        raise UsageError("where: expected both x1 and x2, or neither of them; received one")
    return nonzero(condition) if x1 is None else _choose(condition, x1, x2)


@user_facing
def nonzero(x: Any) -> Any:
    """The places of the elements other than 0: an array of int32 indices for each axis.

    Raises:
        ValueError: x is a tensor without values: how many there are is known only with the data.
    """
    if is_symbolic(x):
        raise UsageError(
            "nonzero: expected an array; received a symbolic tensor, and how many places "
            "there are is known only with the data. where(condition, x1, x2) chooses element by "
            "element, and sum(cast(condition, 'int32')) counts"
        )
    return tuple(axis.astype("int32") for axis in np.nonzero(np.atleast_1d(as_array(x))))


@operation
def clip(x: Any, x_min: Any, x_max: Any) -> KerasTensor:
    """x held between two bounds."""
    bounds = (x_min, x_max)
    if all(is_number(bound) and float(bound) == bound for bound in bounds):
        node = promoted(x, *bounds)[0]
        return tensor(ir.clip(node, low=float(x_min), high=float(x_max)))
    return minimum(maximum(x, x_min), x_max)


@operation
def nan_to_num(x: Any, nan: AnyFloat = 0.0, posinf: Any = None, neginf: Any = None) -> KerasTensor:
    """x with NaN and the infinities replaced by numbers (the largest ones unless given)."""
    node = floating(x)
    limits = finfo(node.dtype.numpy)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    value = tensor(node)
    value = where(isnan(value), nan, value)
    value = where(equal(value, math.inf), high, value)
    return where(equal(value, -math.inf), low, value)


@operation
def cast(x: Any, dtype: Any) -> KerasTensor:
    """x in another dtype."""
    return tensor(as_node(x, dtype))


@operation
def convert_to_tensor(x: Any, dtype: Any = None) -> KerasTensor:
    """x as a tensor; an array, in one of the package's dtypes, at top level."""
    return tensor(as_node(x, dtype))


@operation
def stop_gradient(variable: Any) -> KerasTensor:
    """The same value, held constant in differentiation."""
    node = as_node(variable)
    return tensor(ir.stop_gradient(node) if node.dtype.is_float else node)


@operation
def copy(x: Any) -> KerasTensor:
    """The same value."""
    return tensor(as_node(x))


def count_cast(x: Any) -> KerasTensor:
    """Booleans and small integers in a type in which they can be added up.

    That is int32; for uint8 it is int64, which holds the uint32 of Keras.
    """
    node = as_node(x)
    if node.dtype is UINT8:
        return tensor(cast_node(node, INT64))
    small = node.dtype is BOOL or (node.dtype.is_integer and node.dtype.itemsize < 4)
    return tensor(cast_node(node, INT32)) if small else tensor(node)


def number(value: float, dtype: Any = None) -> KerasTensor:
    """A constant number."""
    return tensor(constant(np.asarray(value, standard_dtype(dtype).numpy)))
