"""Teams of threads: a C function called once in each of n threads at the same time.

OpenMP's own entry is called directly. A region then costs 2 us, each Python thread has a team of
its own, and every member learns from OpenMP how many came: a barrier that counts on a setting
deadlocks when a limit or a nested region leaves the team smaller.
"""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

LIBRARIES = ("libgomp.so.1", "libomp.so.5", "libomp.so")

Kernel = Callable[[int, int, int], None]


class ForkError(RuntimeError):
    """Threads were used before a fork, and the child asks for them again."""


@dataclass(frozen=True)
class OpenMP:
    """The thread pool of the C library.

    Attributes:
        run: `(member, argument, threads, flags)`: calls the C function at address `member` with
            `argument` in `threads` threads (perhaps fewer) and waits for all.
        thread_number, team_size: addresses of `int f(void)`, to be called inside.
    """

    run: Callable[[int, int, int, int], None]
    thread_number: int
    team_size: int


@cache
def openmp() -> OpenMP | None:
    """OpenMP, or None with one warning where it is not installed."""
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            run = library.GOMP_parallel
        except (OSError, AttributeError):
            continue
        run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        run.restype = None
        return OpenMP(
            run, _address(library.omp_get_thread_num), _address(library.omp_get_num_threads)
        )
    warnings.warn(
        "OpenMP (libgomp.so.1) is missing: parallel programs use Python threads, which start some "
        "20 times slower and run one program at a time. Install it with `apt install libgomp1`, "
        "`dnf install libgomp` or `conda install libgomp`.",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def bind_kernel(address: int) -> Kernel:
    """The kernel at `address` as a Python function `(args address, thread, threads)`.

    The interpreter lock is released while it runs.
    """
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(address)


class PythonTeam:
    """Threads of Python's, for machines without OpenMP; one team at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers = 0
        self._executor: ThreadPoolExecutor | None = None

    def run(self, kernel: Kernel, argument: int, threads: int) -> None:
        """Call `kernel(argument, thread, threads)` in every thread at the same time."""
        with self._lock:
            executor = self._sized(threads - 1)
            others = [executor.submit(kernel, argument, k, threads) for k in range(1, threads)]
            kernel(argument, 0, threads)
            for other in others:
                other.result()

    def _sized(self, workers: int) -> ThreadPoolExecutor:
        if self._executor is None or self._workers < workers:
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="keraunos")
            self._workers = workers
        return self._executor


class _ForkWatch:
    """Whether threads were used, and whether this process was forked since."""

    def __init__(self) -> None:
        self.used = False
        self.lost = False

    def note_fork(self) -> None:
        self.lost = self.lost or self.used


_watch = _ForkWatch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch.note_fork)


def check_fork() -> None:
    """To be called before a team is used.

    Raises:
        ForkError: this is the child of a fork, and its parent had used threads.
    """
    if _watch.lost:
        raise ForkError(
            "this process was forked after its parent had run a program on several threads, and "
            "OpenMP's threads do not survive a fork. Start workers with "
            'multiprocessing.get_context("spawn"), or set KERAUNOS_THREADS=1 in them.'
        )
    _watch.used = True
