"""What OpenMP calls in each thread of a team: asks who it is and walks the table (see `walker`)."""

from typing import Any

from .atomics import call_integer, call_kernel
from .kernel_compiler import kernel_jit
from .simd import get
from .walker import TEAM_SIZE, THREAD_NUMBER, WALKER


@kernel_jit
def kernel(header: Any, thread: int, threads: int) -> None:
    # OpenMP passes the header alone: the other two arguments hold whatever is in their registers.
    thread = call_integer(get(header, THREAD_NUMBER))
    threads = call_integer(get(header, TEAM_SIZE))
    call_kernel(get(header, WALKER), header, thread, threads)
