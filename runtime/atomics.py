"""What kernels that coordinate threads need: atomics, a spin barrier, calls by address, a clock."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd_types import I32, I64, call_named

SPINS = 4000
"""Turns a thread spins in a barrier before it offers its core to others (some 50 to 200 us)."""

WORDS = types.CPointer(types.int64)
X86_PAUSE = "llvm.x86.sse2.pause"


def _atomic_add(context: Any, p: Any, i: Any, v: Any) -> Any:
    """Add to p[i] in one step and return what was there before."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        return builder.atomic_rmw("add", address, args[2], "acq_rel")

    return types.int64(WORDS, types.int64, types.int64), lower


def _atomic_load(context: Any, p: Any, i: Any) -> Any:
    """p[i], and everything its writer had written before."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.gep(args[0], [args[1]]), "acquire", 8)

    return types.int64(WORDS, types.int64), lower


def _pause(context: Any) -> Any:
    """Tell the core that it is waiting in a loop."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if "x86" in str(builder.module.triple):
            call_named(builder, X86_PAUSE, ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), lower


def _yield_thread(context: Any) -> Any:
    """Offer the core to another thread."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        call_named(builder, "sched_yield", I32, [])
        return context.get_dummy_value()

    return types.void(), lower


def _clock(context: Any) -> Any:
    """Nanoseconds of the monotonic clock."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        time = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
        first = builder.bitcast(time, I64.as_pointer())
        call_named(builder, "clock_gettime", I32, [I32(1), first])
        seconds = builder.load(first)
        nanoseconds = builder.load(builder.gep(first, [I64(1)]))
        return builder.add(builder.mul(seconds, I64(1_000_000_000)), nanoseconds)

    return types.int64(), lower


def _call_kernel(context: Any, address: Any, args: Any, thread: Any, threads: Any) -> Any:
    """Call the kernel at `address`."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel_type = ir.FunctionType(ir.VoidType(), [I64.as_pointer(), I64, I64])
        kernel = builder.inttoptr(values[0], kernel_type.as_pointer())
        builder.call(kernel, values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, WORDS, types.int64, types.int64), lower


def _call_integer(context: Any, address: Any) -> Any:
    """Call the C function `int f(void)` at `address`."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(I32, [])
        function = builder.inttoptr(values[0], function_type.as_pointer())
        return builder.sext(builder.call(function, []), I64)

    return types.int64(types.int64), lower


def _shift_pointer(context: Any, p: Any, i: Any) -> Any:
    """The pointer to element i."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return p(p, types.int64), lower


def _named(function: Any) -> Any:
    function.__name__ = function.__qualname__ = function.__name__.lstrip("_")
    return intrinsic(function)


atomic_add = _named(_atomic_add)
atomic_load = _named(_atomic_load)
pause = _named(_pause)
yield_thread = _named(_yield_thread)
clock = _named(_clock)
call_kernel = _named(_call_kernel)
call_integer = _named(_call_integer)
shift_pointer = _named(_shift_pointer)


@njit(error_model="numpy")
def barrier(arrivals: Any, goal: int) -> None:
    """Count this thread in and wait until arrivals[0] reaches `goal`.

    The counter only grows: the k-th barrier of a team of n threads waits for k * n.
    """
    if atomic_add(arrivals, 0, 1) + 1 >= goal:
        return
    spins = 0
    while atomic_load(arrivals, 0) < goal:
        if spins < SPINS:
            spins += 1
            pause()
        else:
            yield_thread()
