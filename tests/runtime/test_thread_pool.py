"""The thread pool: workers that help, come late, never come, are busy, or are lost in a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keraunos.runtime.cpu import thread_pool
from keraunos.runtime.cpu.dispatcher import Dispatch
from keraunos.runtime.cpu.thread_pool import ThreadPool, current_pool
from keraunos.runtime.cpu.toolchain import KERNELS

from .conftest import kernel_source

REVERSE = """
x = pointer_i64(args[0])
y = pointer_i64(args[1])
for i in range(thread * 100 // threads, (thread + 1) * 100 // threads):
    put(y, i, get(x, 99 - i) + 1)
"""
# Counts its calls, each so long that others have time to come in.
SLOW = """
x = pointer_i64(args[0])
for i in range(300000):
    put(x, 1, get(x, 1) * 5 + 3 ^ (get(x, 1) // 7))
put(x, 0, get(x, 0) + 1)
"""
PROGRAM = """
import os, sys, threading
import numpy as np
from keraunos.runtime.cpu.toolchain import KERNELS
from keraunos.runtime.cpu.dispatcher import Dispatch

SOURCE = '''
from keraunos.runtime.cpu.simd import get, kernel_jit, pointer_i64, put
@kernel_jit
def kernel(args, thread, threads):
    x = pointer_i64(args[0])
    y = pointer_i64(args[1])
    for i in range(thread * 100 // threads, (thread + 1) * 100 // threads):
        put(y, i, get(x, 99 - i) + 1)
'''

def run(threads):
    address = KERNELS.load(SOURCE).address
    x, y = np.arange(100), np.zeros(100, np.int64)
    rows = [[0, 1, address, 2 * (k % 2), 2, 0, 0, 0] for k in range(40)]
    args = [a.ctypes.data for a in (x, y, y, x)]
    Dispatch(np.array(rows), np.array(args), np.zeros(0, np.int64), threads=threads).run()
    return bool(np.array_equal(x, np.arange(100) + 40))
"""
FORK = """
assert run(2)
child = os.fork()
if child == 0:
    ok = run(2) and run(3) and len(os.listdir("/proc/self/task")) == 3
    os._exit(0 if ok else 2)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status or not run(2))
"""
EXIT = "\nsys.exit(0 if run(3) else 1)\n"


def reversing(threads: int, rows: int = 40) -> tuple[Dispatch, np.ndarray]:
    """A dispatch whose rows each depend on all of the one before."""
    address = KERNELS.load(kernel_source(REVERSE)).address
    arrays = np.arange(100), np.zeros(100, np.int64)
    code = [[0, 1, address, 2 * (k % 2), 2, 0, 0, 0] for k in range(rows)]
    args = [arrays[k].ctypes.data for k in (0, 1, 1, 0)]
    dispatch = Dispatch(np.array(code), np.array(args), np.zeros(0, np.int64), threads=threads)
    dispatch.keep = arrays  # type: ignore[attr-defined]
    return dispatch, arrays[0]


def python(code: str) -> int:
    command = [sys.executable, "-c", PROGRAM + code]
    return subprocess.run(command, env=dict(os.environ), timeout=300, check=False).returncode


def test_a_fork_starts_a_team_of_its_own() -> None:
    assert python(FORK) == 0


def test_waiting_members_do_not_keep_a_process_alive() -> None:
    assert python(EXIT) == 0


def test_members_that_never_come_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = ThreadPool()
    monkeypatch.setattr(lonely, "_grow", lambda workers: None)
    monkeypatch.setattr(thread_pool._current, "pool", lonely)
    dispatch, x = reversing(threads=4)
    dispatch.run()
    np.testing.assert_array_equal(x, np.arange(100) + 40)


def test_members_help() -> None:
    counts = np.zeros((2, 8), np.int64)
    address = KERNELS.load(kernel_source(SLOW)).address
    rows = np.array([[0, 1, address, 0, 1, 0, 1, 2]])
    # Each thread counts in a row of its own: counter 0 is the thread.
    patches = np.array([0, 0, counts.strides[0]])
    dispatch = Dispatch(rows, np.array([counts.ctypes.data]), patches, threads=2)
    runs = 0
    while not counts[:, 0].all():  # where the second thread never takes a part, for ever
        dispatch.run()
        runs += 1
    assert counts[:, 0].sum() == 2 * runs


def test_a_second_caller_works_alone() -> None:
    dispatch, x = reversing(threads=2)
    busy = current_pool()._busy
    with busy:
        dispatch.run()
    np.testing.assert_array_equal(x, np.arange(100) + 40)


def test_many_callers_at_once() -> None:
    def work(_: int) -> np.ndarray:
        dispatch, x = reversing(threads=3)
        for _ in range(50):
            dispatch.run()
        return x

    with ThreadPoolExecutor(5) as callers:
        for x in callers.map(work, range(5)):
            np.testing.assert_array_equal(x, np.arange(100) + 40 * 50)


def test_a_team_grows_for_a_larger_run() -> None:
    for threads in (2, 5, 3):
        dispatch, x = reversing(threads)
        dispatch.run()
        np.testing.assert_array_equal(x, np.arange(100) + 40)
