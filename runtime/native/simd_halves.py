"""Floats of two bytes: in memory as they are, in registers as the float32 of their value.

Storing rounds to the nearest, of two the even one; what is beyond becomes infinite, NaN stays NaN.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from .features import features
from .simd_arithmetic import common_type, emit_is_nan
from .simd_types import F32V, FLOAT, FLOATS, I32, MASK, call_named, named, pointer_to, suffix

I16, HALF = ir.IntType(16), ir.HalfType()
HAS_F16C = "f16c" in features()
EXACT = (types.float32, types.int8, types.uint8, types.boolean)  # what float32 holds all values of

# Bits of float32 and float16: ends of exponents, and what lies between their biases.
F16_INFINITY, F16_NAN, F16_EXPONENT, F16_SIGN = 0x7C00, 0x7E00, 0x7C00, 0x8000
SHIFT = 13  # between the fractions
BEYOND = (127 + 16) << 23  # float32 from which float16 is infinite
NORMAL = (127 - 14) << 23  # float32 below which float16 has no leading one
BIASES = (127 - 15) << 23
SUBNORMAL = (127 - 15 + 23 - 10 + 1) << 23  # adding it rounds at the last bit of a subnormal


class HalfType(types.Type):  # type: ignore[misc,unused-ignore]
    """Two bytes of memory that hold a float16 or a bfloat16."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


@register_model(HalfType)
class HalfModel(models.PrimitiveModel):  # type: ignore[misc,unused-ignore]
    def __init__(self, manager: Any, numba_type: HalfType) -> None:
        super().__init__(manager, numba_type, I16)


F16, BF16 = HalfType("f16"), HalfType("bf16")


def memory_vector(element: Any) -> Any:
    """The LLVM type of a vector of ``element``, float32 or a half type, as it lies in memory."""
    return ir.VectorType(I16, FLOATS.count) if isinstance(element, HalfType) else FLOATS


def _shaped(like: Any, element: Any) -> Any:
    """``element``, as often as ``like`` has one."""
    return ir.VectorType(element, like.count) if isinstance(like, ir.VectorType) else element


def _number(like: Any, value: int) -> Any:
    return ir.Constant(like, [value] * like.count if isinstance(like, ir.VectorType) else value)


def emit_widened(builder: Any, element: Any, value: Any) -> Any:
    """The float32, or the vector of them, of what was read from memory of ``element``."""
    if not isinstance(element, HalfType):
        return value
    if element == BF16:
        return emit_of_bfloat(builder, value)
    return emit_of_half_by_f16c(builder, value) if HAS_F16C else emit_of_half(builder, value)


def emit_narrowed(builder: Any, element: Any, value: Any) -> Any:
    """A float32, or a vector of them, as it is written to memory of ``element``."""
    if not isinstance(element, HalfType):
        return value
    if element == BF16:
        return emit_to_bfloat(builder, value)
    return emit_to_half_by_f16c(builder, value) if HAS_F16C else emit_to_half(builder, value)


def emit_of_bfloat(builder: Any, value: Any) -> Any:
    """The upper half of a float32."""
    bits = builder.zext(value, _shaped(value.type, I32))
    return builder.bitcast(builder.shl(bits, _number(bits.type, 16)), _shaped(value.type, FLOAT))


def emit_to_bfloat(builder: Any, value: Any) -> Any:
    bits = builder.bitcast(value, _shaped(value.type, I32))
    upper = builder.lshr(bits, _number(bits.type, 16))
    odd = builder.and_(upper, _number(bits.type, 1))
    up = builder.add(bits, builder.add(odd, _number(bits.type, 0x7FFF)))
    quiet = builder.or_(upper, _number(bits.type, 0x40))
    rounded = builder.lshr(up, _number(bits.type, 16))
    chosen = builder.select(emit_is_nan(builder, value), quiet, rounded)
    return builder.trunc(chosen, _shaped(value.type, I16))


def emit_of_half_by_f16c(builder: Any, value: Any) -> Any:
    half = builder.bitcast(value, _shaped(value.type, HALF))
    return _fenced(builder, builder.fpext(half, _shaped(value.type, FLOAT)))


def emit_to_half_by_f16c(builder: Any, value: Any) -> Any:
    half = builder.fptrunc(_fenced(builder, value), _shaped(value.type, HALF))
    return builder.bitcast(half, _shaped(value.type, I16))


