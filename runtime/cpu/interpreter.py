"""The interpreter: one kernel that runs any table of launches, loops and tiles (see `dispatcher`).

This text is compiled like a generated kernel, through the kernel cache; the dispatcher sets
`PROFILE` for the variant that measures. Every thread of a pool goes through the whole table on its
own. Nesting is an explicit stack of frames, without recursion.

Work is claimed dynamically. The tasks of all launches are numbered in the order of the table; a
thread takes the next number, runs that task, and counts it as done; of a launch with a task for
each thread it takes its own, while nobody else has. A barrier is passed once all numbers before it
are done. So nobody waits for a thread that comes late, or never: the others do its share, and it
skips what they have done.

Profiled, whoever finishes a part adds the time since any part was finished to that part's row: so
the times of rows make up the whole. In tiles the times that all threads spend are added up.
"""

from typing import Any

from .atomics import (
    atomic_add,
    call_kernel,
    claim,
    clock,
    compare_exchange,
    lap,
    shift_pointer,
    take,
    wait_for,
)
from .kernel_compiler import kernel_jit
from .simd import get, minimum, pointer_i64, put
from .table_layout import (
    AFTER,
    ARGS,
    BODY,
    CODE,
    COUNTER_WORDS,
    COUNTERS,
    DONE,
    FRAME,
    INDEX,
    KIND,
    LAUNCH,
    LOOP,
    OUTER_TILE,
    PATCHES,
    PROGRESS,
    ROW,
    ROWS,
    SCRATCH,
    SCRATCH_WORDS,
    STACK_WORDS,
    STOP,
    TABLE_ROW,
    TILE,
    TIMES,
)

PROFILE = False


@kernel_jit
def kernel(header: Any, thread: int, threads: int) -> None:
    code = pointer_i64(get(header, CODE))
    args = pointer_i64(get(header, ARGS))
    patches = pointer_i64(get(header, PATCHES))
    progress = pointer_i64(get(header, PROGRESS))
    times = pointer_i64(get(header, TIMES))

    scratch = shift_pointer(pointer_i64(get(header, SCRATCH)), thread * get(header, SCRATCH_WORDS))
    patched = shift_pointer(scratch, STACK_WORDS)
    counters = shift_pointer(
        pointer_i64(get(header, COUNTERS)), thread * get(header, COUNTER_WORDS)
    )
    put(counters, 0, thread)

    row = 0
    end = get(header, ROWS)
    depth = 0
    in_tile = 0
    numbered = 0  # tasks of the rows so far
    before = 0
    if PROFILE:
        # The word behind the times of rows is when a part was finished last; at first, now.
        compare_exchange(times, get(header, ROWS), 0, clock())
    while True:
        if row == end:
            if depth == 0:
                break
            frame = (depth - 1) * FRAME
            o = get(scratch, frame + TABLE_ROW)
            stop = get(scratch, frame + STOP)
            if get(scratch, frame + KIND) == LOOP:
                index = get(scratch, frame + INDEX) + 1
                if index < stop:
                    put(counters, get(code, o + 4), index)
                    if get(code, o + 5) != 0:
                        put(counters, get(code, o + 5), index % 2)
            else:
                index = get(scratch, frame + INDEX) + get(code, o + 4)
                if get(scratch, frame + OUTER_TILE) == 0:
                    # An outermost tile's pieces are claimed.
                    atomic_add(progress, DONE, 1)
                    if PROFILE:
                        lap(times, o // ROW, get(header, ROWS))
                    pieces = (stop + get(code, o + 4) - 1) // get(code, o + 4)
                    ticket = claim(progress, numbered + pieces)
                    index = (ticket - numbered) * get(code, o + 4) if ticket >= 0 else stop
                    if ticket < 0:
                        numbered += pieces
                if index < stop:
                    put(counters, get(code, o + 5), index)
                    put(counters, get(code, o + 6), minimum(get(code, o + 4), stop - index))
            if index < stop:
                put(scratch, frame + INDEX, index)
                row = get(scratch, frame + BODY)
                continue
            depth -= 1
            row = end
            end = get(scratch, frame + AFTER)
            in_tile = get(scratch, frame + OUTER_TILE)
        else:
            o = row * ROW
            operation = get(code, o)
            row += 1
            if operation == LAUNCH:
                task = 0
                tasks = 1
                if not in_tile:
                    tasks = get(code, o + 7)
                    if tasks == 0:
                        tasks = threads
                    task = take(progress, numbered, tasks, thread, threads)
                if task >= 0:
                    mine = shift_pointer(args, get(code, o + 3))
                    count = get(code, o + 6)
                    if count:
                        for k in range(get(code, o + 4)):
                            put(patched, k, get(mine, k))
                        first = get(code, o + 5)
                        for k in range(first, first + 3 * count, 3):
                            slot = get(patches, k)
                            value = get(counters, get(patches, k + 1)) * get(patches, k + 2)
                            put(patched, slot, get(patched, slot) + value)
                        mine = patched
                    if in_tile:
                        if PROFILE:
                            before = clock()
                        call_kernel(get(code, o + 2), mine, 0, 1)
                        if PROFILE:
                            atomic_add(times, o // ROW, clock() - before)
                    else:
                        while task >= 0:
                            call_kernel(get(code, o + 2), mine, task, tasks)
                            atomic_add(progress, DONE, 1)
                            if PROFILE:
                                lap(times, o // ROW, get(header, ROWS))
                            task = take(progress, numbered, tasks, thread, threads)
                if not in_tile:
                    numbered += tasks
            else:
                start = 0
                stop = get(code, o + 3)
                if operation == TILE and not in_tile:
                    pieces = (stop + get(code, o + 4) - 1) // get(code, o + 4)
                    ticket = claim(progress, numbered + pieces)
                    start = (ticket - numbered) * get(code, o + 4) if ticket >= 0 else stop
                    if ticket < 0:
                        numbered += pieces
                body = row
                row += get(code, o + 2)
                if start < stop:
                    frame = depth * FRAME
                    put(scratch, frame + KIND, operation)
                    put(scratch, frame + BODY, body)
                    put(scratch, frame + AFTER, end)
                    put(scratch, frame + INDEX, start)
                    put(scratch, frame + STOP, stop)
                    put(scratch, frame + TABLE_ROW, o)
                    put(scratch, frame + OUTER_TILE, in_tile)
                    depth += 1
                    end = row
                    row = body
                    if operation == TILE:
                        in_tile = 1
                        put(counters, get(code, o + 5), start)
                        put(counters, get(code, o + 6), minimum(get(code, o + 4), stop - start))
                    else:
                        put(counters, get(code, o + 4), start)
                        if get(code, o + 5) != 0:
                            put(counters, get(code, o + 5), start % 2)
                    continue
        # A launch is done, or a loop or tile has ended or was empty.
        if get(code, o + 1) != 0 and in_tile == 0 and threads > 1:
            wait_for(progress, DONE, numbered)
