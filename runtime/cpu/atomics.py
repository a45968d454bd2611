"""What kernels that coordinate threads need: atomics, waiting, calls by address, a clock."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from ..native.simd_types import I32, I64, call_named, named
from .table_layout import DECIDED, REMEMBERED, SPAN

SPINS = 4000
"""Turns a thread spins while it waits before it offers its core to others (some 50 to 200 us)."""

SEATS = 16
"""Tasks of a launch that threads take by their own numbers, at most."""

WORDS = types.CPointer(types.int64)
X86_PAUSE = "llvm.x86.sse2.pause"


def _atomic_add(context: Any, p: Any, i: Any, v: Any) -> Any:
    """Add to p[i] in one step and return what was there before."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        return builder.atomic_rmw("add", address, args[2], "seq_cst")

    return types.int64(WORDS, types.int64, types.int64), lower


def _atomic_load(context: Any, p: Any, i: Any) -> Any:
    """p[i], and everything its writer had written before."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.gep(args[0], [args[1]]), "acquire", 8)

    return types.int64(WORDS, types.int64), lower


def _atomic_store(context: Any, p: Any, i: Any, v: Any) -> Any:
    """Set p[i] for whoever loads it next, and everything written before."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], builder.gep(args[0], [args[1]]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(WORDS, types.int64, types.int64), lower


def _compare_exchange(context: Any, p: Any, i: Any, old: Any, new: Any) -> Any:
    """Set p[i] to `new` if it is `old`; whether it was."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        pair = builder.cmpxchg(address, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(WORDS, types.int64, types.int64, types.int64), lower


# Linux's futex: the kernel puts a thread to sleep on the low half of a word and wakes it.
FUTEX = {"x86_64": 202, "aarch64": 98}
WAIT_PRIVATE, WAKE_PRIVATE = 128, 129


def _call_futex(builder: Any, word: Any, operation: int, value: Any) -> None:
    machine = str(builder.module.triple).split("-")[0].strip('"')
    syscall = ir.FunctionType(I64, [I64], var_arg=True)
    function = cgutils.get_or_insert_function(builder.module, syscall, "syscall")
    address = builder.ptrtoint(word, I64)
    number = I64(FUTEX[machine])
    builder.call(function, [number, address, I64(operation), value, I64(0), I64(0), I64(0)])


def _futex_wait(context: Any, p: Any, i: Any, value: Any) -> Any:
    """Sleep until woken, unless p[i] is no longer `value` (in its low 32 bits)."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call_futex(builder, builder.gep(args[0], [args[1]]), WAIT_PRIVATE, args[2])
        return context.get_dummy_value()

    return types.void(WORDS, types.int64, types.int64), lower


def _futex_wake(context: Any, p: Any, i: Any, count: Any) -> Any:
    """Wake at most `count` threads that sleep on p[i]."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call_futex(builder, builder.gep(args[0], [args[1]]), WAKE_PRIVATE, args[2])
        return context.get_dummy_value()

    return types.void(WORDS, types.int64, types.int64), lower


def _pause(context: Any) -> Any:
    """Tell the core that it is waiting in a loop."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if "x86" in str(builder.module.triple):
            call_named(builder, X86_PAUSE, ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), lower


def _yield_thread(context: Any) -> Any:
    """Offer the core to another thread."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        call_named(builder, "sched_yield", I32, [])
        return context.get_dummy_value()

    return types.void(), lower


def _clock(context: Any) -> Any:
    """Nanoseconds of the monotonic clock."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        time = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
        first = builder.bitcast(time, I64.as_pointer())
        call_named(builder, "clock_gettime", I32, [I32(1), first])
        seconds = builder.load(first)
        nanoseconds = builder.load(builder.gep(first, [I64(1)]))
        return builder.add(builder.mul(seconds, I64(1_000_000_000)), nanoseconds)

    return types.int64(), lower


