"""Times every row of a bound program's table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .executor import Executor
from .memory import address_of
from .program import LaunchRow, LoopRow, Program, TileRow

WARM_UPS = 3
SECONDS = 0.5  # spent on measuring unless the caller says how often
FEWEST, MOST = 5, 1000


@dataclass(frozen=True)
class RowTimes:
    """Nanoseconds of each run.

    Attributes:
        rows: of each row of the table, float64 (repeats, rows): what it adds to the time of a run,
            whichever threads do it. Rows in a tile, through which threads go each at its own pace,
            have the mean of what threads spend on them. Tiles and loops include their bodies.
        calls: from call to return, int64 (repeats,).
        program_rows: the row of the program that each row of the table was made from.
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

    def run() -> tuple[NDArray[np.int64], int]:
        binding.dispatch.start_timing()
        start = time.perf_counter_ns()
        binding.run(callers)
        return binding.dispatch.times.copy(), time.perf_counter_ns() - start

    for _ in range(WARM_UPS):
        run()
    runs: list[tuple[NDArray[np.int64], int]] = []
    stop = time.perf_counter() + SECONDS
    while len(runs) < (repeats or MOST):
        if repeats is None and len(runs) >= FEWEST and time.perf_counter() > stop:
            break
        runs.append(run())
    rows, calls = zip(*runs, strict=True)
    times = _by_row(np.stack(rows), executor.program, binding.rows, binding.threads)
    return RowTimes(times, np.array(calls), tuple(binding.rows), dict(binding.bindings))


def _by_row(
    measured: NDArray[np.int64], program: Program, table: Sequence[int], threads: int
) -> NDArray[np.float64]:
    """Rows in tiles with the mean of all threads' times, loops with the sum of their bodies'.

    Args:
        measured: what the dispatcher counted, (repeats, rows).
        table: the program's row of each row of the table.
    """
    times = measured.astype(np.float64)
    place = {row: column for column, row in enumerate(table)}
    for row, column in place.items():
        if not isinstance(program.rows[row], LaunchRow):
            continue
        heads = [head for head in program.around[row] if head in place]
        if any(isinstance(program.rows[head], TileRow) for head in heads):
            times[:, column] /= threads
        for head in heads:
            if isinstance(program.rows[head], LoopRow):
                times[:, place[head]] += times[:, column]
    return times
