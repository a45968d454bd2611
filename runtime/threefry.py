"""Random numbers that need no state: element i under a key is the cipher of i.

Threefry-2x32 with 13 rounds, by Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
as 1, 2, 3" (SC 2011): the shorter of the two forms that their library Random123 gives test vectors
for. Any element can be had at once, by any thread and in any order, and always has the same bits.
This is the definition, in numpy; ``simd_random`` has the same for kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
ROUNDS = 13
INJECTED_EVERY = 4  # rounds
PARITY = 0x1BD11BDA
FRACTION_BITS = 24  # of a float32 in [0, 1), all of which are equally likely then


def threefry(key: Any, index: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both words (uint32) of the cipher of each ``index`` (int64), under a key of two words."""
    first, second = (np.asarray(word).astype(np.uint32) for word in key)
    words = first, second, first ^ second ^ np.uint32(PARITY)
    counted = np.asarray(index).astype(np.uint64)
    x = counted.astype(np.uint32) + words[0]
    y = (counted >> np.uint64(32)).astype(np.uint32) + words[1]
    with np.errstate(over="ignore"):
        for turn in range(ROUNDS):
            x = x + y
            y = _rotated(y, ROTATIONS[turn % len(ROTATIONS)]) ^ x
            if turn % INJECTED_EVERY == INJECTED_EVERY - 1:
                number = turn // INJECTED_EVERY + 1
                x = x + words[number % 3]
                y = y + words[(number + 1) % 3] + np.uint32(number)
    return x, y


def _rotated(word: np.ndarray, bits: int) -> np.ndarray:
    return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))


def uniform(key: Any, index: Any) -> np.ndarray:
    """For each ``index`` a float32 in [0, 1): the highest bits of its first word."""
    word, _ = threefry(key, index)
    kept = (word >> np.uint32(32 - FRACTION_BITS)).astype(np.float32)
    return kept * np.float32(2.0**-FRACTION_BITS)
