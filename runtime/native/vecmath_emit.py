"""Elementary functions as LLVM code, the same for a vector of float32 and for one float32.

Each is a polynomial after range reduction, written against `Lanes`, which hides whether values are
scalars or vectors; both therefore give the same bits. No fast-math flags, no tables, no branches.
NaN gives NaN, infinities give the limits. Errors in units in the last place are in `vecmath`.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from ..erf_inverse import CENTRE, CENTRE_AT, TAIL, TAIL_AT, TAIL_FROM
from .features import features
from .simd_arithmetic import emit_fma, emit_is_nan, llvm_intrinsic
from .simd_types import FLOAT, I8, I32, INTS, LANES, call_named

INFINITY = math.inf
LOG2_E = 1.4426950408889634
LN2_HIGH = 0.693359375  # nine bits: its products with exponents are exact
LN2_LOW = -2.12194440e-4
LN2 = 0.6931471805599453
ROUNDER = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
ROUNDER_BITS = 0x4B400000
SMALLEST_NORMAL = 1.1754943508222875e-38
ROOT_HALF_BITS = 0x3F3504F3
SIGN = -0x80000000

HAS_SCALEF = LANES == 16 and "avx512f" in features()

# Minimax: exp(r) for |r| <= ln(2) / 2, within 3.1e-9 of it, highest power first.
EXP = (
    1.3814542e-3,
    8.3687451e-3,
    4.1668391e-2,
    1.6666520e-1,
    4.9999993e-1,
    1.0,
    1.0,
)
# Minimax: (exp(2 s) - 1 - 2 s) / s^2 for |s| <= ln(2) / 4, so that exp(2 s) - 1 is within 1.4e-8.
EXPM1_OF_DOUBLE = (
    8.8848076e-2,
    2.6772951e-1,
    6.6667521e-1,
    1.3333235,
    1.9999999,
)
# Cephes expf: (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2.
EXPM1 = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
# Cephes logf: (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f < sqrt(2).
LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
# N. Juffa's erff: erf(x) = x + x p(x^2) below ERF_SPLIT, 1 - exp(-x + x q(x)) above it.
ERF_SPLIT = 0.927734375
ERF_LOW = (
    -5.96761703e-4,
    4.99119423e-3,
    -2.67681349e-2,
    1.12819925e-1,
    -3.76125336e-1,
    1.28379166e-1,
)
ERF_HIGH = (
    -1.72853470e-5,
    3.83197126e-4,
    -3.88396438e-3,
    2.42546219e-2,
    -1.06777877e-1,
    -6.34846687e-1,
    -1.28717512e-1,
)


class Lanes:
    """A builder of float32 code whose constants are scalars or vectors, as its operands are."""

    def __init__(self, builder: Any, like: Any) -> None:
        self.b = builder
        self.floats = like.type
        self.vector = isinstance(like.type, ir.VectorType)
        self.ints = INTS if self.vector else I32

    def number(self, value: float) -> Any:
        return ir.Constant(self.floats, [value] * LANES if self.vector else value)

    def integer(self, value: int) -> Any:
        return ir.Constant(self.ints, [value] * LANES if self.vector else value)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return emit_fma(self.b, a, b, c)

    def polynomial(self, x: Any, coefficients: tuple[float, ...]) -> Any:
        """Horner's rule, highest power first."""
        result = self.number(coefficients[0])
        for coefficient in coefficients[1:]:
            result = self.fma(result, x, self.number(coefficient))
        return result

    def absolute(self, x: Any) -> Any:
        return llvm_intrinsic("llvm.fabs")(self.b, x)

    def copy_sign(self, magnitude: Any, sign: Any) -> Any:
        return llvm_intrinsic("llvm.copysign")(self.b, magnitude, sign)

    def bits(self, x: Any) -> Any:
        return self.b.bitcast(x, self.ints)

    def from_bits(self, x: Any) -> Any:
        return self.b.bitcast(x, self.floats)

    def at_most(self, x: Any, limit: float) -> Any:
        """min(x, limit); NaN stays NaN."""
        bound = self.number(limit)
        return self.b.select(self.b.fcmp_ordered("<", bound, x), bound, x)

    def at_least(self, x: Any, limit: float) -> Any:
        bound = self.number(limit)
        return self.b.select(self.b.fcmp_ordered(">", bound, x), bound, x)

    def where(self, x: Any, symbol: str, limit: float, then: Any, otherwise: Any) -> Any:
        """`then` in lanes where x compares so with the limit (never for NaN)."""
        return self.b.select(self.b.fcmp_ordered(symbol, x, self.number(limit)), then, otherwise)


