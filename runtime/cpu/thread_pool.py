"""The thread pool: workers that help the calling thread, which never waits for late ones.

The calling thread, the leader, does the work itself; workers join if they come in time. A worker
that the operating system has preempted is not waited for, so programs of a few microseconds stay
fast on a busy machine. One run has the pool at a time; a second one, started meanwhile by another
Python thread, runs on its caller alone, so that concurrent callers do not compete for cores.

OpenMP would start a region as fast on an idle machine, but its regions end only when all of their
threads have come: on two busy cores that is a scheduler's time slice, milliseconds, for every call.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..native.stacks import WORKER_BYTES, start_thread
from .table_layout import POOL_WORDS
from .toolchain import KERNELS

Kernel = Callable[[int, int, int], None]
Words = NDArray[np.int64]


def bind_kernel(address: int) -> Kernel:
    """The kernel at `address` as a Python function `(args address, thread, threads)`.

    The interpreter lock is released while it runs.
    """
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(address)


def aligned_words(count: int) -> Words:
    """`count` zeros that start on a cache line."""
    raw = np.zeros(count + 8, np.int64)
    skip = -raw.ctypes.data % 64 // 8
    return raw[skip : skip + count]


@cache
def _text_kernel(name: str) -> Kernel:
    return bind_kernel(KERNELS.load(Path(__file__).with_name(name).read_text()).address)


class ThreadPool:
    """Workers that wait for runs: first spinning for some 100 us, then asleep."""

    def __init__(self) -> None:
        self._words = aligned_words(POOL_WORDS)
        self._address = self._words.ctypes.data
        self._leader = _text_kernel("pool_leader.py")
        self._busy = threading.Lock()
        self._workers = 0

    def run(self, header: int, threads: int) -> None:
        """Runs the table at address `header` on at most `threads` threads, this one included."""
        if threads <= 1 or not self._busy.acquire(blocking=False):
            self._leader(0, header, 1)
            return
        try:
            if self._workers < threads - 1:
                self._grow(threads - 1)
            self._leader(self._address, header, threads)
        finally:
            self._busy.release()

    def _grow(self, workers: int) -> None:
        """Starts threads; they die with the process and never touch Python objects."""
        wait = _text_kernel("pool_worker.py")
        for number in range(self._workers + 1, workers + 1):
            start_thread(wait, (self._address, number, 0), WORKER_BYTES)
        self._workers = workers


class _Current:
    """This process's pool: a child of a fork has none of its parent's threads and starts anew."""

    def __init__(self) -> None:
        self.pool: ThreadPool | None = None
        self.lock = threading.Lock()

    def forget(self) -> None:
        self.pool = None
        self.lock = threading.Lock()

    def get(self) -> ThreadPool:
        with self.lock:
            if self.pool is None:
                self.pool = ThreadPool()
            return self.pool


_current = _Current()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_current.forget)


def current_pool() -> ThreadPool:
    """The thread pool of this process, made at its first use."""
    pool = _current.pool
    return _current.get() if pool is None else pool
