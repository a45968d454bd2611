"""Times every row of a bound program, as its device sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import address_of
from .executor import Executor

WARM_UPS = 3
SECONDS = 0.5  # spent on measuring unless the caller says how often
FEWEST, MOST = 5, 1000


@dataclass(frozen=True)
class RowTimes:
    """Nanoseconds of each run.

    Attributes:
        rows: of each row that is timed, float64 (repeats, rows), as ``Prepared.timed`` has them.
        calls: from call to return, int64 (repeats,).
        program_rows: the row of the program that each of them was made from.
        sizes: what the symbolic sizes were.
    """

    rows: NDArray[np.float64]
    calls: NDArray[np.int64]
    program_rows: tuple[int, ...]
    sizes: dict[str, int]


def measure(
    executor: Executor, arrays: Sequence[NDArray[np.generic]], repeats: int | None = None
) -> RowTimes:
    """Runs the program on ``arrays``, C-contiguous and of the right dtypes, and times its rows.

    ``repeats`` defaults to what half a second allows, at least 5 and at most 1000 runs.

    Raises:
        ValueError, TypeError: the arrays do not fit, as for a call, or ``repeats`` is not positive.
    """
    if repeats is not None and repeats < 1:
        raise ValueError(f"repeats: expected 1 or more, got {repeats}")
    binding = executor.bind([array.shape for array in arrays], profile=True)
    slots = [executor.program.slots[i] for i in executor.program.outputs]
    outputs = [
        np.empty(shape, np.dtype(slot.dtype))
        for shape, slot in zip(binding.shapes, slots, strict=True)
    ]
    callers = [*executor.addresses(arrays), *map(address_of, outputs)]

    def run() -> tuple[NDArray[np.float64], int]:
        start = time.perf_counter_ns()
        times = binding.timed(callers)
        return times, time.perf_counter_ns() - start

    for _ in range(WARM_UPS):
        run()
    runs: list[tuple[NDArray[np.float64], int]] = []
    stop = time.perf_counter() + SECONDS
    while len(runs) < (repeats or MOST):
        if repeats is None and len(runs) >= FEWEST and time.perf_counter() > stop:
            break
        runs.append(run())
    rows, calls = zip(*runs, strict=True)
    return RowTimes(np.stack(rows), np.array(calls), tuple(binding.rows), dict(binding.sizes))
