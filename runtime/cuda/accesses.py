"""The emulator's check of an access, compiled like a kernel: may this thread read or write there?

Shared memory has stamps: who wrote and who read each four bytes last, and in which epoch, which
barriers end. What was written before the block began counts as not written.
"""

from typing import Any

from .machine_layout import (
    ADDRESS,
    BYTES,
    CURRENT,
    EPOCH,
    ERROR,
    FIRST_EPOCH,
    HIGH,
    INDEX,
    LOW,
    OTHER,
    OUTSIDE,
    RACE,
    REGION_COUNT,
    REGIONS,
    SHARED,
    SHARED_COUNT,
    SHARED_WORDS,
    STAMP,
    STAMP_THREADS,
    STAMPS,
    UNWRITTEN,
    WRITES,
)
from .machine_words import emulator_code, get, pointer_i64, put


@emulator_code
def kernel(machine: Any) -> None:
    address = get(machine, ADDRESS)
    end = address + get(machine, BYTES)
    shared = pointer_i64(get(machine, SHARED))
    for k in range(0, get(machine, SHARED_COUNT) * SHARED_WORDS, SHARED_WORDS):
        low = get(shared, k)
        if low <= address and end <= get(shared, k + 1):
            stamps = pointer_i64(get(machine, STAMPS))
            epoch = get(machine, EPOCH)
            mine = get(pointer_i64(get(machine, CURRENT)), INDEX)
            stamp = epoch * STAMP_THREADS + mine
            first = get(shared, k + 2) + (address - low) // 4 * STAMP
            last = get(shared, k + 2) + (end - 1 - low) // 4 * STAMP
            for s in range(first, last + 1, STAMP):
                written = get(stamps, s)
                if get(machine, WRITES):
                    read = get(stamps, s + 1)
                    if written // STAMP_THREADS == epoch and written != stamp:
                        put(machine, OTHER, written % STAMP_THREADS)
                        put(machine, ERROR, RACE)
                    elif read // STAMP_THREADS == epoch and read != stamp:
                        put(machine, OTHER, read % STAMP_THREADS)
                        put(machine, ERROR, RACE)
                    put(stamps, s, stamp)
                else:
                    if written // STAMP_THREADS < get(machine, FIRST_EPOCH):
                        put(machine, ERROR, UNWRITTEN)
                    elif written // STAMP_THREADS == epoch and written != stamp:
                        put(machine, OTHER, written % STAMP_THREADS)
                        put(machine, ERROR, RACE)
                    put(stamps, s + 1, stamp)
            return
    regions = pointer_i64(get(machine, REGIONS))
    for k in range(0, get(machine, REGION_COUNT) * 2, 2):
        if get(regions, k) <= address and end <= get(regions, k + 1):
            put(machine, LOW, get(regions, k))
            put(machine, HIGH, get(regions, k + 1))
            return
    put(machine, ERROR, OUTSIDE)
