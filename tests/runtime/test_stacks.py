"""Stacks: threads of the user's and of ours, smaller than what kernels once took of them."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keraunos.runtime.cpu import kernel_compiler
from keraunos.runtime.native.stacks import COMPILER_BYTES, on_own_stack, start_thread

# Transformed tiles of this gradient take more than half a megabyte of each thread.
TRAINING = """
import sys, threading
import numpy as np
import keraunos as keras
from keraunos import layers

keras.config.threads = 2
model = keras.Sequential([
    keras.Input((16, 16, 64)), layers.Conv2D(64, 3, padding="same"),
    layers.Conv2D(32, 3, padding="same"), layers.GlobalAveragePooling2D(),
])
model.compile("sgd", "mse")
x, y = np.ones((8, 16, 16, 64), "float32"), np.ones((8, 32), "float32")

def train():
    for _ in range(3):
        losses.append(model.train_on_batch(x, y))

losses = []
threading.stack_size(int(sys.argv[1]) * 1024)
if sys.argv[2] == "main":
    train()
else:
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
assert len(losses) == 3 and np.isfinite(losses).all()
assert threading.stack_size() == int(sys.argv[1]) * 1024
"""


@pytest.mark.parametrize("caller", ["main", "thread"])
@pytest.mark.parametrize("kilobytes", [64, 128, 512])
def test_small_stacks_of_threads(kilobytes: int, caller: str) -> None:
    command = [sys.executable, "-c", TRAINING, str(kilobytes), caller]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def stack_bytes() -> int:
    """The stack that the running thread has."""
    libc, size, attributes = ctypes.CDLL(None), ctypes.c_size_t(), ctypes.create_string_buffer(256)
    assert libc.pthread_getattr_np(ctypes.c_void_p(threading.get_ident()), attributes) == 0
    libc.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return size.value


@pytest.mark.smoke
def test_a_thread_gets_the_stack_it_asks_for() -> None:
    """And the next one what the process asks for, as before."""
    seen: list[int] = []

    def look(number: int) -> None:
        seen.append(number)
        seen.append(stack_bytes())
        done.set()

    done = threading.Event()
    before = threading.stack_size(96 * 1024)
    try:
        start_thread(look, (7,), 1 << 20)
        assert done.wait(300)
        assert seen[0] == 7 and seen[1] >= 1 << 20
        assert threading.stack_size(96 * 1024) == 96 * 1024
    finally:
        threading.stack_size(before)


@pytest.mark.smoke
def test_what_needs_much_stack_runs_on_its_own_and_raises_for_the_caller() -> None:
    assert on_own_stack(stack_bytes, (), 3 << 20) >= 3 << 20
    with pytest.raises(ZeroDivisionError):
        on_own_stack(divmod, (1, 0), 1 << 20)


KERNEL = """
from keraunos.runtime.cpu.kernel_compiler import kernel_jit

@kernel_jit
def kernel(args, thread, threads):
    pass
"""


@pytest.mark.smoke
def test_kernels_are_compiled_on_a_stack_that_llvm_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the thread has that calls a model for the first time."""

    def compiled(*args: object) -> bytes:
        seen.append((threading.get_ident(), stack_bytes()))
        return b"code"

    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(kernel_compiler, "_compiled", compiled)
    assert kernel_compiler.compile_text(KERNEL, Path("kernel.py"), "kernel") == b"code"
    ((thread, size),) = seen
    assert thread != threading.get_ident() and size >= COMPILER_BYTES
