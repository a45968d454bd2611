"""Small kernels that no cache has, each of which writes a number of its own."""

from __future__ import annotations

import ctypes

import numpy as np

from keraunos.runtime.kernels import LoadedKernel

SOURCE = """
from keraunos.runtime.cpu.simd import get, kernel_jit, pointer_i64, put
@kernel_jit
def kernel(args, thread, threads):
    put(pointer_i64(args[0]), 0, {number})
"""


_numbers = iter(range(10**6, 10**9))


def fresh(template: str = SOURCE) -> tuple[str, int]:
    """A kernel this process has not loaded, and the number that it writes."""
    number = next(_numbers)
    return template.format(number=number), number


def result(kernel: LoadedKernel, dtype: type = np.int64) -> float:
    out = np.zeros(1, dtype)
    args = np.array([out.ctypes.data])
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    prototype(kernel.address)(args.ctypes.data, 0, 1)
    return float(out[0])