def _nearest_multiple(g: Lanes, x: Any) -> tuple[Any, Any, Any]:
    """x = n ln(2) + r: (bits that end in n, n as float, r); |x| below some hundreds."""
    shifted = g.fma(x, g.number(LOG2_E), g.number(ROUNDER))
    n = g.b.fsub(shifted, g.number(ROUNDER))
    r = g.fma(n, g.number(-LN2_HIGH), x)
    r = g.fma(n, g.number(-LN2_LOW), r)
    return g.bits(shifted), n, r


def _power_of_two(g: Lanes, exponent: Any) -> Any:
    return g.from_bits(g.b.shl(g.b.add(exponent, g.integer(127)), g.integer(23)))


def _scale(g: Lanes, y: Any, bits: Any, n: Any) -> Any:
    """y * 2^n, rounded once: in two steps, or by AVX-512's instruction for it.

    The low bits of ``bits`` are n: what is above them leaves on the left.
    """
    if HAS_SCALEF:
        return _scalef(g, y, n)
    half = g.b.shl(g.b.and_(bits, g.integer(-2)), g.integer(22))
    rest = g.b.sub(g.b.shl(bits, g.integer(23)), half)
    for exponent in (half, rest):
        y = g.b.fmul(y, g.from_bits(g.b.add(exponent, g.integer(127 << 23))))
    return y


def _scalef(g: Lanes, y: Any, n: Any) -> Any:
    current_rounding = I32(4)
    if g.vector:
        everywhere = ir.IntType(16)(-1)
        args = [y, n, y, everywhere, current_rounding]
        return call_named(g.b, "llvm.x86.avx512.mask.scalef.ps.512", g.floats, args)
    four = ir.VectorType(FLOAT, 4)
    undefined = ir.Constant(four, ir.Undefined)
    low = [g.b.insert_element(undefined, value, I32(0)) for value in (y, n)]
    args = [low[0], low[1], low[0], I8(-1), current_rounding]
    result = call_named(g.b, "llvm.x86.avx512.mask.scalef.ss", four, args)
    return g.b.extract_element(result, I32(0))


def _exp_minus_one(g: Lanes, r: Any) -> Any:
    """exp(r) - 1 for |r| <= ln(2) / 2."""
    return g.fma(g.polynomial(r, EXPM1), g.b.fmul(r, r), r)


def emit_exp(builder: Any, x: Any) -> Any:
    g = Lanes(builder, x)
    x = g.at_most(g.at_least(x, -105.0), 89.0)
    bits, n, r = _nearest_multiple(g, x)
    return _scale(g, g.polynomial(r, EXP), bits, n)


def emit_expm1(builder: Any, x: Any) -> Any:
    g = Lanes(builder, x)
    bounded = g.at_most(g.at_least(x, -20.0), 89.0)
    return g.copy_sign(_expm1_bounded(g, bounded), x)


def _expm1_bounded(g: Lanes, x: Any) -> Any:
    """2 (2^(n-1) (exp(r) - 1) + 2^(n-1) - 1/2): halves keep n = 128 in range."""
    bits, _, r = _nearest_multiple(g, x)
    exponent = g.b.sub(bits, g.integer(ROUNDER_BITS + 1))
    half = _power_of_two(g, exponent)
    less = g.b.fsub(half, g.number(0.5))
    return g.b.fmul(g.fma(_exp_minus_one(g, r), half, less), g.number(2.0))


def emit_log(builder: Any, x: Any) -> Any:
    g = Lanes(builder, x)
    tiny = builder.fcmp_ordered("<", x, g.number(SMALLEST_NORMAL))
    normal = builder.select(tiny, builder.fmul(x, g.number(2.0**23)), x)
    shift = builder.select(tiny, g.number(-23.0), g.number(0.0))
    result = _log_normal(g, normal, shift)
    result = g.where(x, "<", INFINITY, result, x)
    result = g.where(x, "==", 0.0, g.number(-INFINITY), result)
    return g.where(x, "<", 0.0, g.number(math.nan), result)


def _log_normal(g: Lanes, x: Any, shift: Any = None) -> Any:
    """log(x 2^shift) for positive normal x; anything for other x."""
    bits = g.bits(x)
    exponent = g.b.ashr(g.b.sub(bits, g.integer(ROOT_HALF_BITS)), g.integer(23))
    fraction = g.from_bits(g.b.sub(bits, g.b.shl(exponent, g.integer(23))))
    e = g.b.sitofp(exponent, g.floats)
    if shift is not None:
        e = g.b.fadd(e, shift)
    return _log_from_parts(g, g.b.fsub(fraction, g.number(1.0)), e)


def _log_from_parts(g: Lanes, f: Any, e: Any) -> Any:
    """log((1 + f) 2^e)."""
    square = g.b.fmul(f, f)
    y = g.b.fmul(g.b.fmul(g.polynomial(f, LOG), f), square)
    y = g.fma(e, g.number(LN2_LOW), y)
    y = g.fma(g.number(-0.5), square, y)
    return g.fma(e, g.number(LN2_HIGH), g.b.fadd(f, y))


