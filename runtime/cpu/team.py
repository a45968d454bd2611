"""The team: threads that help whoever runs a program, and never hold it up.

The calling thread does the work itself; members of the team join if they come in time. A member
that the operating system has put aside is not waited for, which is what makes programs of a few
microseconds fast on a machine that does other things too. One run has the team at a time; a second
one, started meanwhile by another Python thread, is done by its caller alone, so that concurrent
callers do not fight for cores.

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

from .stacks import MEMBER_BYTES, start_thread
from .table_layout import TEAM_WORDS
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


class Team:
    """Members that wait for runs: first spinning for some 100 us, then asleep."""

    def __init__(self) -> None:
        self._words = aligned_words(TEAM_WORDS)
        self._address = self._words.ctypes.data
        self._lead = _text_kernel("team_lead.py")
        self._busy = threading.Lock()
        self._members = 0

    def run(self, header: int, threads: int) -> None:
        """Walks the table at address `header` with at most `threads` threads, this one included."""
        if threads <= 1 or not self._busy.acquire(blocking=False):
            self._lead(0, header, 1)
            return
        try:
            if self._members < threads - 1:
                self._grow(threads - 1)
            self._lead(self._address, header, threads)
        finally:
            self._busy.release()

    def _grow(self, members: int) -> None:
        """Starts threads; they die with the process and never touch Python objects."""
        wait = _text_kernel("team_member.py")
        for number in range(self._members + 1, members + 1):
            start_thread(wait, (self._address, number, 0), f"keraunos-{number}", MEMBER_BYTES)
        self._members = members


class _Current:
    """This process's team: a child of a fork has none of its parent's threads and starts anew."""

    def __init__(self) -> None:
        self.team: Team | None = None
        self.lock = threading.Lock()

    def forget(self) -> None:
        self.team = None
        self.lock = threading.Lock()

    def get(self) -> Team:
        with self.lock:
            if self.team is None:
                self.team = Team()
            return self.team


_current = _Current()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_current.forget)


def current_team() -> Team:
    """The team of this process, made when first asked for."""
    team = _current.team
    return _current.get() if team is None else team