def _fenced(builder: Any, value: Any) -> Any:
    """``value``, of which LLVM sees no conversion: it would compute in halves, and lose -0."""
    return call_named(builder, f"llvm.arithmetic.fence.{suffix(value.type)}", value.type, [value])


def emit_of_half(builder: Any, value: Any) -> Any:
    """In integers, for machines without the instruction."""
    whole, floats = _shaped(value.type, I32), _shaped(value.type, FLOAT)

    def number(bits: int) -> Any:
        return _number(whole, bits)

    bits = builder.zext(value, whole)
    exponent = builder.and_(bits, number(F16_EXPONENT))
    size = builder.shl(builder.and_(bits, number(F16_SIGN - 1)), number(SHIFT))
    normal = builder.add(size, number(BIASES))
    infinite = builder.add(normal, number(BIASES))  # or NaN: all bits of the exponent
    ending = builder.bitcast(builder.add(normal, number(1 << 23)), floats)
    low = builder.fsub(ending, builder.bitcast(number(NORMAL), floats))
    is_end = builder.icmp_unsigned("==", exponent, number(F16_EXPONENT))
    is_low = builder.icmp_unsigned("==", exponent, number(0))
    found = builder.select(is_end, infinite, normal)
    found = builder.select(is_low, builder.bitcast(low, whole), found)
    sign = builder.shl(builder.and_(bits, number(F16_SIGN)), number(16))
    return builder.bitcast(builder.or_(found, sign), floats)


def emit_to_half(builder: Any, value: Any) -> Any:
    """In integers, for machines without the instruction."""
    whole, floats = _shaped(value.type, I32), _shaped(value.type, FLOAT)

    def number(bits: int) -> Any:
        return _number(whole, bits)

    bits = builder.bitcast(value, whole)
    sign = builder.lshr(builder.and_(bits, number(1 << 31)), number(16))
    size = builder.and_(bits, number((1 << 31) - 1))
    odd = builder.and_(builder.lshr(size, number(SHIFT)), number(1))
    rounding = builder.add(odd, number((1 << SHIFT - 1) - 1))
    normal = builder.lshr(builder.add(builder.sub(size, number(BIASES)), rounding), number(SHIFT))
    magic = builder.bitcast(number(SUBNORMAL), floats)
    low = builder.sub(
        builder.bitcast(builder.fadd(builder.bitcast(size, floats), magic), whole),
        number(SUBNORMAL),
    )
    end = builder.select(emit_is_nan(builder, value), number(F16_NAN), number(F16_INFINITY))
    found = builder.select(builder.icmp_unsigned("<", size, number(NORMAL)), low, normal)
    found = builder.select(builder.icmp_unsigned("<", size, number(BEYOND)), found, end)
    return builder.trunc(builder.or_(found, sign), _shaped(value.type, I16))


def emit_to_odd(builder: Any, double: Any) -> Any:
    """The float32 at a double; of what lies between two, the odd one, which is no tie of halves.

    So rounding it once more gives what rounding at once would.
    """
    near = builder.fptrunc(double, FLOAT)
    back = builder.fpext(near, double.type)
    size, wanted = (
        call_named(builder, f"llvm.fabs.{suffix(n.type)}", n.type, [n]) for n in (back, double)
    )
    away = builder.zext(builder.fcmp_ordered(">", size, wanted), I32)
    inexact = builder.zext(builder.fcmp_ordered("!=", back, double), I32)
    bits = builder.or_(builder.sub(builder.bitcast(near, I32), away), inexact)
    return builder.bitcast(bits, FLOAT)


def _rounding(element: HalfType, name: str) -> Any:
    """An intrinsic: the float32 of a number rounded to ``element``; a vector of a vector."""

    def typing(context: Any, a: Any) -> Any:
        if a in (F32V, MASK):
            taken, given = a, F32V
        else:
            exact = common_type(name, (a,), integers=True) in EXACT
            taken, given = types.float32 if exact else types.float64, types.float32

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (value,) = args
            if taken == MASK:
                value = builder.uitofp(value, FLOATS)
            elif taken == types.float64:
                value = emit_to_odd(builder, value)
            return emit_widened(builder, element, emit_narrowed(builder, element, value))

        return given(taken), lower

    return named(typing, name)


pointer_f16 = pointer_to("pointer_f16", F16)
pointer_bf16 = pointer_to("pointer_bf16", BF16)
to_float16 = _rounding(F16, "to_float16")
to_bfloat16 = _rounding(BF16, "to_bfloat16")
