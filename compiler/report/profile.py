"""``profile()``: where the time of a call goes, launch by launch, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...runtime.dim import evaluate
from ...runtime.profiler import RowTimes, measure
from ...runtime.program import (
    HEADS,
    BranchRow,
    GuardRow,
    HostRow,
    LaunchRow,
    Program,
    TileRow,
    guard_words,
)
from ..executable import Executable
from ..sources import kernel_names
from ..target import Peaks
from ..units import count_of, format_seconds, three_digits
from .table import Column, Table, TableRow

COLUMNS = (
    Column("kernel", wraps=True),
    Column("layers", wraps=True),
    Column("time", right=True),
    Column("share", right=True),
    Column("GFLOP/s", right=True),
    Column("peak", right=True),
    Column("GB/s", right=True),
    Column("peak", right=True),
    Column("limit"),
)
INDENT = "  "
HOT = 0.2  # a launch that takes a fifth of the time stands out


@dataclass(frozen=True)
class LaunchTime:
    """One launch; or a tile (launches run sample by sample) or loop, whose launches follow it.

    Attributes:
        kernel: its name; of a tile or loop what it is.
        layers: whose work it does.
        nanoseconds: median over the runs of what it adds to the time of a call.
        share: of the whole call.
        flops, bytes: arithmetic, and memory read and written, of the whole batch and all trips.
        compute_share, memory_share: of the arithmetic, and of the memory traffic, that the machine
            reaches at most in this time. What caches hold may move faster than memory does.
        depth: of how many tiles and loops above its time is part.
        has_body: whether it is a tile or loop.
    """

    kernel: str
    layers: str
    nanoseconds: float
    share: float
    flops: int
    bytes: int
    compute_share: float
    memory_share: float
    depth: int = 0
    has_body: bool = False

    @property
    def gflops_per_second(self) -> float:
        return self.flops / self.nanoseconds if self.nanoseconds else 0.0

    @property
    def gigabytes_per_second(self) -> float:
        return self.bytes / self.nanoseconds if self.nanoseconds else 0.0

    @property
    def limit(self) -> str:
        """Of which it reaches the larger share, and so what bounds it: arithmetic or memory."""
        if not self.flops and not self.bytes:
            return ""
        return "compute" if self.compute_share >= self.memory_share else "memory"

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "limit": self.limit,
            "gflops_per_second": self.gflops_per_second,
            "gigabytes_per_second": self.gigabytes_per_second,
        }


@dataclass(frozen=True)
class Profile:
    """Times of one program at one set of sizes. Printing it shows the table.

    ``peaks`` are what the machine reaches at most with the ``threads`` of the program.
    """

    name: str
    sizes: dict[str, int]
    repeats: int
    nanoseconds: float
    launches: tuple[LaunchTime, ...]
    threads: int
    peaks: Peaks

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return f"<profile of {self.name}: {format_seconds(self.nanoseconds / 1e9)}>"

    def table(self) -> Table:
        """One row a launch, in the order they run; a tile's launches are indented below it."""
        rows = [_row(launch) for launch in self.launches]
        sizes = ", ".join(f"{name}={value}" for name, value in self.sizes.items())
        title = f"{self.name}{f' ({sizes})' if sizes else ''}: {_seconds(self.nanoseconds)} a call"
        notes = (
            f"Medians of {self.repeats} runs; what each launch adds to the time of a call.",
            self._peaks_note(),
        )
        return Table(title, COLUMNS, (*rows, self._rest()), notes)

    def _peaks_note(self) -> str:
        peaks = f"{three_digits(self.peaks.gflops)} GFLOP/s and {three_digits(self.peaks.gbs)} GB/s"
        found = (
            "as calibration measured them"
            if self.peaks.measured
            else "an estimate; keraunos calibrate measures them"
        )
        return (
            f"Peaks of {count_of(self.threads, 'thread')}: {peaks} of memory, {found}. "
            "Caches are faster than memory."
        )

    def _rest(self) -> TableRow:
        inside = sum(launch.nanoseconds for launch in self.launches if not launch.depth)
        rest = max(self.nanoseconds - inside, 0.0)
        share = f"{rest / self.nanoseconds:.1%}"
        return TableRow(("threads start and join", "", _seconds(rest), share, *[""] * 5), "quiet")

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data; times in nanoseconds."""
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "repeats": self.repeats,
            "nanoseconds": self.nanoseconds,
            "threads": self.threads,
            "peaks": asdict(self.peaks),
            "launches": [launch.to_dict() for launch in self.launches],
        }


def profile(executable: Executable, *arrays: np.ndarray, repeats: int | None = None) -> Profile:
    """How long each launch of a call on ``arrays`` takes.

    Runs the program for half a second, or ``repeats`` times, after a call that raises what a call
    does.

    Raises:
        ValueError: the arrays do not fit, or ``repeats`` is not positive.
    """
    executable(*arrays)
    times = measure(executable.executor, arrays, repeats)
    total, program = float(np.median(times.calls)), executable.program
    threads = executable.executor.threads
    peaks = executable.target.peaks(threads)
    launches = tuple(_launch_times(program, times, total, peaks))
    repeats = len(times.calls)
    return Profile(program.name, times.sizes, repeats, total, launches, threads, peaks)


def _launch_times(
    program: Program, times: RowTimes, total: float, peaks: Peaks
) -> Iterator[LaunchTime]:
    kernels = kernel_names(program)
    medians = np.median(times.rows, axis=0)
    timed = frozenset(times.program_rows)  # tiles that do not pay at this batch are not
    for index, nanoseconds in zip(times.program_rows, medians.tolist(), strict=True):
        flops, moved = _costs(program, index, times.sizes)
        name, layers = _title(program, index, kernels, times.sizes)
        yield LaunchTime(
            name,
            layers,
            nanoseconds,
            nanoseconds / total,
            flops,
            moved,
            flops / nanoseconds / peaks.gflops if nanoseconds else 0.0,
            moved / nanoseconds / peaks.gbs if nanoseconds else 0.0,
            sum(head in timed for head in program.around[index]),
            isinstance(program.rows[index], HEADS),
        )


def _costs(program: Program, index: int, sizes: dict[str, int]) -> tuple[int, int]:
    """Arithmetic and bytes of a launch, or of all launches of a tile or loop, in one call."""
    launches = [(row, evaluate(program.trips(i), sizes)) for i, row in _launches(program, index)]
    flops = sum(evaluate(row.flops, sizes) * trips for row, trips in launches)
    return flops, sum(evaluate(row.bytes, sizes) * trips for row, trips in launches)


def _launches(program: Program, index: int) -> list[tuple[int, LaunchRow]]:
    """Row ``index`` if it is a launch; else those in its tile or loop."""
    head = program.rows[index]
    end = index + 1 + (head.rows if isinstance(head, HEADS) else 0)
    rows = enumerate(program.rows[index:end], index)
    return [(i, row) for i, row in rows if isinstance(row, LaunchRow)]


def _title(
    program: Program, index: int, kernels: Sequence[str], sizes: dict[str, int]
) -> tuple[str, str]:
    """What a row runs, and for which layers."""
    row = program.rows[index]
    if isinstance(row, LaunchRow):
        return kernels[row.kernel], layers_of(row.label)
    if isinstance(row, HostRow):
        return f"host: {row.function}", layers_of(row.label)
    launches = count_of(len(_launches(program, index)), "launch")
    if isinstance(row, BranchRow):
        return f"branch of {launches} on one thread", ""
    if isinstance(row, TileRow):
        return f"{row.tile} at a time through {launches}", ""
    if isinstance(row, GuardRow):
        return f"{guard_words(row)}: {launches}", layers_of(row.label)
    return f"{evaluate(row.trips, sizes)} times through {launches}", layers_of(row.label)


def layers_of(label: str) -> str:
    """``conv2d, max_pooling2d`` from ``conv2d+max_pool2d (conv2d, max_pooling2d)``."""
    _, bracket, layers = label.partition(" (")
    return layers.removesuffix(")") if bracket else ""


def _row(launch: LaunchTime) -> TableRow:
    cells = (
        f"{INDENT * launch.depth}{launch.kernel}",
        launch.layers,
        _seconds(launch.nanoseconds),
        f"{launch.share:.1%}",
        three_digits(launch.gflops_per_second),
        f"{launch.compute_share:.0%}",
        three_digits(launch.gigabytes_per_second),
        f"{launch.memory_share:.0%}",
        launch.limit,
    )
    return TableRow(cells, "quiet" if launch.has_body else "strong" if launch.share >= HOT else "")


def _seconds(nanoseconds: float) -> str:
    return format_seconds(nanoseconds / 1e9)
