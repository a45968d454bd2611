"""Teams that are smaller than asked, forks, spawned processes, and machines without OpenMP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from keraunos.runtime import parallel
from keraunos.runtime.parallel import ForkError, PythonTeam, check_fork, openmp

PROGRAM = """
import os, sys
import numpy as np
from keraunos.runtime.cache import load_kernel
from keraunos.runtime.dispatcher import Dispatch
from keraunos.runtime.parallel import ForkError

SOURCE = '''
from keraunos.runtime.simd import get, kernel_jit, pointer_i64, put
@kernel_jit
def kernel(args, thread, threads):
    x = pointer_i64(args[0])
    y = pointer_i64(args[1])
    for i in range(thread * 100 // threads, (thread + 1) * 100 // threads):
        put(y, i, get(x, 99 - i) + 1)
'''

def run(threads):
    address = load_kernel(SOURCE).address
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
    try:
        run(2)
    except ForkError as error:
        os._exit(0 if "spawn" in str(error) and run(1) else 2)
    os._exit(3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
FORK_BEFORE_USE = """
child = os.fork()
if child == 0:
    os._exit(0 if run(2) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
MAIN = "\nsys.exit(0 if run({threads}) else 1)\n"


def python(code: str, **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + code],
        env=os.environ | environment,
        timeout=60,
        check=False,
    )
    return done.returncode


def test_a_child_of_a_fork_is_told() -> None:
    assert python(FORK) == 0


def test_a_fork_before_threads_were_used_is_fine() -> None:
    assert python(FORK_BEFORE_USE) == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_WAIT_POLICY": "passive"},
        {"NUMBA_NUM_THREADS": "1"},
    ],
)
def test_limits_make_the_team_smaller_not_wrong(environment: dict[str, str]) -> None:
    assert python(MAIN.format(threads=4), **environment) == 0


def test_missing_openmp_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LIBRARIES", ("libnothing-of-that-name.so",))
    openmp.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="apt install libgomp1"):
            assert openmp() is None
        assert openmp() is None
    finally:
        openmp.cache_clear()


def test_fork_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = parallel._ForkWatch()
    monkeypatch.setattr(parallel, "_watch", watch)
    watch.note_fork()
    check_fork()
    watch.note_fork()
    with pytest.raises(ForkError, match="KERAUNOS_THREADS=1"):
        check_fork()


def test_python_team_runs_all_members_together() -> None:
    team = PythonTeam()
    for threads in (2, 4, 3):
        meeting = threading.Barrier(threads, timeout=20)
        seen: list[Any] = []

        def member(argument: int, thread: int, threads: int) -> None:
            meeting.wait()  # noqa: B023
            seen.append((argument, thread, threads))  # noqa: B023

        team.run(member, 7, threads)
        assert sorted(seen) == [(7, k, threads) for k in range(threads)]
