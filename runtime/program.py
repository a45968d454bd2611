"""A compiled model as data: kernels, a table of launches, the memory they work on.

Sizes stay symbolic (``runtime/dim.py``); ``binding.py`` makes a concrete table of them for each
batch size. Nothing here knows graphs or layers: a program loads and runs without the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .columns import columns
from .dim import Size
from .forks import cached_property

INPUT, OUTPUT, CONSTANT, STATE, ARENA = "input", "output", "constant", "state", "arena"


@dataclass(frozen=True)
class KernelText:
    """A kernel's name and its complete module text; equal texts are compiled once a machine."""

    name: str
    source: str


@dataclass(frozen=True)
class Slot:
    """A piece of memory: an argument, a result, a prepared weight, state, or a part of the arena.

    State is read and written by each call, and kept from one to the next.

    ``shape`` and ``dtype`` are the value's; ``bytes`` may be more (a halo around it, panels).
    ``first`` and ``last`` are the rows between which an arena slot holds its value.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[Size, ...]
    bytes: Size
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Move:
    """How an address moves with the trips of a loop: ``bytes`` further on each.

    ``loop`` counts the loops around the row from the outside. An ``alternate`` move switches
    between two buffers: it is ``bytes`` on every second trip, 0 on the others.
    """

    loop: int
    bytes: Size
    alternate: bool = False


@dataclass(frozen=True)
class Location:
    """A location in memory: a slot's start plus ``offset`` bytes, and the moves of loops around the
    row."""

    slot: int
    offset: Size = 0
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Scratch:
    """The address of ``bytes`` that are the running thread's own, for the time of one launch."""

    bytes: int


Argument: TypeAlias = "Location | Scratch | Size"


@dataclass(frozen=True)
class Grid:
    """So many blocks of so many threads, which run a kernel on a device that asks for them."""

    blocks: Size
    threads: int

    def __str__(self) -> str:
        return f"{self.blocks} x {self.threads}"


