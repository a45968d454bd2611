"""The leader of the thread pool: opens a run to workers, interprets the table, closes the run."""

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
    DECIDED,
    DONE,
    EPOCH,
    GATE,
    HEADER,
    INTERPRETER,
    JOINED,
    LEFT,
    LIMIT,
    PROGRESS,
    RUNS,
    SLEEPERS,
    TICKET,
)


@kernel_jit
def kernel(pool: Any, header_address: int, threads: int) -> None:
    header = pointer_i64(header_address)
    progress = pointer_i64(get(header, PROGRESS))
    put(progress, TICKET, 0)
    put(progress, DONE, 0)
    put(progress, DECIDED, 0)
    if threads <= 1:
        call_kernel(get(header, INTERPRETER), header, 0, 1)
        return
    put(pool, HEADER, header_address)
    put(pool, LIMIT, threads)
    put(pool, LEFT, 0)
    run = get(pool, EPOCH) + 1
    atomic_store(pool, GATE, run * RUNS)
    atomic_store(pool, EPOCH, run)
    if atomic_load(pool, SLEEPERS) > 0:
        futex_wake(pool, EPOCH, threads - 1)
    call_kernel(get(header, INTERPRETER), header, 0, threads)
    # Only workers that have joined are waited for.
    gate = atomic_load(pool, GATE)
    while not compare_exchange(pool, GATE, gate, gate + CLOSED):
        gate = atomic_load(pool, GATE)
    wait_for(pool, LEFT, gate % JOINED)
