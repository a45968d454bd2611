"""The vocabulary of generated kernels: pointers, vector loads and stores, arithmetic.

    from keraunos.runtime.cpu.simd import LANES, first, kernel_jit, load, pointer_f32, store

    @kernel_jit
    def kernel(args, thread, threads):
        x = pointer_f32(args[0])
        ...

Everything is an intrinsic (LLVM instructions inserted where the name stands), which keeps Numba's
compile time low. Transcendental functions are in `vecmath`.
"""

from __future__ import annotations

from ..native import simd_operators  # noqa: F401  (registers the operators)
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
    mask_to_float,
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
from ..native.simd_halves import pointer_bf16, pointer_f16, to_bfloat16, to_float16
from ..native.simd_lanes import all_lanes, any_lanes, max_lanes, min_lanes, prod_lanes, sum_lanes
from ..native.simd_memory import (
    first,
    get,
    load,
    load_mask,
    load_masked,
    load_splat,
    load_strided,
    prefetch,
    put,
    splat,
    store,
    store_mask,
    store_masked,
    store_strided,
    transpose,
)
from ..native.simd_random import count_lanes, uniform, uniform_lanes
from ..native.simd_types import (
    F32V,
    LANES,
    MASK,
    SIGNATURE,
    pointer_f32,
    pointer_f64,
    pointer_i8,
    pointer_i32,
    pointer_i64,
    pointer_u8,
)
from .kernel_compiler import KernelFunction, kernel_jit

__all__ = [
    "F32V", "LANES", "MASK", "SIGNATURE", "KernelFunction", "kernel_jit",
    "pointer_bf16", "pointer_f16", "pointer_f32", "pointer_f64",
    "pointer_i8", "pointer_i32", "pointer_i64", "pointer_u8",
    "load", "load_mask", "load_masked", "load_splat", "load_strided",
    "store", "store_mask", "store_masked", "store_strided", "transpose",
    "first", "get", "prefetch", "put", "splat",
    "absolute", "ceil", "clamp_high", "clamp_low", "copysign", "floor", "fma", "is_nan",
    "left_shift", "mask_to_float", "maximum", "minimum", "right_shift", "round", "select", "sqrt",
    "sum_error", "truncate",
    "to_bfloat16", "to_bool", "to_float16", "to_float32", "to_float64",
    "to_int8", "to_int32", "to_int64", "to_uint8",
    "all_lanes", "any_lanes", "max_lanes", "min_lanes", "prod_lanes", "sum_lanes",
    "count_lanes", "uniform", "uniform_lanes",
]  # fmt: skip
