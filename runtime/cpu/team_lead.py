"""The thread that runs a program: opens the run to the team, walks, closes it (see `team`)."""

from typing import Any

from .atomics import (
    atomic_load,
    atomic_store,
    call_kernel,
    compare_exchange,
    futex_wake,
    wait_for,
)
from .kernel_compiler import kernel_jit
from .simd import get, pointer_i64, put
from .table_layout import (
    CLOSED,
    DONE,
    EPOCH,
    GATE,
    HEADER,
    JOINED,
    LEFT,
    LIMIT,
    PROGRESS,
    RUNS,
    SLEEPERS,
    TICKET,
    WALKER,
)


@kernel_jit
def kernel(team: Any, header_address: int, threads: int) -> None:
    header = pointer_i64(header_address)
    progress = pointer_i64(get(header, PROGRESS))
    put(progress, TICKET, 0)
    put(progress, DONE, 0)
    if threads <= 1:
        call_kernel(get(header, WALKER), header, 0, 1)
        return
    put(team, HEADER, header_address)
    put(team, LIMIT, threads)
    put(team, LEFT, 0)
    run = get(team, EPOCH) + 1
    atomic_store(team, GATE, run * RUNS)
    atomic_store(team, EPOCH, run)
    if atomic_load(team, SLEEPERS) > 0:
        futex_wake(team, EPOCH, threads - 1)
    call_kernel(get(header, WALKER), header, 0, threads)
    # Who has not joined by now need not: only the members inside are waited for.
    gate = atomic_load(team, GATE)
    while not compare_exchange(team, GATE, gate, gate + CLOSED):
        gate = atomic_load(team, GATE)
    wait_for(team, LEFT, gate % JOINED)
