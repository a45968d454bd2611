"""Sums, products and extremes over the lanes of one vector, always in the same order."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .simd_arithmetic import emit_maximum, emit_minimum, named_intrinsic
from .simd_types import F32V, I1, I32, LANES, MASK, Emit, call_named, lane_constant


def _across(name: str, emit: Emit) -> Any:
    """Fold the lanes by halves (lane k with lane k + LANES/2, and so on): always the same order."""

    def typing(context: Any, a: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            (value,) = args
            width = LANES
            while width > 1:
                width //= 2
                low = _lanes(builder, value, 0, width)
                value = emit(builder, low, _lanes(builder, value, width, width))
            return builder.extract_element(value, I32(0))

        return types.float32(F32V), lower

    return named_intrinsic(name, 1, typing)


def _lanes(builder: Any, value: Any, start: int, count: int) -> Any:
    undefined = ir.Constant(value.type, ir.Undefined)
    return builder.shuffle_vector(
        value, undefined, lane_constant(list(range(start, start + count)))
    )


def _any_all(name: str, base: str) -> Any:
    def typing(context: Any, m: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return call_named(builder, f"{base}.v{LANES}i1", I1, [args[0]])

        return types.boolean(MASK), lower

    return named_intrinsic(name, 1, typing)


sum_lanes = _across("sum_lanes", lambda b, x, y: b.fadd(x, y))
prod_lanes = _across("prod_lanes", lambda b, x, y: b.fmul(x, y))
max_lanes = _across("max_lanes", emit_maximum)
min_lanes = _across("min_lanes", emit_minimum)
any_lanes = _any_all("any_lanes", "llvm.vector.reduce.or")
all_lanes = _any_all("all_lanes", "llvm.vector.reduce.and")