@dataclass(frozen=True)
class LaunchRow:
    """One launch. ``halo`` rows write around, never inside, the value of their slot.

    It has a ``grid`` where the device asks for one; else threads share the work of a kernel.
    """

    kernel: int
    arguments: tuple[Argument, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    label: str
    flops: Size
    bytes: Size
    halo: bool = False
    grid: Grid | None = None


@dataclass(frozen=True)
class TileRow:
    """The next ``rows`` rows treat samples one by one: depth first over the batch.

    From ``least`` samples on, each thread takes its share of them through all these rows, ``tile``
    at a time, in memory of its own; with fewer, the rows are run one after another. Pieces are
    multiples of ``unit``, the last one aside: kernels that compute so many samples in one way and
    what is left in another then give the same bits however the pieces fall.
    """

    rows: int
    tile: int
    least: int
    symbol: str = "N"
    unit: int = 1


@dataclass(frozen=True)
class BranchRow:
    """The next ``rows`` rows are one of the branches of a fork, which run beside one another.

    Each of the branches, which follow one another and read nothing of what the others write, is run
    by one thread from its first row to its last, without waiting for anybody. So it is up to
    ``most`` samples; with more, threads share the work of each row. Branches of one ``fork`` have
    its number.
    """

    rows: int
    fork: int
    most: int
    symbol: str = "N"


@dataclass(frozen=True)
class LoopRow:
    """The next ``rows`` rows run ``trips`` times, in order."""

    rows: int
    trips: Size
    label: str


@dataclass(frozen=True)
class GuardRow:
    """The next ``rows`` rows run if the byte at ``flag`` is ``wanted``, a number of 0 and 1.

    If it ``repeats``, they run again and again as long as it is so: it is read before each trip.
    As of any loop addresses move with the trips in its body; those of rows behind it, up to the
    next loop, move with the number of trips that there were.
    """

    rows: int
    flag: Location
    wanted: int
    repeats: bool
    label: str


@dataclass(frozen=True)
class HostRow:
    """A call, between launches, of a function on the host: ``host_functions.py`` knows its name.

    It is given ``label``, arrays of the slots that it reads, and arrays of those that it writes.
    It stands in no tile, no loop and behind no guard.
    """

    function: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    label: str


Row: TypeAlias = LaunchRow | TileRow | BranchRow | LoopRow | GuardRow | HostRow
LOOPS = (LoopRow, GuardRow)  # rows that count how often their bodies run
HEADS = (TileRow, BranchRow, *LOOPS)  # rows with a body


@dataclass(frozen=True)
class Condition:
    """``low <= high`` must hold of the sizes of a call; ``place`` says for whose sake."""

    low: Size
    high: Size
    place: str

    def __str__(self) -> str:
        return f"{self.low} <= {self.high} for {self.place}"


@dataclass(frozen=True)
class Program:
    """Everything a call needs but the weights' values and the arguments."""

    name: str
    kernels: tuple[KernelText, ...]
    slots: tuple[Slot, ...]
    rows: tuple[Row, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    symbols: tuple[str, ...] = field(default=())
    conditions: tuple[Condition, ...] = ()
    target: str = ""

    def __str__(self) -> str:
        kernels = [kernel.name for kernel in self.kernels]
        lines = [f"program {self.name} for {self.target}", *map(str, self.conditions)]
        return "\n".join([*lines, listing(kernels, self.slots, self.rows)])

    @property
    def launches(self) -> int:
        """How many launches one untiled call makes, those in loops and behind guards once."""
        return sum(isinstance(row, LaunchRow) for row in self.rows)

    @cached_property
    def around(self) -> tuple[tuple[int, ...], ...]:
        """For each row the heads that it lies in the bodies of, the outermost first."""
        return heads_around(self.rows)

    @cached_property
    def ends(self) -> Mapping[int, int]:
        """Of each slot of the caller's the place of its array: inputs, then outputs."""
        slots = (*self.inputs, *self.outputs)
        return {slot: place for place, slot in reversed([*enumerate(slots)])}

    def trips(self, index: int) -> Size:
        """How often row ``index`` runs in one call: more than once in loops.

        Guards, of which the data decide, count as if they let their rows run once.
        """
        total: Size = 1
        for head in self.around[index]:
            row = self.rows[head]
            total = total * row.trips if isinstance(row, LoopRow) else total
        return total

    @property
    def flops(self) -> Size:
        """What one call computes."""
        return self._sum(lambda row: row.flops)

    @property
    def bytes(self) -> Size:
        """What the launches of one call read and write."""
        return self._sum(lambda row: row.bytes)

    def _sum(self, cost: Callable[[LaunchRow], Size]) -> Size:
        total: Size = 0
        for index, row in enumerate(self.rows):
            if isinstance(row, LaunchRow):
                total = total + cost(row) * self.trips(index)
        return total

    @property
    def constants(self) -> tuple[int, ...]:
        """Slots that hold prepared weights."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.kind == CONSTANT)

    @property
    def state(self) -> dict[str, int]:
        """Slots that calls update, by name."""
        return {slot.name: i for i, slot in enumerate(self.slots) if slot.kind == STATE}


def heads_around(rows: Sequence[Row]) -> tuple[tuple[int, ...], ...]:
    """For each of ``rows`` the heads that it lies in the bodies of, the outermost first."""
    found: list[tuple[int, ...]] = []
    ends: list[tuple[int, int]] = []  # a head, and the row after its body
    for index, row in enumerate(rows):
        ends = [pair for pair in ends if pair[1] > index]
        found.append(tuple(head for head, _ in ends))
        if isinstance(row, HEADS):
            ends.append((index, index + 1 + row.rows))
    return tuple(found)


def listing(kernels: Sequence[str], slots: Sequence[Slot], rows: Sequence[Row]) -> str:
    """Slots and rows as two tables, with kernels by name; sizes stay symbols."""
    slot_rows = [(str(index), *_slot_cells(slot)) for index, slot in enumerate(slots)]
    indents = ["  " * len(heads) for heads in heads_around(rows)]
    table = [
        (str(index), indent + _what(row, kernels), *_row_cells(row))
        for index, (row, indent) in enumerate(zip(rows, indents, strict=True))
    ]
    memory = columns((">slot", "kind", "type", ">bytes", "rows", "value"), slot_rows)
    return f"\n{memory}\n\n{columns(('>row', 'what', 'reads', 'writes', '>flops', 'for'), table)}"


def _slot_cells(slot: Slot) -> tuple[str, ...]:
    type_ = f"{slot.dtype}[{', '.join(map(str, slot.shape))}]"
    lives = f"{slot.first}-{slot.last}" if slot.kind == ARENA else ""
    return slot.kind, type_, str(slot.bytes), lives, slot.name


def _what(row: Row, kernels: Sequence[str]) -> str:
    if isinstance(row, LaunchRow):
        grid = f" on {row.grid}" if row.grid is not None else ""
        return f"{kernels[row.kernel]} ({row.kernel}){grid}"
    if isinstance(row, LoopRow):
        return f"{row.trips} times through {_rows(row.rows)}"
    if isinstance(row, GuardRow):
        return f"{guard_words(row)}: {_rows(row.rows)}"
    if isinstance(row, HostRow):
        return f"{row.function}, on the host"
    if isinstance(row, BranchRow):
        return f"up to {row.symbol}={row.most}, branch of fork {row.fork}: {_rows(row.rows)}"
    return f"from {row.symbol}={row.least}, {row.tile} at a time through {_rows(row.rows)}"


def guard_words(row: GuardRow) -> str:
    """``while slot 3 is 1``"""
    return f"{'while' if row.repeats else 'if'} slot {row.flag.slot} is {row.wanted}"


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _row_cells(row: Row) -> tuple[str, ...]:
    if isinstance(row, (LaunchRow, HostRow)):
        slots = (" ".join(map(str, each)) for each in (row.reads, row.writes))
        return *slots, str(row.flops) if isinstance(row, LaunchRow) else "", row.label
    if isinstance(row, GuardRow):
        return str(row.flag.slot), "", "", row.label
    return "", "", "", row.label if isinstance(row, LoopRow) else ""
