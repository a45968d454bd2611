"""Stacks of the threads that we start: as large as what they run needs, whatever the default is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# A worker interprets tables and runs kernels, which keep little but registers on the stack.
WORKER_BYTES = 1 << 20
# LLVM's analyses call themselves as deep as loops and expressions are nested.
COMPILER_BYTES = 8 << 20


def start_thread(
    target: Callable[..., None], args: tuple[Any, ...], name: str, size: int
) -> threading.Thread:
    """Starts a daemon thread with a stack of ``size`` bytes.

    ``threading.stack_size`` and the limits of the shell say what other threads have. The first is
    the process's: it is ours for as long as this thread takes to start, and as it was after that.
    """
    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


def on_own_stack(function: Callable[..., T], args: tuple[Any, ...], name: str, size: int) -> T:
    """``function(*args)`` in a thread with a stack of ``size`` bytes; the caller waits.

    What it raises is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*args))
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            errors.append(error)

    # Once, but for the child of a fork that a handler made meanwhile: the thread is not in there.
    while not results and not errors:
        start_thread(run, (), name, size).join()
    if errors:
        raise errors.pop()
    return results[0]
