"""Stacks of the threads that we start: as large as what they run needs, whatever the default is."""

from __future__ import annotations

import os
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# A worker interprets tables and runs kernels, which keep little but registers on the stack.
WORKER_BYTES = 1 << 20
# LLVM's analyses call themselves as deep as loops and expressions are nested.
COMPILER_BYTES = 8 << 20
FORKED = 0.05  # seconds until the child of a fork finds that it is one


def start_thread(target: Callable[..., None], args: tuple[Any, ...], size: int) -> None:
    """Starts a thread with a stack of ``size`` bytes; the process does not wait for it to end.

    ``threading.stack_size`` and the limits of the shell say what other threads have. The first is
    the process's: it is ours for as long as this thread takes to start, and as it was after that.

    ``threading.Thread`` would wait until the thread runs: for ever in the child of a fork that a
    handler of signals makes meanwhile, for there is no such thread in there.
    """
    before = threading.stack_size(size)
    try:
        start_new_thread(target, args)
    finally:
        threading.stack_size(before)


def on_own_stack(function: Callable[..., T], args: tuple[Any, ...], size: int) -> T:
    """``function(*args)`` in a thread with a stack of ``size`` bytes; the caller waits.

    What it raises is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run(running: Any) -> None:
        try:
            results.append(function(*args))
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            errors.append(error)
        finally:
            running.release()

    # Once, but for the child of a fork that a handler made meanwhile: the thread is not in there.
    while not results and not errors:
        process, running = os.getpid(), allocate_lock()
        running.acquire()
        start_thread(run, (running,), size)
        while not running.acquire(timeout=FORKED) and os.getpid() == process:
            pass
    if errors:
        raise errors.pop()
    return results[0]
