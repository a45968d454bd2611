"""Forks while other threads compile, run, evict, import, or hold a lock."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keraunos.runtime import forks
from keraunos.runtime.cpu import (
    kernel_compiler,  # noqa: F401  (brings Numba, and with it its lock)
)
from keraunos.runtime.forks import Lock, cached_property

ROOT = Path(forks.__file__).parent.parent
# Where locks are made that a child of a fork does not need: it starts a pool of its own.
EXCEPTED = {ROOT / "runtime" / "forks.py", ROOT / "runtime" / "cpu" / "thread_pool.py"}
LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Queue"}

HEAD = """
import os, signal, sys, threading, time
import numpy as np
from kernel_texts import fresh, result
from keraunos.frontend import lazy
from keraunos.runtime import cache, forks
from keraunos.runtime.cache import clear_cache
from keraunos.runtime.cpu.toolchain import KERNELS

def in_child(check):
    "How a child ends that does this, 0 if well; it is given minutes."
    child = os.fork()
    if child == 0:
        signal.alarm(200)
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def compiles():
    source, number = fresh()
    return result(KERNELS.load(source)) == number

def beside(work):
    "Does it in another thread, over and over."
    def on():
        while True:
            work()
    threading.Thread(target=on, daemon=True).start()

assert compiles()
"""


def python(code: str, folder: Path) -> str:
    """What a process prints that does this after ``HEAD``; it has to end well."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HEAD + code],
        env=os.environ | {"KERAUNOS_CACHE_DIR": str(folder), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_while_others_compile_and_evict(tmp_path: Path) -> None:
    code = """
beside(compiles)
beside(clear_cache)
beside(compiles)
codes = []
for _ in range(5):
    time.sleep(0.05)
    codes.append(in_child(compiles))
print(codes)
os._exit(0)  # the other threads go on
"""
    assert python(code, tmp_path) == "[0, 0, 0, 0, 0]\n"


def test_while_others_run_and_trace_models(tmp_path: Path) -> None:
    code = """
import keraunos as keras
from keraunos import ops
x = np.ones((3, 4), "float32")
run = keras.compile(lambda x: ops.tanh(x) + 1, (None, 4))
expected = run(x)
def trace():
    keras.trace(lambda x: ops.exp(x) + ops.sum(x, axis=0), (None, 4))
sizes = iter(range(1, 10**9))
def run_other_sizes():
    run(np.ones((next(sizes) % 64 + 1, 4), "float32"))
beside(trace)
beside(run_other_sizes)
def same():
    again = keras.compile(lambda x: ops.tanh(x) + 1, (None, 4))
    trace()
    run_other_sizes()
    return np.array_equal(run(x), expected) and np.array_equal(again(x), expected)
print([in_child(same) for _ in range(8)])
os._exit(0)
"""
    assert python(code, tmp_path) == f"{[0] * 8}\n"


@pytest.mark.parametrize(
    "hold",
    [
        "from numba.core.compiler_lock import global_compiler_lock as lock",
        "import llvmlite.binding as llvm; lock = llvm.ffi.lib._lock",
        "lock = forks.work",
        "lock = cache._state.lock",
    ],
)
def test_while_another_thread_holds(hold: str, tmp_path: Path) -> None:
    """The fork waits for the first three, and the last is free in the child."""
    code = f"""
{hold}
held = threading.Event()
def work():
    with lock:
        held.set()
        time.sleep(0.5)
threading.Thread(target=work).start()
held.wait()
print(in_child(compiles), compiles())
"""
    assert python(code, tmp_path) == "0 True\n"


def test_while_another_thread_imports(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.5)\nready = True\n")
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
threading.Thread(target=lambda: lazy.load("slow_to_import")).start()
while "slow_to_import" not in sys.modules:
    time.sleep(0.01)
print(in_child(lambda: lazy.load("slow_to_import").ready), lazy.load("slow_to_import").ready)
"""
    assert python(code, tmp_path / "kernels") == "0 True\n"


def test_while_another_thread_imports_hdf5(tmp_path: Path) -> None:
    """Its own hooks take its lock before a fork, which the import needs, as it does logging's."""
    code = """
forks.PATIENCE = 1000
threading.Thread(target=lambda: lazy.load(".saving.weights")).start()
while not hasattr(sys.modules.get("h5py._objects"), "_phil_before_fork"):
    pass
def saves():
    h5py = lazy.load(".saving.weights").h5py
    with h5py.File("any", "w", driver="core", backing_store=False) as file:
        file["x"] = 1
    return compiles()
print(in_child(saves), in_child(saves), saves())
"""
    assert python(code, tmp_path) == "0 0 True\n"


def test_what_does_not_end_is_not_waited_for_and_the_child_says_so(tmp_path: Path) -> None:
    code = """
forks.PATIENCE = 0.2
known, number = fresh()
KERNELS.load(known)
held, end = threading.Event(), threading.Event()
def work():
    with forks.work:
        held.set()
        end.wait()
threading.Thread(target=work).start()
held.wait()
def says_so():
    try:
        compiles()
    except forks.ForkError as error:
        return "set_start_method" in str(error) and in_child(refuses) == 0
def refuses():
    "The child's child knows no more."
    try:
        compiles()
    except forks.ForkError:
        return True
print(in_child(lambda: result(KERNELS.load(known)) == number), in_child(says_so))
end.set()
forks.PATIENCE = 1000
print(in_child(compiles))
"""
    assert python(code, tmp_path) == "0 0\n0\n"


def test_a_fork_within_work_does_not_wait_for_itself(tmp_path: Path) -> None:
    code = """
forks.PATIENCE = 1000
with forks.work:
    print(in_child(compiles))
print(in_child(compiles), compiles())
"""
    assert python(code, tmp_path) == "0\n0 True\n"


def test_a_fork_within_what_a_lock_guards_goes_on_in_there(tmp_path: Path) -> None:
    code = """
lock = forks.Lock()
with lock, cache._state.lock:
    child = os.fork()
    with lock:
        pass
if child == 0:
    os._exit(0 if compiles() else 2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), compiles())
"""
    assert python(code, tmp_path) == "0 True\n"


def test_handlers_of_signals_fork_while_their_thread_compiles(tmp_path: Path) -> None:
    """Each child goes on where the parent was."""
    code = """
parent, children = os.getpid(), []
def fork(*_):
    children.append(os.fork())
    if children[-1] and len(children) < 3:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.01)
done = [compiles()]
while len(children) < 3 and os.getpid() == parent:
    done.append(compiles())
if os.getpid() != parent:
    os._exit(0 if all(done) else 2)
codes = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
print(all(done), codes)
"""
    assert python(code, tmp_path) == "True {0}\n"


def test_a_fork_while_a_thread_is_started_that_compiles(tmp_path: Path) -> None:
    """The child has no such thread, and starts another."""
    code = """
children = []
def fork(frame, event, called):
    if event == "c_return" and "start_new_thread" in repr(called) and not children:
        children.append(os.fork())
sys.setprofile(fork)
done = compiles()
sys.setprofile(None)
if children == [0]:
    os._exit(0 if done else 2)
print(done, os.waitstatus_to_exitcode(os.waitpid(*children, 0)[1]))
"""
    assert python(code, tmp_path) == "True 0\n"


def test_several_threads_fork_at_once(tmp_path: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
beside(compiles)
with ThreadPoolExecutor(3) as pool:
    print(list(pool.map(lambda _: in_child(compiles), range(6))))
os._exit(0)
"""
    assert python(code, tmp_path) == f"{[0] * 6}\n"


def test_the_locks_of_others_are_found() -> None:
    assert len(forks._foreign_locks()) == len(forks.FOREIGN)


def test_a_lock_lets_one_in() -> None:
    lock, order = Lock(), []
    with lock:
        other = threading.Thread(target=lambda: (lock.__enter__(), order.append("other")))
        other.start()
        other.join(0.05)
        order.append("this")
    other.join()
    assert order == ["this", "other"]


def test_a_property_that_is_computed_holds_up_no_other_object() -> None:
    computing, end = threading.Event(), threading.Event()

    class Thing:
        def __init__(self, wait: bool) -> None:
            self.wait, self.computed = wait, 0

        @cached_property
        def value(self) -> int:
            self.computed += 1
            if self.wait:
                computing.set()
                assert end.wait(300)
            return self.computed

    slow, quick = Thing(True), Thing(False)
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert computing.wait(300)
    found: list[int] = []
    other = threading.Thread(target=lambda: found.extend([quick.value, quick.value]), daemon=True)
    other.start()
    other.join(300)
    end.set()
    thread.join()
    assert found == [1, 1]
    assert isinstance(Thing.value, cached_property)


def test_no_module_has_a_lock_that_a_fork_may_find_held() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("compiler", "frontend", "runtime")
        for path in (ROOT / folder).rglob("*.py")
        if path not in EXCEPTED
        for name in locks_of(path)
    }
    assert not found, "take Lock and cached_property from runtime/forks.py"


def locks_of(path: Path) -> set[str]:
    """Locks that a module makes, and what it imports that has some."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("threading", "multiprocessing", "queue") and node.attr in LOCKS:
                names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            wanted = LOCKS if node.module in ("threading", "multiprocessing", "queue") else set()
            wanted = {"cached_property"} if node.module == "functools" else wanted
            names |= {alias.name for alias in node.names} & wanted
    return names


def test_locks_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("import threading\nfrom functools import cached_property\nthreading.RLock()\n")
    assert locks_of(path) == {"RLock", "cached_property"}
