"""Runs a program's table of launches: one native call, one pool of threads, barriers inside.

A table is an int64 array of rows of eight words; `barrier` is 1 where all threads must have
finished the row before any goes on:

    LAUNCH [0, barrier, kernel address, args offset, nargs, patches offset, npatches, parts]
           the launch is divided into `tasks` (0: as many as threads), each a call of kernel(args,
           task, tasks) by whichever thread is free.
    TILE   [1, barrier, body rows, total, tile, start counter, count counter, 0]
           `total` samples in pieces of `tile`; a thread takes a piece and runs the body rows for
           it as kernel(args, 0, 1); barriers in the body are ignored.
    LOOP   [2, barrier, body rows, trips, index counter, parity counter, 0, 0]
           the body rows run `trips` times; barriers in the body are honoured. The parity counter
           (0: none) is 0 and 1 in turn.
    IF     [3, barrier, body rows, args offset, index counter, parity counter, patches offset,
            npatches]
           two arguments: the address of a byte, and what it has to be for the body rows to run.
           All threads take the same decision, once all rows before are finished.
    WHILE  [4, as of IF]
           again and again, as long as it is so, asked before each trip. The counters then hold
           the number of trips, and its parity.

Bodies nest either way. Counters are int64 words, one set a thread; counter 0 is the thread's
index. Patches are triples (argument, counter, coefficient): a launch that has some gets a copy of
its arguments in which coefficient * counter is added to each. So has the address that IF reads.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import config
from . import table_layout as layout
from .thread_pool import aligned_words, current_pool
from .toolchain import KERNELS

Words = NDArray[np.int64]
LAUNCH, TILE, LOOP = layout.LAUNCH, layout.TILE, layout.LOOP
IF, WHILE, ROW = layout.IF, layout.WHILE, layout.ROW
LINE = 16  # words; two cache lines, as neighbours are fetched in pairs


class TableError(ValueError):
    """A table that cannot be run."""


@cache
def interpreter_address(profile: bool) -> int:
    """Address of the compiled interpreter, with or without time measurement."""
    source = Path(__file__).with_name("interpreter.py").read_text()
    if profile:
        source = source.replace("\nPROFILE = False\n", "\nPROFILE = True\n")
    return KERNELS.load(source).address


def _round_up(count: int) -> int:
    return -(-count // LINE) * LINE


class Dispatch:
    """One table with all it needs to run; the arrays may be changed in place between runs.

    Runs of one Dispatch must not overlap; different Dispatches may run in different Python threads.

    Args:
        code: rows as described above, int64, flat or (rows, 8).
        args: arguments of all launches, int64.
        patches: triples, int64.
        counters: how many counters the table uses, counter 0 included.
        threads: the most threads of a run; default `config.threads`.
        profile: measure: `times` then holds nanoseconds for each row, added up over runs: what
            it adds to the time of a run; of rows in tiles, what all threads spent on them
            together; 0 for loops. `start_timing` belongs before a run.

    Raises:
        TableError: the table is malformed.
    """

    def __init__(
        self,
        code: Words,
        args: Words,
        patches: Words,
        counters: int = 1,
        threads: int | None = None,
        profile: bool = False,
    ) -> None:
        self.threads = config.threads if threads is None else threads
        self.code = _flat("code", code)
        self.args = _flat("args", args)
        self.patches = _flat("patches", patches)
        longest = check_table(self.code, self.args.size, self.patches, counters)
        self._times = np.zeros(self.code.size // ROW + 1, np.int64)
        self.times = self._times[:-1]
        self._scratch_words = _round_up(layout.STACK_WORDS + longest)
        self._counter_words = _round_up(counters)
        self._scratch = aligned_words(self.threads * self._scratch_words)
        self._counters = aligned_words(self.threads * self._counter_words)
        self._progress = aligned_words(layout.PROGRESS_WORDS)
        self._header = self._make_header(interpreter_address(profile))
        self._header_address = self._header.ctypes.data

    def _make_header(self, interpreter: int) -> Words:
        header = aligned_words(layout.HEADER_WORDS)
        header[layout.CODE] = self.code.ctypes.data
        header[layout.ROWS] = self.code.size // ROW
        header[layout.ARGS] = self.args.ctypes.data
        header[layout.PATCHES] = self.patches.ctypes.data
        header[layout.SCRATCH] = self._scratch.ctypes.data
        header[layout.SCRATCH_WORDS] = self._scratch_words
        header[layout.COUNTERS] = self._counters.ctypes.data
        header[layout.COUNTER_WORDS] = self._counter_words
        header[layout.PROGRESS] = self._progress.ctypes.data
        header[layout.TIMES] = self.times.ctypes.data
        header[layout.INTERPRETER] = interpreter
        return header

    def start_timing(self) -> None:
        """Sets all times to 0."""
        self._times[:] = 0

    def run(self, threads: int | None = None) -> None:
        """Run the table once, on at most `threads` threads (and those it was made for)."""
        threads = self.threads if threads is None else min(threads, self.threads)
        current_pool().run(self._header_address, threads)


def _flat(name: str, array: Any) -> Words:
    if not isinstance(array, np.ndarray) or array.dtype != np.int64:
        got = getattr(array, "dtype", type(array).__name__)
        raise TableError(f"{name}: expected an int64 array, got {got}")
    if not array.flags.c_contiguous:
        raise TableError(f"{name}: expected a contiguous array, got strides {array.strides}")
    return array.reshape(-1)


def check_table(code: Words, args: int, patches: Words, counters: int) -> int:
    """Check that a table can be run; returns the most arguments of a patched launch.

    Raises:
        TableError: an unknown row, a body or offset outside the table, nesting too deep.
    """
    if code.size % ROW:
        raise TableError(f"code: expected rows of {ROW} words, got {code.size} words")
    rows = code.reshape(-1, ROW)
    unknown = np.flatnonzero((rows[:, 0] < LAUNCH) | (rows[:, 0] > WHILE))
    if unknown.size:
        raise TableError(
            f"row {unknown[0]}: expected an operation from 0 to {WHILE}, got {rows[unknown[0], 0]}"
        )
    _check_bodies(rows, counters)
    _check_patches(rows, patches, counters)
    launches = rows[rows[:, 0] == LAUNCH]
    asking = rows[rows[:, 0] >= IF]
    starts = np.concatenate((launches[:, 3], asking[:, 3]))
    ends = np.concatenate((launches[:, 3] + launches[:, 4], asking[:, 3] + 2))
    if np.any((starts < 0) | (ends > args)):
        raise TableError(f"a row reads arguments outside the {args} there are")
    patched = launches[launches[:, 6] > 0]
    return int(patched[:, 4].max()) if patched.size else 0


def _check_bodies(rows: Words, counters: int) -> None:
    ends: list[int] = []
    for index in np.flatnonzero(rows[:, 0] != LAUNCH).tolist():
        while ends and ends[-1] <= index:
            ends.pop()
        end = index + 1 + int(rows[index, 2])
        if rows[index, 2] < 0 or end > (ends[-1] if ends else len(rows)):
            raise TableError(f"row {index}: its body of {rows[index, 2]} rows does not fit")
        used = rows[index, 5:7] if rows[index, 0] == TILE else rows[index, 4:6]
        least = [1, 0] if rows[index, 0] == LOOP else [1, 1]
        if np.any((used < least) | (used >= counters)):
            raise TableError(f"row {index}: expected counters 1 to {counters - 1}, got {used}")
        if rows[index, 0] == TILE and rows[index, 4] < 1:
            raise TableError(f"row {index}: expected a tile of 1 or more, got {rows[index, 4]}")
        ends.append(end)
        if len(ends) > layout.DEPTH:
            raise TableError(f"row {index}: nested more than {layout.DEPTH} deep")


def _check_patches(rows: Words, patches: Words, counters: int) -> None:
    places = rows[rows[:, 0] == LAUNCH, 5:7], rows[rows[:, 0] >= IF, 6:8]
    first, count = np.concatenate(places).T
    used = count > 0
    if np.any(used & ((first < 0) | (first + 3 * count > patches.size))):
        raise TableError(f"a row reads patches outside the {patches.size // 3} there are")
    if np.any((patches[1::3] < 0) | (patches[1::3] >= counters)):
        raise TableError(f"a patch names a counter outside 0 to {counters - 1}")
