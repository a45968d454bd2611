"""A thread of the team that waits for work: joins a run while it is open (see `team`)."""

from typing import Any

from .atomics import atomic_add, atomic_load, call_kernel, compare_exchange, futex_wait, pause
from .kernel_compiler import kernel_jit
from .simd import get, pointer_i64
from .table_layout import (
    CLOSED,
    EPOCH,
    GATE,
    HEADER,
    JOINED,
    LEFT,
    LIMIT,
    RUNS,
    SLEEPERS,
    WALKER,
)

# Turns a member spins for the next run before it sleeps: some 100 us.
SPINS = 4000


@kernel_jit
def kernel(team: Any, thread: int, threads: int) -> None:
    seen = 0
    while True:
        spins = 0
        while atomic_load(team, EPOCH) == seen:
            if spins < SPINS:
                spins += 1
                pause()
            else:
                atomic_add(team, SLEEPERS, 1)
                futex_wait(team, EPOCH, seen)
                atomic_add(team, SLEEPERS, -1)
        seen = atomic_load(team, EPOCH)
        gate = atomic_load(team, GATE)
        while gate // RUNS == seen and gate % RUNS < CLOSED:
            member = gate % JOINED + 1
            if member >= get(team, LIMIT):
                break
            if compare_exchange(team, GATE, gate, gate + 1):
                # From here on the lead waits for this thread: the run's data stay.
                header = pointer_i64(get(team, HEADER))
                call_kernel(get(header, WALKER), header, member, get(team, LIMIT))
                atomic_add(team, LEFT, 1)
                break
            gate = atomic_load(team, GATE)
