"""The emulator's scheduler, compiled like a kernel: runs the blocks of a grid, one after another.

Every thread has a stack of its own, and is resumed where it was. A warp goes on until all of its
lanes are done or wait at a barrier; then comes the next, or the last where warps go backwards: for
a kernel that depends on no order both give the same bits.
"""

from typing import Any

from .machine_layout import (
    AT_BARRIER,
    AT_SHUFFLE,
    BACKWARDS,
    BLOCK,
    BLOCKS,
    CONTEXTS,
    CURRENT,
    DIVERGENT,
    ENTRY,
    EPOCH,
    ERROR,
    FIRST_EPOCH,
    INDEX,
    LINE,
    OTHER,
    PARTIAL,
    PHASE,
    READY,
    STACK,
    STACK_BYTES,
    STACKS,
    STATE,
    THREAD_WORDS,
    THREADS,
)
from .machine_words import address_of, emulator_code, first_step, get, pointer_i64, put, resume


@emulator_code
def kernel(machine: Any) -> None:
    threads = get(machine, THREADS)
    blocks = get(machine, BLOCKS)
    contexts = get(machine, CONTEXTS)
    backwards = get(machine, BACKWARDS)
    warps = (threads + 31) // 32
    for b in range(blocks):
        put(machine, BLOCK, blocks - 1 - b if backwards else b)
        put(machine, EPOCH, get(machine, EPOCH) + 1)
        put(machine, FIRST_EPOCH, get(machine, EPOCH))
        for t in range(threads):
            # What `switch` takes off a stack: four registers, two that `first_step` reads, and it.
            top = get(machine, STACKS) + (t + 1) * get(machine, STACK_BYTES) - 56
            stack = pointer_i64(top)
            put(stack, 4, address_of(machine))
            put(stack, 5, get(machine, ENTRY))
            put(stack, 6, first_step())
            thread = pointer_i64(contexts + t * THREAD_WORDS * 8)
            put(thread, STACK, top)
            put(thread, STATE, READY)
            put(thread, INDEX, t)
            put(thread, LINE, 0)
            put(thread, PHASE, 0)
        while True:
            for w in range(warps):
                warp = warps - 1 - w if backwards else w
                low = warp * 32
                lanes = threads - low if threads - low < 32 else 32
                while True:
                    shuffles = 0
                    line = 0
                    for k in range(lanes):
                        t = low + (lanes - 1 - k if backwards else k)
                        thread = pointer_i64(contexts + t * THREAD_WORDS * 8)
                        if get(thread, STATE) == READY:
                            put(machine, CURRENT, address_of(thread))
                            resume(machine, thread)
                            if get(machine, ERROR):
                                return
                        if get(thread, STATE) == AT_SHUFFLE:
                            if shuffles and get(thread, LINE) != line:
                                put(machine, ERROR, PARTIAL)
                                return
                            shuffles += 1
                            line = get(thread, LINE)
                            put(machine, CURRENT, address_of(thread))
                    if shuffles == 0:
                        break
                    if shuffles < 32:
                        put(machine, OTHER, shuffles)
                        put(machine, ERROR, PARTIAL)
                        return
                    for t in range(low, low + lanes):
                        put(pointer_i64(contexts + t * THREAD_WORDS * 8), STATE, READY)
            waiting = 0
            line = 0
            for t in range(threads):
                thread = pointer_i64(contexts + t * THREAD_WORDS * 8)
                if get(thread, STATE) == AT_BARRIER:
                    put(machine, CURRENT, address_of(thread))
                    if waiting and get(thread, LINE) != line:
                        put(machine, ERROR, DIVERGENT)
                        return
                    line = get(thread, LINE)
                    waiting += 1
            if waiting == 0:
                break
            if waiting < threads:
                put(machine, OTHER, waiting)
                put(machine, ERROR, DIVERGENT)
                return
            for t in range(threads):
                put(pointer_i64(contexts + t * THREAD_WORDS * 8), STATE, READY)
            put(machine, EPOCH, get(machine, EPOCH) + 1)
