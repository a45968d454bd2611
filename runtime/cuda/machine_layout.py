"""The layout of the emulator's memory, as words of int64: the machine, and a thread of a block.

The texts that read it are compiled (`blocks.py`, `accesses.py`); `emulator.py` fills it.
"""

from __future__ import annotations

# The machine. ``SCHEDULER`` is the stack of who resumes threads, ``LOW`` and ``HIGH`` the ends of
# the array that was touched last; what lies within needs no more checks.
SCHEDULER, ARGS, ENTRY, BLOCKS, THREADS, BACKWARDS, BLOCK, CURRENT = range(8)
CONTEXTS, STACKS, STACK_BYTES, CHECK, LOW, HIGH, REGIONS, REGION_COUNT = range(8, 16)
SHARED, SHARED_COUNT, STAMPS, EPOCH, FIRST_EPOCH, ERROR, ADDRESS, BYTES = range(16, 24)
WRITES, OTHER = range(24, 26)
MACHINE_WORDS = 32

# A thread: its stack, what it waits for, the line of the text, two values that others fetch.
STACK, STATE, LINE, INDEX, PHASE, VALUES = range(6)
THREAD_WORDS = 8

READY, AT_BARRIER, AT_SHUFFLE, DONE = range(4)

# Shared arrays that are known: first and last address, and the first of their stamps.
SHARED_WORDS, MOST_SHARED = 3, 64
# Of each four bytes of shared memory who wrote and who read them last: an epoch and a thread.
STAMP, MOST_STAMPS, STAMP_THREADS = 2, 64 * 1024, 2048

OUTSIDE, UNWRITTEN, RACE, DIVERGENT, PARTIAL, TOO_MUCH = range(1, 7)
MESSAGES = {
    OUTSIDE: "an access outside of the launch's arrays",
    UNWRITTEN: "shared memory is read before it is written",
    RACE: "two threads use the same shared memory, one writes, and no barrier is between",
    DIVERGENT: "a barrier that not all threads of the block reach",
    PARTIAL: "a shuffle that not all lanes of the warp reach",
    TOO_MUCH: "more shared memory than a block has",
}