def emit_log1p(builder: Any, x: Any) -> Any:
    g = Lanes(builder, x)
    result = g.where(x, "<", INFINITY, _log1p_inside(g, x), x)
    result = g.where(x, "==", -1.0, g.number(-INFINITY), result)
    result = g.where(x, "<", -1.0, g.number(math.nan), result)
    return g.where(x, "==", 0.0, x, result)  # keeps the sign of -0


def _log1p_inside(g: Lanes, x: Any) -> Any:
    """log(u) + (x - (u - 1)) / u with u = 1 + x: the second term is what rounding u lost.

    For -1 < x < infinity.
    """
    one = g.number(1.0)
    u = g.b.fadd(x, one)
    lost = g.b.fsub(x, g.b.fsub(u, one))
    return g.b.fadd(_log_normal(g, u), g.b.fdiv(lost, u))


def emit_tanh(builder: Any, x: Any) -> Any:
    """t / (t + 2) with t = exp(2 |x|) - 1 = 2^n (2 s + s^2 q(s)) + 2^n - 1, |x| = n ln(2) / 2 + s.

    Where n is so large that rounding ln(2) tells, the result is nearly 1: it tells there no more.
    """
    g = Lanes(builder, x)
    size = g.at_most(g.absolute(x), 10.0)
    shifted = g.fma(size, g.number(2 * LOG2_E), g.number(ROUNDER))
    s = g.fma(builder.fsub(shifted, g.number(ROUNDER)), g.number(-LN2 / 2), size)
    power = _power_of_two(g, g.bits(shifted))
    scaled = builder.fmul(s, power)
    t = g.fma(scaled, g.number(2.0), builder.fsub(power, g.number(1.0)))
    t = g.fma(g.polynomial(s, EXPM1_OF_DOUBLE), builder.fmul(s, scaled), t)
    result = builder.fdiv(t, builder.fadd(t, g.number(2.0)))
    sign = builder.and_(g.bits(x), g.integer(SIGN))
    return g.from_bits(builder.or_(g.bits(result), sign))


def emit_sigmoid(builder: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)); what exp(-x) is beyond 2^-126 and 2^128 makes no difference."""
    g = Lanes(builder, x)
    one = g.number(1.0)
    x = g.at_most(g.at_least(x, -89.0), 87.0)
    shifted = g.fma(x, g.number(-LOG2_E), g.number(ROUNDER))
    n = builder.fsub(shifted, g.number(ROUNDER))
    less = g.fma(n, g.number(LN2_LOW), g.fma(n, g.number(LN2_HIGH), x))
    odd = tuple(c if i % 2 == 0 else -c for i, c in enumerate(EXP))
    small = builder.fmul(g.polynomial(less, odd), _power_of_two(g, g.bits(shifted)))
    return builder.fdiv(one, builder.fadd(one, small))


def emit_softplus(builder: Any, x: Any) -> Any:
    """max(x, 0) + log1p(exp(-|x|)): never overflows."""
    g = Lanes(builder, x)
    small = emit_exp(builder, builder.fneg(g.absolute(x)))
    result = builder.fadd(g.at_least(x, 0.0), _log1p_inside(g, small))
    return builder.select(emit_is_nan(builder, x), x, result)


def emit_erf(builder: Any, x: Any) -> Any:
    g = Lanes(builder, x)
    size = g.absolute(x)
    low = g.fma(g.polynomial(builder.fmul(x, x), ERF_LOW), x, x)
    bounded = g.at_most(size, 5.0)
    exponent = builder.fsub(builder.fmul(g.polynomial(bounded, ERF_HIGH), bounded), bounded)
    high = builder.fsub(g.number(1.0), emit_exp(builder, exponent))
    return g.where(size, ">", ERF_SPLIT, g.copy_sign(high, x), low)


def emit_rsqrt(builder: Any, x: Any) -> Any:
    one = Lanes(builder, x).number(1.0)
    return builder.fdiv(one, llvm_intrinsic("llvm.sqrt")(builder, x))


def emit_erf_inverse(builder: Any, x: Any) -> Any:
    g, one = Lanes(builder, x), Lanes(builder, x).number(1.0)
    w = builder.fneg(emit_log(builder, builder.fmul(builder.fsub(one, x), builder.fadd(one, x))))
    centre = g.polynomial(builder.fsub(w, g.number(CENTRE_AT)), CENTRE)
    root = llvm_intrinsic("llvm.sqrt")(builder, w)
    tail = g.polynomial(builder.fsub(root, g.number(TAIL_AT)), TAIL)
    factor = g.where(w, "<", TAIL_FROM, centre, tail)
    factor = g.where(w, "==", INFINITY, g.number(INFINITY), factor)
    return builder.fmul(factor, x)
