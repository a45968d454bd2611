"""Division with remainder and whole powers as LLVM code, as numpy defines them.

Remainders of floats are exact, whatever the quotient; those of vectors take two divisions and a few
instructions more as long as all quotients are below 2^23, and the C library once a lane beyond.
Integers wrap around; what has no value (a division by 0) is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .simd_arithmetic import llvm_intrinsic
from .simd_lanes import emit_all_lanes, emit_lane_calls
from .simd_types import DOUBLE, call_named
from .vecmath_emit import Lanes

LARGEST_WHOLE = 2.0**23  # quotients below are off by less than one when they are rounded


def emit_mod(builder: Any, a: Any, b: Any) -> Any:
    """The remainder, with the sign of b: NaN for b = 0 and for infinite a."""
    g = Lanes(builder, a)
    rest = _rest(g, a, b, builder.fdiv(a, b))
    result = builder.select(_crosses(g, rest, b), builder.fadd(rest, b), rest)
    return g.where(rest, "==", 0.0, g.copy_sign(rest, b), result)


def emit_floor_divide(builder: Any, a: Any, b: Any) -> Any:
    """The quotient rounded down; a / b for b = 0."""
    g = Lanes(builder, a)
    quotient = builder.fdiv(a, b)
    rest = _rest(g, a, b, quotient)
    whole = builder.fdiv(builder.fsub(a, rest), b)
    whole = builder.select(_crosses(g, rest, b), builder.fsub(whole, g.number(1.0)), whole)
    below = llvm_intrinsic("llvm.floor")(builder, whole)
    above = g.where(builder.fsub(whole, below), ">", 0.5, g.number(1.0), g.number(0.0))
    result = builder.fadd(below, above)
    result = g.where(whole, "==", 0.0, g.copy_sign(g.number(0.0), quotient), result)
    return g.where(b, "==", 0.0, quotient, result)


def _crosses(g: Lanes, rest: Any, b: Any) -> Any:
    """Where the quotient rounded to 0 is not the one rounded down."""
    zero = g.number(0.0)
    signs = [g.b.fcmp_ordered("<", value, zero) for value in (rest, b)]
    return g.b.and_(g.b.fcmp_ordered("!=", rest, zero), g.b.xor(*signs))


def _rest(g: Lanes, a: Any, b: Any, quotient: Any) -> Any:
    """C's fmod, for the rounded ``quotient``."""
    if not g.vector:
        return call_named(g.b, "fmod" if a.type == DOUBLE else "fmodf", a.type, [a, b])
    near = g.b.fcmp_ordered("<", g.absolute(quotient), g.number(LARGEST_WHOLE))
    names = ("rest.near", "rest.far", "rest.done")
    short, far, done = (g.b.append_basic_block(name) for name in names)
    g.b.cbranch(emit_all_lanes(g.b, near), short, far)
    g.b.position_at_end(short)
    by_multiple = _near_rest(g, a, b, quotient)
    g.b.branch(done)
    g.b.position_at_end(far)
    by_library = emit_lane_calls(g.b, "fmod", [a, b])
    g.b.branch(done)
    g.b.position_at_end(done)
    result = g.b.phi(a.type)
    result.add_incoming(by_multiple, short)
    result.add_incoming(by_library, far)
    return result


def _near_rest(g: Lanes, a: Any, b: Any, quotient: Any) -> Any:
    """a less the multiple of b next to it, towards 0.

    The rounded quotient is the whole number wanted or the next; either multiple lies so near to a
    that a float holds the difference, which a multiply-add therefore gives without rounding.
    """
    size, step = g.absolute(a), g.absolute(b)
    whole = llvm_intrinsic("llvm.trunc")(g.b, g.absolute(quotient))
    rest = llvm_intrinsic("llvm.fma")(g.b, g.b.fneg(whole), step, size)
    rest = g.where(rest, "<", 0.0, g.b.fadd(rest, step), rest)
    rest = g.b.select(g.b.fcmp_ordered("<", size, step), size, rest)  # 0 times infinity is NaN
    return g.copy_sign(rest, a)


# Integers


def integer_floor_divide(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
    def quotient(divisor: Any) -> Any:
        if unsigned:
            return builder.udiv(a, divisor)
        whole = builder.sdiv(a, divisor)
        rest = builder.sub(a, builder.mul(whole, divisor))
        return builder.sub(whole, builder.zext(_strays(builder, rest, divisor), b.type))

    # The least integer has no negative: it wraps.
    return _divided(builder, unsigned, b, quotient, by_minus_one=builder.neg(a))


def integer_mod(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
    def remainder(divisor: Any) -> Any:
        if unsigned:
            return builder.urem(a, divisor)
        rest = builder.srem(a, divisor)
        return builder.select(_strays(builder, rest, divisor), builder.add(rest, divisor), rest)

    return _divided(builder, unsigned, b, remainder, by_minus_one=b.type(0))


def _divided(
    builder: Any, unsigned: bool, b: Any, by: Callable[[Any], Any], by_minus_one: Any
) -> Any:
    """``by(b)``, but 0 for 0, and without the machine's division where b is -1: it may trap."""
    zero, one = b.type(0), b.type(1)
    nothing = builder.icmp_unsigned("==", b, zero)
    if unsigned:
        return builder.select(nothing, zero, by(builder.select(nothing, one, b)))
    negates = builder.icmp_signed("==", b, b.type(-1))
    result = by(builder.select(builder.or_(nothing, negates), one, b))
    return builder.select(nothing, zero, builder.select(negates, by_minus_one, result))


def _strays(builder: Any, rest: Any, divisor: Any) -> Any:
    """Whether a remainder has not the sign of the divisor."""
    differ = builder.icmp_signed("<", builder.xor(rest, divisor), rest.type(0))
    return builder.and_(builder.icmp_signed("!=", rest, rest.type(0)), differ)


def integer_power(builder: Any, unsigned: bool, a: Any, b: Any) -> Any:
    """a multiplied b times, wrapping around; 1 / a**-b without its fraction for negative b."""
    if unsigned:
        return builder.call(_power_loop(builder.module, a.type), [a, b])
    one = a.type(1)
    inverse = builder.icmp_signed("<", b, b.type(0))
    # Of what has a whole inverse, 1 and -1, the power depends on whether b is odd.
    steps = builder.select(inverse, builder.and_(b, one), b)
    result = builder.call(_power_loop(builder.module, a.type), [a, steps])
    unit = builder.or_(builder.icmp_signed("==", a, one), builder.icmp_signed("==", a, a.type(-1)))
    return builder.select(builder.or_(builder.not_(inverse), unit), result, a.type(0))


def _power_loop(module: Any, kind: Any) -> Any:
    """A function of the module that squares and multiplies; one for all uses of an integer type."""
    name = f"keraunos.power.{kind}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), name)
    function.linkage = "linkonce_odr"
    entry, loop, done = (function.append_basic_block(each) for each in ("entry", "loop", "done"))
    builder = ir.IRBuilder(entry)
    builder.branch(loop)
    builder.position_at_end(loop)
    base, steps, result = (builder.phi(kind) for _ in range(3))
    odd = builder.trunc(steps, ir.IntType(1))
    taken = builder.select(odd, builder.mul(result, base), result)
    squared, left = builder.mul(base, base), builder.lshr(steps, kind(1))
    for phi, first, following in zip(
        (base, steps, result), (*function.args, kind(1)), (squared, left, taken), strict=True
    ):
        phi.add_incoming(first, entry)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("!=", left, kind(0)), loop, done)
    builder.position_at_end(done)
    builder.ret(taken)
    return function
