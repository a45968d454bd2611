"""The vocabulary of kernels for GPUs: places in a grid, memory, barriers, shuffles, arithmetic.

    from keraunos.runtime.cuda.vocabulary import get, gpu_kernel, pointer_f32, put, thread_index

    @gpu_kernel(arguments=2, threads=256)
    def kernel(args):
        x = pointer_f32(args[0])
        ...

What depends on the machine is a call of a function by name, `keraunos_barrier` and its like, which
has two definitions: for a GPU (`ptx.py`) and for the emulator (`emulated_module.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from ..native.simd_arithmetic import (
    absolute,
    ceil,
    clamp_high,
    clamp_low,
    copysign,
    floor,
    fma,
    is_nan,
    left_shift,
    maximum,
    minimum,
    right_shift,
    round,
    select,
    sqrt,
    sum_error,
    to_bool,
    to_float32,
    to_float64,
    to_int8,
    to_int32,
    to_int64,
    to_uint8,
    truncate,
)
from ..native.simd_halves import (
    BF16,
    F16,
    emit_narrowed,
    emit_widened,
    to_bfloat16,
    to_float16,
)
from ..native.simd_memory import expect_stored, number_at
from ..native.simd_random import uniform
from ..native.simd_types import (
    DOUBLE,
    FLOAT,
    I8,
    I32,
    I64,
    call_named,
    expect_pointer,
    named,
    scalar,
)
from ..native.vecmath import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    erf,
    erf_inverse,
    exp,
    expm1,
    floor_divide,
    log,
    log1p,
    mod,
    power,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
)

SIGNATURE = types.void(types.CPointer(types.int64))
"""Every kernel: `(args)`, addresses and sizes as int64."""

GLOBAL, SHARED = 1, 3  # address spaces of a GPU
FOUR = types.UniTuple(types.float32, 4)


@dataclass(frozen=True)
class GpuKernel:
    """What `gpu_kernel` makes of a function: not compiled until somebody asks."""

    function: Callable[[Any], None]
    arguments: int
    threads: int


def gpu_kernel(arguments: int, threads: int) -> Callable[[Callable[[Any], None]], GpuKernel]:
    """Mark `function(args)` as a kernel of so many arguments, run by blocks of so many threads."""
    return lambda function: GpuKernel(function, arguments, threads)


# --- where a thread is ----------------------------------------------------------------------


def _place(name: str) -> Any:
    def typing(context: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return call_named(builder, f"keraunos_{name}", I64, [])

        return types.int64(), lower

    return named(typing, name)


block_index = _place("block_index")
block_count = _place("block_count")
thread_index = _place("thread_index")
thread_count = _place("thread_count")


def _barrier(context: Any) -> Any:
    """Wait for all threads of the block, which then see what the others have written."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        call_named(builder, "keraunos_barrier", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), lower


barrier = named(_barrier)


