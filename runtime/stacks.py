"""Stacks of the threads that we start: as large as what they run needs, whatever the default is."""

from __future__ import annotations

import threading
from collections.abc import Callable

# A member walks a table and runs kernels, which keep registers and little else on the stack.
MEMBER_BYTES = 1 << 20


def start_thread(target: Callable[..., None], args: tuple[int, ...], name: str, size: int) -> None:
    """Starts a daemon thread with a stack of ``size`` bytes.

    ``threading.stack_size`` and the limits of the shell say what other threads have. The first is
    the process's: it is ours for as long as this thread takes to start, and as it was after that.
    """
    before = threading.stack_size(size)
    try:
        threading.Thread(target=target, args=args, name=name, daemon=True).start()
    finally:
        threading.stack_size(before)
