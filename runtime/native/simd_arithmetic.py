"""Elementwise functions for vectors and scalars alike.

Every function here works on F32V and on float32/float64 scalars, where sensible on integers and
booleans too. None sets a fast-math flag: NaN and infinity survive everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .features import features
from .simd_types import (
    F32V,
    FLOATS,
    MASK,
    SCALAR_FLOATS,
    SCALAR_INTS,
    Emit,
    call_named,
    scalar,
    suffix,
)

INTEGERS = (*SCALAR_INTS, types.boolean)
UNSIGNED = (types.uint8, types.uint32, types.uint64, types.boolean)


def common_type(name: str, args: tuple[Any, ...], integers: bool) -> Any:
    """The one type all operands share: F32V, or the widest of the scalars.

    Raises:
        TypingError: a vector meets a scalar, or a type the function does not know.
    """
    plain = [scalar(arg) for arg in args]
    if all(arg == F32V for arg in plain):
        return F32V
    allowed = (*SCALAR_FLOATS, *INTEGERS) if integers else SCALAR_FLOATS
    if any(arg not in allowed for arg in plain):
        kinds = "numbers" if integers else "floats"
        raise TypingError(
            f"{name}: expected all {F32V} or all {kinds}, got ({', '.join(map(str, args))}); "
            "use splat(x) beside vectors and float32(x) for integers"
        )
    return _widest(plain)


def _widest(plain: list[Any]) -> Any:
    if len(set(plain)) == 1:
        return plain[0]
    if types.float64 in plain:
        return types.float64
    if types.float32 in plain:
        return types.float32
    return types.int64


def elementwise(name: str, arity: int, emit: Emit, integers: Emit | None = None) -> Any:
    """An intrinsic of `arity` operands of one type, giving that type.

    Args:
        emit: `(builder, *values) -> value`, for floats, scalar or vector.
        integers: `(builder, unsigned, *values) -> value`; None if there is no such version.
    """

    def typing(context: Any, *args: Any) -> Any:
        common = common_type(name, args, integers is not None)

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            if common in INTEGERS:
                assert integers is not None
                return integers(builder, common in UNSIGNED, *values)
            return emit(builder, *values)

        return common(*[common] * arity), lower

    return named_intrinsic(name, arity, typing)


def named_intrinsic(name: str, arity: int, typing: Callable[..., Any]) -> Any:
    """`intrinsic` of a function of `arity` operands; Numba wants them spelled out."""
    by_arity: dict[int, Callable[..., Any]] = {
        1: lambda context, a: typing(context, a),
        2: lambda context, a, b: typing(context, a, b),
        3: lambda context, a, b, c: typing(context, a, b, c),
    }
    function = by_arity[arity]
    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


def llvm_intrinsic(base: str) -> Emit:
    """Emit a call of the overloaded LLVM intrinsic `base` on whatever type the operands have."""

    def emit(builder: Any, *values: Any) -> Any:
        return call_named(builder, f"{base}.{suffix(values[0].type)}", values[0].type, [*values])

    return emit


def emit_clamp_low(builder: Any, a: Any, c: Any) -> Any:
    """max(a, c) in one instruction: x86 `max` gives its second operand for NaN, so a's survives."""
    return builder.select(builder.fcmp_ordered(">", c, a), c, a)