def _at(context: Any, line: Any) -> Any:
    """The line of the text that is run from here on; a GPU does not care."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        call_named(builder, "keraunos_at", ir.VoidType(), [args[0]])
        return context.get_dummy_value()

    return types.void(types.int64), lower


at = named(_at)


# --- shuffles -------------------------------------------------------------------------------

SHUFFLED = (types.float32, types.float64, types.int32, types.int64)


def _shuffle(name: str) -> Any:
    """Exchange a value with a lane of the warp; all of its 32 lanes take part."""

    def typing(context: Any, value: Any, distance: Any) -> Any:
        number = scalar(value)
        if number not in SHUFFLED:
            raise TypingError(f"{name}: expected one of {SHUFFLED}, got {value}")

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            distance = builder.trunc(args[1], I32)
            return _exchanged(builder, f"keraunos_{name}", args[0], distance)

        return number(number, types.int64), lower

    return named(typing, name)


def _exchanged(builder: Any, name: str, value: Any, distance: Any) -> Any:
    kind = value.type
    if kind in (I32, FLOAT):
        word = builder.bitcast(value, I32)
        return builder.bitcast(call_named(builder, name, I32, [word, distance]), kind)
    bits = builder.bitcast(value, I64)
    halves = [builder.trunc(builder.lshr(bits, I64(shift)), I32) for shift in (0, 32)]
    low, high = (call_named(builder, name, I32, [half, distance]) for half in halves)
    upper = builder.shl(builder.zext(high, I64), I64(32))
    return builder.bitcast(builder.or_(builder.zext(low, I64), upper), kind)


shuffle_xor = _shuffle("shuffle_xor")
shuffle_down = _shuffle("shuffle_down")


# --- memory ---------------------------------------------------------------------------------


def _pointer(name: str, target: Any) -> Any:
    """The address of memory that all blocks see as a pointer."""
    pointer = types.CPointer(target)

    def typing(context: Any, address: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            plain = context.get_value_type(pointer)
            there = ir.PointerType(plain.pointee, GLOBAL)
            return builder.addrspacecast(builder.inttoptr(args[0], there), plain)

        return pointer(types.int64), lower

    return named(typing, name)


pointer_f32 = _pointer("pointer_f32", types.float32)
pointer_f64 = _pointer("pointer_f64", types.float64)
pointer_f16 = _pointer("pointer_f16", F16)
pointer_bf16 = _pointer("pointer_bf16", BF16)
pointer_i8 = _pointer("pointer_i8", types.int8)
pointer_i32 = _pointer("pointer_i32", types.int32)
pointer_i64 = _pointer("pointer_i64", types.int64)
pointer_u8 = _pointer("pointer_u8", types.uint8)


def _shared(name: str, target: Any, element: Any, size: int) -> Any:
    """An array of so many elements, a literal, that the threads of a block share."""

    def typing(context: Any, count: Any) -> Any:
        if not isinstance(count, types.IntegerLiteral):
            raise TypingError(f"{name}: expected a literal number of elements, got {count}")
        length = count.literal_value

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = ir.ArrayType(element, length)
            unique = builder.module.get_unique_name("shared_array")
            memory = ir.GlobalVariable(builder.module, array, unique, addrspace=SHARED)
            memory.linkage, memory.align = "internal", 16
            memory.initializer = ir.Constant(array, ir.Undefined)
            pointer = builder.addrspacecast(memory, ir.PointerType(element))
            tell(builder, "keraunos_shared", pointer, length * size)
            return pointer

        return types.CPointer(target)(count), lower

    return named(typing, name)


shared_f32 = _shared("shared_f32", types.float32, FLOAT, 4)
shared_f64 = _shared("shared_f64", types.float64, DOUBLE, 8)
shared_i32 = _shared("shared_i32", types.int32, I32, 4)
shared_i64 = _shared("shared_i64", types.int64, I64, 8)


def tell(builder: Any, name: str, pointer: Any, size: int) -> None:
    """Say to the emulator what is about to be done with memory."""
    address = builder.bitcast(pointer, I8.as_pointer())
    call_named(builder, name, ir.VoidType(), [address, I64(size)])


def _get(context: Any, p: Any, i: Any) -> Any:
    """Element i."""
    expect_pointer("get", p)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        tell(builder, "keraunos_reads", address, _bytes(context, p))
        return emit_widened(builder, p.dtype, builder.load(address))

    return number_at(p)(p, types.int64), lower


def _put(context: Any, p: Any, i: Any, x: Any) -> Any:
    """Write element i; x is converted to the pointer's type."""
    expect_stored("put", p, x)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        tell(builder, "keraunos_writes", address, _bytes(context, p))
        builder.store(emit_narrowed(builder, p.dtype, args[2]), address)
        return context.get_dummy_value()

    return types.void(p, types.int64, number_at(p)), lower


def _bytes(context: Any, pointer: Any) -> int:
    return int(context.get_abi_sizeof(context.get_data_type(pointer.dtype)))


get = named(_get)
put = named(_put)

__all__ = [
    "GpuKernel", "SIGNATURE", "at", "gpu_kernel",
    "block_count", "block_index", "thread_count", "thread_index",
    "barrier", "shuffle_down", "shuffle_xor",
    "pointer_bf16", "pointer_f16", "pointer_f32", "pointer_f64",
    "pointer_i8", "pointer_i32", "pointer_i64", "pointer_u8",
    "shared_f32", "shared_f64", "shared_i32", "shared_i64",
    "get", "put",
    "absolute", "ceil", "clamp_high", "clamp_low", "copysign", "floor", "fma", "is_nan",
    "left_shift", "maximum", "minimum", "right_shift", "round", "select", "sqrt", "sum_error",
    "truncate",
    "to_bfloat16", "to_bool", "to_float16", "to_float32", "to_float64",
    "to_int8", "to_int32", "to_int64", "to_uint8",
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "erf",
    "erf_inverse", "exp", "expm1", "floor_divide", "log", "log1p", "mod", "power", "rsqrt",
    "sigmoid", "sin", "sinh", "softplus", "tan", "tanh",
    "uniform",
]  # fmt: skip
