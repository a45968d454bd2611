"""Calls whose results are to be finite, and the kernel to blame where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from .arrays import is_float
from .dim import Size
from .executor import Arrays, Executor
from .host_functions import REQUIRE_FINITE, REQUIRE_NO_NAN, NotFiniteError
from .program import (
    CONSTANT,
    HEADS,
    INPUT,
    GuardRow,
    HostRow,
    LaunchRow,
    Program,
    Row,
    Slot,
    TileRow,
)


def call_checked(
    executor: Executor, arrays: Arrays, refusal: Callable[[Mapping[str, np.ndarray]], Exception]
) -> Arrays:
    """The results of a call, if they and the state are finite.

    Else raises what ``refusal`` makes of the state before the call, which is the state again.
    """
    before = {name: buffer.read().copy() for name, buffer in executor.state.items()}
    results = executor(*arrays)
    updated = [buffer.read() for buffer in executor.state.values()]
    if all(np.isfinite(each).all() for each in (*results, *updated)):
        return results
    for name, buffer in executor.state.items():
        buffer.write(before[name])
    raise refusal(before)


def first_not_finite(executor: Executor, arrays: Arrays) -> str | None:
    """What the first kernel computes that gives a NaN or, if none does, an infinity; None if none.

    Runs the program once more for each, with a state of its own.
    """
    for function in (REQUIRE_NO_NAN, REQUIRE_FINITE):
        own = Executor(watched(executor.program, function), executor.threads)
        for slot, value in zip(executor.program.constants, executor.weights, strict=True):
            own.set_constant(slot, value)
        for name, buffer in executor.state.items():
            own.state[name].write(buffer.read())
        try:
            own(*arrays)
        except NotFiniteError as error:
            return str(error)
    return None


def watched(program: Program, function: str) -> Program:
    """The program with calls of a host function on values as soon as they are there.

    These are floating point values that outlive their tile, and rows that a guard may skip, each
    after the last row that writes it: one that is written in pieces is whole then. ``function`` is
    ``REQUIRE_NO_NAN`` or its like.
    """
    calls: dict[int, list[HostRow]] = {}
    ends: dict[int, int] = {}
    for number, (end, label) in _written(program).items():
        if _is_plain(program.slots[number]):
            calls.setdefault(end, []).append(HostRow(function, (number,), (), label))
            ends[number] = end
    rows: list[Row] = []
    places: list[int] = []  # where each row is now, and where one more would be
    for index, row in enumerate(program.rows):
        places.append(len(rows))
        rows += [row, *calls.get(index, ())]
    places.append(len(rows))
    slots: list[Slot] = []
    for number, slot in enumerate(program.slots):
        last, end = places[slot.last], ends.get(number, -1)
        if slot.last <= end:
            last = places[end] + len(calls[end])
        slots.append(replace(slot, first=places[slot.first], last=last))
    return replace(program, slots=tuple(slots), rows=tuple(rows))


def _written(program: Program) -> dict[int, tuple[int, str]]:
    """Of each slot that is written the last row outside of all tiles and loops, and its label."""
    found: dict[int, tuple[int, str]] = {}
    for index, row in enumerate(program.rows):
        if not isinstance(row, LaunchRow):
            continue
        heads = program.around[index]
        outer = program.rows[heads[0]] if heads else row
        end = heads[0] + outer.rows if isinstance(outer, HEADS) else index
        for slot in row.writes:
            passing = isinstance(outer, (TileRow, GuardRow))
            if not passing or not _is_within(program.slots[slot], heads[0], end):
                found[slot] = (end, row.label)
    return found


def _is_within(slot: Slot, first: int, last: int) -> bool:
    return first <= slot.first and slot.last <= last


def _is_plain(slot: Slot) -> bool:
    """Whether it is for floats that a kernel makes, with nothing around them."""
    dtype = np.dtype(slot.dtype)
    own: Size = dtype.itemsize
    for size in slot.shape:
        own = own * size
    return slot.kind not in (INPUT, CONSTANT) and is_float(dtype) and own == slot.bytes