def emit_clamp_high(builder: Any, a: Any, c: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", c, a), c, a)


def emit_is_nan(builder: Any, a: Any) -> Any:
    return builder.fcmp_unordered("uno", a, a)


def emit_maximum(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(emit_is_nan(builder, a), a, emit_clamp_low(builder, b, a))


def emit_minimum(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(emit_is_nan(builder, a), a, emit_clamp_high(builder, b, a))


def emit_sum_error(builder: Any, a: Any, b: Any) -> Any:
    """What rounding takes from a + b (D. Knuth's TwoSum): a float, for a float holds it."""
    total = builder.fadd(a, b)
    of_b = builder.fsub(total, a)
    of_a = builder.fsub(total, of_b)
    error = builder.fadd(builder.fsub(a, of_a), builder.fsub(b, of_b))
    # Infinite and NaN sums have none; these differences are NaN then.
    return builder.select(emit_is_nan(builder, error), ir.Constant(a.type, None), error)


def _integer_pick(symbol: str) -> Emit:
    def emit(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
        compare = builder.icmp_unsigned if unsigned else builder.icmp_signed
        return builder.select(compare(symbol, a, b), a, b)

    return emit


def _of_integers(name: str, emit: Emit) -> Any:
    """An intrinsic of two integers: ``emit(builder, unsigned, a, b)``."""

    def typing(context: Any, *args: Any) -> Any:
        common = common_type(name, args, integers=True)
        if common not in INTEGERS:
            raise TypingError(f"{name}: expected integers, got ({', '.join(map(str, args))})")

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return emit(builder, common in UNSIGNED, *values)

        return common(common, common), lower

    return named_intrinsic(name, 2, typing)


def _left_shift(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
    inside = builder.icmp_unsigned("<", b, b.type(b.type.width))  # LLVM's shift by more is anything
    zero = a.type(0)
    return builder.select(inside, builder.shl(a, builder.select(inside, b, zero)), zero)


def _right_shift(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
    inside = builder.icmp_unsigned("<", b, b.type(b.type.width))
    if unsigned:
        zero = a.type(0)
        return builder.select(inside, builder.lshr(a, builder.select(inside, b, zero)), zero)
    return builder.ashr(a, builder.select(inside, b, b.type(b.type.width - 1)))


def _integer_absolute(builder: Any, unsigned: bool, a: Any) -> Any:
    if unsigned:
        return a
    negative = builder.icmp_signed("<", a, a.type(0))
    return builder.select(negative, builder.neg(a), a)


def _identity(builder: Any, unsigned: bool, a: Any) -> Any:
    return a


emit_fma = llvm_intrinsic("llvm.fma" if "fma" in features() else "llvm.fmuladd")

fma = elementwise("fma", 3, emit_fma)
maximum = elementwise("maximum", 2, emit_maximum, _integer_pick(">"))
minimum = elementwise("minimum", 2, emit_minimum, _integer_pick("<"))
clamp_low = elementwise("clamp_low", 2, emit_clamp_low, _integer_pick(">"))
clamp_high = elementwise("clamp_high", 2, emit_clamp_high, _integer_pick("<"))
absolute = elementwise("absolute", 1, llvm_intrinsic("llvm.fabs"), _integer_absolute)
left_shift = _of_integers("left_shift", _left_shift)
right_shift = _of_integers("right_shift", _right_shift)
sqrt = elementwise("sqrt", 1, llvm_intrinsic("llvm.sqrt"))
floor = elementwise("floor", 1, llvm_intrinsic("llvm.floor"), _identity)
ceil = elementwise("ceil", 1, llvm_intrinsic("llvm.ceil"), _identity)
round = elementwise("round", 1, llvm_intrinsic("llvm.rint"), _identity)
truncate = elementwise("truncate", 1, llvm_intrinsic("llvm.trunc"), _identity)
sum_error = elementwise("sum_error", 2, emit_sum_error)
copysign = elementwise("copysign", 2, llvm_intrinsic("llvm.copysign"))


# --- masks and casts ------------------------------------------------------------------------


def _is_nan(context: Any, a: Any) -> Any:
    common = common_type("is_nan", (a,), integers=False)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_is_nan(builder, args[0])

    return (MASK if common == F32V else types.boolean)(common), lower


def _select(context: Any, m: Any, a: Any, b: Any) -> Any:
    if m == MASK:
        common = MASK if a == b == MASK else common_type("select", (a, b), integers=False)
        if common not in (F32V, MASK):
            raise TypingError(f"select: a mask picks between vectors, got {a} and {b}")
        condition = MASK
    else:
        common_type("select", (m,), integers=True)
        common = common_type("select", (a, b), integers=True)
        condition = types.boolean

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return common(condition, common, common), lower


def _mask_to_float(context: Any, m: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.uitofp(args[0], FLOATS)

    return F32V(MASK), lower


def _cast(target: Any) -> Any:
    """To another type; floats that an integer type cannot hold become its nearest, NaN becomes 0.

    LLVM's plain conversion gives anything then, and may give another thing each time.
    """
    name = f"to_{'bool' if target == types.boolean else target}"

    def typing(context: Any, a: Any) -> Any:
        common = common_type(name, (a,), integers=True)
        saturates = common in SCALAR_FLOATS and target in SCALAR_INTS

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            if not saturates:
                return args[0]  # Numba has cast the argument to the type of the signature
            kind = "fptoui" if target in UNSIGNED else "fptosi"
            result = context.get_value_type(target)
            full_name = f"llvm.{kind}.sat.{suffix(result)}.{suffix(args[0].type)}"
            return call_named(builder, full_name, result, [args[0]])

        return target(common if saturates else target), lower

    return named_intrinsic(name, 1, typing)


is_nan = named_intrinsic("is_nan", 1, _is_nan)
select = named_intrinsic("select", 3, _select)
mask_to_float = named_intrinsic("mask_to_float", 1, _mask_to_float)
to_float32 = _cast(types.float32)
to_float64 = _cast(types.float64)
to_int8 = _cast(types.int8)
to_int32 = _cast(types.int32)
to_int64 = _cast(types.int64)
to_uint8 = _cast(types.uint8)
to_bool = _cast(types.boolean)
