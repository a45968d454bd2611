"""The parallel region itself: the one function here that Numba compiles with `parallel=True`.

It depends on nothing but the intrinsics spelled out in `parallel`, and changes when they do not;
Numba's own on-disk cache therefore serves (its index looks at this file alone).
"""

from __future__ import annotations

from numba import njit, prange

from .parallel import call_kernel
from .simd_memory import get, put
from .simd_types import pointer_i64


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def run_team(walker: int, header: int, sync: int, threads: int) -> int:
    """Call kernel `walker` once in each of `threads` threads; returns the walker's verdict word."""
    words = pointer_i64(sync)
    put(words, 0, 0)
    put(words, 16, 0)
    put(words, 32, 0)
    for thread in prange(threads):
        call_kernel(walker, pointer_i64(header), thread, threads)
    return get(words, 32)


@njit(nogil=True, cache=True, error_model="numpy")
def run_alone(walker: int, header: int) -> None:
    """Call kernel `walker` in this thread, as a team of one."""
    call_kernel(walker, pointer_i64(header), 0, 1)
