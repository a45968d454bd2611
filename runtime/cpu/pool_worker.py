"""A worker of the thread pool: waits for work, and joins a run while it is open."""

from typing import Any

from .atomics import atomic_add, atomic_load, call_kernel, compare_exchange, futex_wait, pause
from .kernel_compiler import kernel_jit
from .simd import get, pointer_i64
from .table_layout import (
    CLOSED,
    EPOCH,
    GATE,
    HEADER,
    INTERPRETER,
    JOINED,
    LEFT,
    LIMIT,
    RUNS,
    SLEEPERS,
)

# How often a worker spins for the next run before it sleeps: some 100 us.
SPINS = 4000


@kernel_jit
def kernel(pool: Any, thread: int, threads: int) -> None:
    seen = 0
    while True:
        spins = 0
        while atomic_load(pool, EPOCH) == seen:
            if spins < SPINS:
                spins += 1
                pause()
            else:
                atomic_add(pool, SLEEPERS, 1)
                futex_wait(pool, EPOCH, seen)
                atomic_add(pool, SLEEPERS, -1)
        seen = atomic_load(pool, EPOCH)
        gate = atomic_load(pool, GATE)
        while gate // RUNS == seen and gate % RUNS < CLOSED:
            worker = gate % JOINED + 1
            if worker >= get(pool, LIMIT):
                break
            if compare_exchange(pool, GATE, gate, gate + 1):
                # From here on the leader waits for this thread: the run's data stay.
                header = pointer_i64(get(pool, HEADER))
                call_kernel(get(header, INTERPRETER), header, worker, get(pool, LIMIT))
                atomic_add(pool, LEFT, 1)
                break
            gate = atomic_load(pool, GATE)
