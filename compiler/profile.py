"""``profile()``: where the time of a call goes, launch by launch, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..runtime.dim import evaluate
from ..runtime.executor import Executor
from ..runtime.profiler import RowTimes, measure
from ..runtime.program import LaunchRow, Program, TileRow
from .table import Column, Row, Table
from .units import format_seconds, three_digits

COLUMNS = (
    Column("kernel", wraps=True),
    Column("layers", wraps=True),
    Column("time", right=True),
    Column("share", right=True),
    Column("GFLOP/s", right=True),
    Column("GB/s", right=True),
)
INDENT = "  "
HOT = 0.2  # a launch that takes a fifth of the time stands out


@dataclass(frozen=True)
class LaunchTime:
    """One launch, or a tile: a stretch of launches run sample by sample, which follow it.

    Attributes:
        kernel: its name; of a tile what it is.
        layers: whose work it does.
        nanoseconds: median over the runs, on the first thread, the wait for the others included.
        share: of the whole call.
        flops, bytes: arithmetic, and memory read and written, of the whole batch.
        in_tile: whether its time is part of the tile above.
    """

    kernel: str
    layers: str
    nanoseconds: float
    share: float
    flops: int
    bytes: int
    in_tile: bool = False
    is_tile: bool = False

    @property
    def gflops_per_second(self) -> float:
        return self.flops / self.nanoseconds if self.nanoseconds else 0.0

    @property
    def gigabytes_per_second(self) -> float:
        return self.bytes / self.nanoseconds if self.nanoseconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "gflops_per_second": self.gflops_per_second,
            "gigabytes_per_second": self.gigabytes_per_second,
        }


@dataclass(frozen=True)
class Profile:
    """Times of one program at one set of sizes. Printing it shows the table."""

    name: str
    sizes: dict[str, int]
    repeats: int
    nanoseconds: float
    launches: tuple[LaunchTime, ...]

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
            f"Medians of {self.repeats} runs on the first thread, its waiting for others included.",
        )
        return Table(title, COLUMNS, (*rows, self._rest()), notes)

    def _rest(self) -> Row:
        inside = sum(launch.nanoseconds for launch in self.launches if not launch.in_tile)
        rest = max(self.nanoseconds - inside, 0.0)
        share = f"{rest / self.nanoseconds:.1%}"
        return Row(("starting and joining threads", "", _seconds(rest), share, "", ""), "quiet")

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data; times in nanoseconds."""
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "repeats": self.repeats,
            "nanoseconds": self.nanoseconds,
            "launches": [launch.to_dict() for launch in self.launches],
        }


def profile(
    executor: Executor,
    kernels: Sequence[str],
    arrays: Sequence[np.ndarray],
    repeats: int | None = None,
) -> Profile:
    """Times each launch of a call on ``arrays``; ``kernels`` are the names to show.

    Raises:
        ValueError: the arrays do not fit, or ``repeats`` is not positive.
    """
    times = measure(executor, arrays, repeats)
    total = float(np.median(times.calls))
    launches = tuple(_launch_times(executor.program, kernels, times, total))
    return Profile(executor.program.name, times.sizes, len(times.calls), total, launches)


def _launch_times(
    program: Program, kernels: Sequence[str], times: RowTimes, total: float
) -> list[LaunchTime]:
    medians = np.median(times.rows, axis=0)
    found: list[LaunchTime] = []
    inside = 0  # rows of the tile under way that are still to come
    for index, nanoseconds in zip(times.program_rows, medians.tolist(), strict=True):
        row = program.rows[index]
        share = nanoseconds / total
        if isinstance(row, TileRow):
            inside = row.rows
            found.append(_tile_time(program, index, times.sizes, nanoseconds, share))
            continue
        kernel = kernels[row.kernel]
        flops, moved = evaluate(row.flops, times.sizes), evaluate(row.bytes, times.sizes)
        layers = layers_of(row.label)
        found.append(LaunchTime(kernel, layers, nanoseconds, share, flops, moved, inside > 0))
        inside = max(inside - 1, 0)
    return found


def _tile_time(
    program: Program, index: int, sizes: dict[str, int], nanoseconds: float, share: float
) -> LaunchTime:
    tile = program.rows[index]
    assert isinstance(tile, TileRow)
    body = [row for row in program.rows[index + 1 :] if isinstance(row, LaunchRow)][: tile.rows]
    flops = sum(evaluate(row.flops, sizes) for row in body)
    moved = sum(evaluate(row.bytes, sizes) for row in body)
    name = f"{tile.tile} at a time through {tile.rows} launches"
    return LaunchTime(name, "", nanoseconds, share, flops, moved, is_tile=True)


def layers_of(label: str) -> str:
    """``conv2d, max_pooling2d`` from ``conv2d+max_pool2d (conv2d, max_pooling2d)``."""
    _, bracket, layers = label.partition(" (")
    return layers.removesuffix(")") if bracket else ""


def _row(launch: LaunchTime) -> Row:
    cells = (
        f"{INDENT * launch.in_tile}{launch.kernel}",
        launch.layers,
        _seconds(launch.nanoseconds),
        f"{launch.share:.1%}",
        three_digits(launch.gflops_per_second),
        three_digits(launch.gigabytes_per_second),
    )
    return Row(cells, "quiet" if launch.is_tile else "strong" if launch.share >= HOT else "")


def _seconds(nanoseconds: float) -> str:
    return format_seconds(nanoseconds / 1e9)