def _call_kernel(context: Any, address: Any, args: Any, thread: Any, threads: Any) -> Any:
    """Call the kernel at `address`."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel_type = ir.FunctionType(ir.VoidType(), [I64.as_pointer(), I64, I64])
        kernel = builder.inttoptr(values[0], kernel_type.as_pointer())
        builder.call(kernel, values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, WORDS, types.int64, types.int64), lower


def _shift_pointer(context: Any, p: Any, i: Any) -> Any:
    """The pointer to element i."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return p(p, types.int64), lower


atomic_add = named(_atomic_add)
atomic_load = named(_atomic_load)
atomic_store = named(_atomic_store)
compare_exchange = named(_compare_exchange)
futex_wait = named(_futex_wait)
futex_wake = named(_futex_wake)
pause = named(_pause)
yield_thread = named(_yield_thread)
clock = named(_clock)
call_kernel = named(_call_kernel)
shift_pointer = named(_shift_pointer)


@njit(error_model="numpy")
def wait_for(words: Any, index: int, goal: int) -> None:
    """Wait until words[index], which only grows, reaches `goal`."""
    spins = 0
    while atomic_load(words, index) < goal:
        if spins < SPINS:
            spins += 1
            pause()
        else:
            yield_thread()


@njit(error_model="numpy")
def lap(times: Any, index: int, last: int) -> None:
    """Add the time since times[last] to times[index], and set the former to now."""
    before = atomic_load(times, last)
    now = clock()
    while not compare_exchange(times, last, before, now):
        before = atomic_load(times, last)
        now = clock()
    atomic_add(times, index, now - before)


@njit(error_model="numpy")
def claim(progress: Any, limit: int) -> int:
    """The next ticket below `limit`, or -1 where all of them are taken.

    The word holds how many tickets are taken, and behind them the seats of `claim_seat`.
    """
    word: int = atomic_load(progress, 0)
    while word >> SEATS < limit:
        if compare_exchange(progress, 0, word, ((word >> SEATS) + 1) << SEATS):
            return word >> SEATS
        word = atomic_load(progress, 0)
    return -1


@njit(error_model="numpy")
def claim_seat(progress: Any, first: int, limit: int, own: int) -> int:
    """A task of those that the tickets from `first` to `limit` stand for, or -1.

    It is number `own` if nobody has it: what a thread read for a task of one launch lies in its
    caches when the next launch reads the same, as the steps of a loop do.
    """
    word: int = atomic_load(progress, 0)
    while word >> SEATS < limit:
        taken = word & ((1 << SEATS) - 1) if word >> SEATS > first else 0
        seat = own
        if taken >> own & 1:
            seat = 0
            while taken >> seat & 1:
                seat += 1
        after = (((word >> SEATS) + 1) << SEATS) | taken | 1 << seat
        if compare_exchange(progress, 0, word, after):
            return seat
        word = atomic_load(progress, 0)
    return -1


@njit(error_model="numpy")
def take(progress: Any, numbered: int, tasks: int, thread: int, threads: int) -> int:
    """A task of a launch whose tickets begin at `numbered`, or -1 where all of them are taken."""
    if tasks == threads and tasks <= SEATS:
        return int(claim_seat(progress, numbered, numbered + tasks, thread))
    ticket: int = claim(progress, numbered + tasks)
    return ticket - numbered if ticket >= 0 else -1


@njit(error_model="numpy")
def decide(progress: Any, turn: int, found: int) -> int:
    """Decision number `turn` of a run: `found`, 0 or 1, unless another thread has taken it already.

    Then it is what that thread found, as what decides may have changed since. -1 for one that is
    forgotten: the caller has come too late for the rest of the run.
    """
    while True:
        word: int = atomic_load(progress, DECIDED)
        later = word // SPAN - turn
        if later > REMEMBERED:
            return -1
        if later > 0:
            return (word >> (later - 1)) & 1
        new = (turn + 1) * SPAN + ((word * 2 + found) & (SPAN - 1))
        if compare_exchange(progress, DECIDED, word, new):
            return found
