"""Whether a program that comes from outside hangs together: what its parts name is there.

A program that passes is one that can be bound and printed. Whether its kernels stay within its
memory is beyond this: see SECURITY.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .arrays import is_float
from .dim import Size, symbols_of
from .program import (
    ARENA,
    CONSTANT,
    HEADS,
    INPUT,
    LOOPS,
    OUTPUT,
    STATE,
    BranchRow,
    GuardRow,
    HostRow,
    LaunchRow,
    Location,
    LoopRow,
    Program,
    Scratch,
    Slot,
    TileRow,
)

KINDS = (INPUT, OUTPUT, CONSTANT, STATE, ARENA)


def check_program(program: Program, parameters: Sequence[Sequence[bool]]) -> None:
    """Raises ``ValueError`` at the first contradiction.

    ``parameters`` says of each kernel which of its arguments are addresses.
    """
    _require(len(parameters) == len(program.kernels), "as many kernels as are described")
    known = frozenset(program.symbols)
    for size in _sizes(program):
        _require(symbols_of(size) <= known, f"sizes of {', '.join(known) or 'numbers'}; got {size}")
    for index, slot in enumerate(program.slots):
        _check_slot(index, slot, len(program.rows))
    for name, kind in (("inputs", INPUT), ("outputs", OUTPUT)):
        for slot_index in getattr(program, name):
            _check_index(slot_index, program, name)
            _require(program.slots[slot_index].kind == kind, f"{name} among the slots of {kind}s")
    _check_nesting(program)
    behind_guards: set[tuple[int, ...]] = set()  # heads around the rows behind them
    for index, row in enumerate(program.rows):
        if isinstance(row, (LaunchRow, HostRow)):
            for slot_index in (*row.reads, *row.writes):
                _check_index(slot_index, program, f"row {index}")
        if isinstance(row, LaunchRow):
            # Rows behind a guard may move with the trips that there were, too.
            loops = _loops_around(index, program) + (program.around[index] in behind_guards)
            _check_launch(index, row, program, parameters, loops)
        if isinstance(row, GuardRow):
            _check_guard(index, row, program)
            behind_guards.add(program.around[index])


def _check_slot(index: int, slot: Slot, rows: int) -> None:
    _require(slot.kind in KINDS, f"slot {index}: a kind of slot; got {slot.kind!r}")
    _require(_is_dtype(slot.dtype), f"slot {index}: a dtype of numbers; got {slot.dtype!r}")
    _require(0 <= slot.first <= rows and 0 <= slot.last <= rows, f"slot {index}: rows there are")
    if slot.kind in (CONSTANT, STATE):
        sizes = (slot.bytes, *slot.shape)
        fixed = all(isinstance(size, int) and size >= 0 for size in sizes)
        _require(fixed, f"slot {index}: a size that is known")
    if slot.kind != ARENA:
        own: Size = np.dtype(slot.dtype).itemsize
        for size in slot.shape:
            own = own * size
        _require(own == slot.bytes, f"slot {index}: bytes of its shape")


def _is_dtype(name: str) -> bool:
    try:
        dtype = np.dtype(name)
    except TypeError:
        return False
    return (dtype.kind in "biu" or is_float(dtype)) and dtype.name == name


def _check_nesting(program: Program) -> None:
    ends = [len(program.rows)]
    for index, row in enumerate(program.rows):
        while len(ends) > 1 and ends[-1] <= index:
            ends.pop()
        if isinstance(row, HEADS):
            ends.append(index + 1 + row.rows)
            _require(row.rows >= 0 and ends[-1] <= ends[-2], f"row {index}: rows that it holds")
        if isinstance(row, TileRow):
            _require(row.tile > 0 and row.unit > 0, f"row {index}: samples to a tile")
            _require(row.symbol in program.symbols, f"row {index}: a size to tile")
            inside = any(isinstance(program.rows[i], TileRow) for i in program.around[index])
            _require(not inside, f"row {index}: no tile in a tile")
        if isinstance(row, BranchRow):
            around = [program.rows[i] for i in program.around[index]]
            alone = all(isinstance(each, TileRow) for each in around)
            _require(alone, f"row {index}: no branch in a branch or a loop")


def _check_launch(
    index: int,
    row: LaunchRow,
    program: Program,
    parameters: Sequence[Sequence[bool]],
    loops: int,
) -> None:
    _require(0 <= row.kernel < len(parameters), f"row {index}: a kernel that there is")
    wanted = tuple(parameters[row.kernel])
    given = tuple(isinstance(each, (Location, Scratch)) for each in row.arguments)
    _require(given == wanted, f"row {index}: the arguments of its kernel")
    _require(row.grid is None or row.grid.threads > 0, f"row {index}: threads in a block")
    for argument in row.arguments:
        if isinstance(argument, Scratch):
            _require(argument.bytes >= 0, f"row {index}: bytes of scratch")
        elif isinstance(argument, Location):
            _check_location(index, argument, program, loops)


def _check_guard(index: int, row: GuardRow, program: Program) -> None:
    _require(row.wanted in (0, 1), f"row {index}: a flag that is 0 or 1")
    # It is asked once the trips that it counts have a number.
    _check_location(index, row.flag, program, _loops_around(index, program) + 1)
    _require(program.slots[row.flag.slot].dtype == "bool", f"row {index}: a flag to read")
    tiled = any(isinstance(program.rows[head], TileRow) for head in program.around[index])
    _require(not tiled, f"row {index}: no guard in a tile")


def _check_location(index: int, location: Location, program: Program, loops: int) -> None:
    """``loops`` are those that addresses of row ``index`` may move with."""
    _check_index(location.slot, program, f"row {index}")
    for move in location.moves:
        _require(0 <= move.loop < loops, f"row {index}: loops around it")


def _loops_around(index: int, program: Program) -> int:
    return sum(isinstance(program.rows[head], LOOPS) for head in program.around[index])


def _check_index(slot: int, program: Program, place: str) -> None:
    _require(0 <= slot < len(program.slots), f"{place}: a slot that there is; got {slot}")


def _sizes_of(location: Location) -> tuple[Size, ...]:
    return (location.offset, *(move.bytes for move in location.moves))


def _sizes(program: Program) -> Iterator[Size]:
    for slot in program.slots:
        yield from (*slot.shape, slot.bytes)
    for condition in program.conditions:
        yield from (condition.low, condition.high)
    for row in program.rows:
        if isinstance(row, LoopRow):
            yield row.trips
        elif isinstance(row, GuardRow):
            yield from _sizes_of(row.flag)
        elif isinstance(row, LaunchRow):
            yield from (row.flops, row.bytes)
            if row.grid is not None:
                yield row.grid.blocks
            for argument in row.arguments:
                if isinstance(argument, Location):
                    yield from _sizes_of(argument)
                elif not isinstance(argument, Scratch):
                    yield argument


def _require(holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"expected {expected}")
