"""Sums, products and extremes over the lanes of one vector, in one order; calls lane by lane."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .simd_arithmetic import emit_maximum, emit_minimum, named_intrinsic
from .simd_types import F32V, FLOAT, I1, I32, LANES, MASK, Emit, call_named, lane_constant


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


def _across_mask(base: str) -> Emit:
    return lambda builder, mask: call_named(builder, f"{base}.v{LANES}i1", I1, [mask])


def _any_all(name: str, emit: Emit) -> Any:
    def typing(context: Any, m: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return types.boolean(MASK), lower

    return named_intrinsic(name, 1, typing)


def emit_lane_calls(builder: Any, c_name: str, operands: list[Any]) -> Any:
    """The C library's `c_name`f of every lane of the operands."""
    return builder.call(_lane_loop(builder.module, c_name, len(operands)), operands)


def _lane_loop(module: Any, c_name: str, arity: int) -> Any:
    """A function of the module that applies `c_name`f to every lane; one for all its uses."""
    name = f"keraunos.lanes.{c_name}"
    if name in module.globals:
        return module.globals[name]
    vector = ir.VectorType(FLOAT, LANES)
    function = ir.Function(module, ir.FunctionType(vector, [vector] * arity), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    entry = builder.block
    loop, done = function.append_basic_block("loop"), function.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    lane, result = builder.phi(I32), builder.phi(vector)
    lane.add_incoming(I32(0), entry)
    result.add_incoming(ir.Constant(vector, ir.Undefined), entry)
    operands = [builder.extract_element(argument, lane) for argument in function.args]
    value = call_named(builder, c_name + "f", FLOAT, operands)
    following, filled = builder.add(lane, I32(1)), builder.insert_element(result, value, lane)
    lane.add_incoming(following, loop)
    result.add_incoming(filled, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, I32(LANES)), loop, done)
    builder.position_at_end(done)
    builder.ret(filled)
    return function


sum_lanes = _across("sum_lanes", lambda b, x, y: b.fadd(x, y))
prod_lanes = _across("prod_lanes", lambda b, x, y: b.fmul(x, y))
max_lanes = _across("max_lanes", emit_maximum)
min_lanes = _across("min_lanes", emit_minimum)
emit_any_lanes = _across_mask("llvm.vector.reduce.or")
emit_all_lanes = _across_mask("llvm.vector.reduce.and")
any_lanes = _any_all("any_lanes", emit_any_lanes)
all_lanes = _any_all("all_lanes", emit_all_lanes)
