"""Measured properties of this machine, which its description lacks; kept with the kernels.

``compiler/cpu/calibrate.py`` measures them. Without them, the table in ``host.py`` decides as ever.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..cache_folders import keep, reading, stored
from .host import CPU_INFO, Host, host

log = logging.getLogger(__name__)

MOST = 1e6  # of any figure: more is a damaged file
MOST_UNROLLED = 8


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        thread_gflops, pool_gflops: what contractions in cache reach, by one thread and by all.
        threads: how many all were.
        read_gbs, write_gbs: memory that one thread reads and writes, in 10^9 bytes a second.
        team_read_gbs: memory that all read.
        unrolled: steps of a sum that are best written out in its loop.
        prefetches: whether prefetching weights pays.
    """

    thread_gflops: float
    pool_gflops: float
    threads: int
    read_gbs: float
    write_gbs: float
    team_read_gbs: float
    unrolled: int
    prefetches: bool

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value).__name__ != field.type:
                raise ValueError(f"{field.name}: expected {field.type}, got {value!r}")
            if field.type != "bool" and not 0 < value < MOST:
                raise ValueError(f"{field.name}: expected more than 0, got {value!r}")
        if self.unrolled > MOST_UNROLLED:
            raise ValueError(f"unrolled: expected at most {MOST_UNROLLED}, got {self.unrolled}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Names and values, for people."""
        prefetching = "prefetched" if self.prefetches else "not prefetched"
        return (
            ("one thread", f"{self.thread_gflops:.1f} GFLOP/s"),
            (f"{self.threads} threads", f"{self.pool_gflops:.1f} GFLOP/s"),
            ("memory read", f"{self.read_gbs:.1f} GB/s, by one thread"),
            ("by all", f"{self.team_read_gbs:.1f} GB/s"),
            ("written", f"{self.write_gbs:.1f} GB/s, by one thread"),
            ("loops", f"{self.unrolled} unrolled steps of a sum, weights {prefetching}"),
        )


def file_name() -> str:
    """The file of this machine's figures: one for each kind of processor and width of vectors."""
    machine = host()
    kind = f"{_processor()}\0{machine.cpu_name}\0{machine.lanes}"
    return f"calibration-{hashlib.sha256(kind.encode()).hexdigest()[:32]}.json"


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line
    return platform.processor()


def keep_figures(figures: Figures) -> Path:
    """Writes the figures, whole, beside the kernels; programs compiled from now on use them."""
    path = keep(file_name(), json.dumps(figures.to_dict(), indent=2).encode())
    _found.cache_clear()
    return path


def figures() -> Figures | None:
    """Those that are kept for this machine, looked for once a process and folder."""
    return _found(reading())


@cache
def _found(folders: tuple[Path, ...]) -> Figures | None:
    for path, content in stored(file_name()):
        try:
            return _parse(content)
        except (ValueError, TypeError, RecursionError) as error:
            log.warning("calibration: %s is passed over (%s)", path, error)
    return None


def _parse(content: bytes) -> Figures:
    read: Any = json.loads(content)
    if not isinstance(read, dict):
        raise ValueError("expected figures by name")
    return Figures(**read)


def described(machine: Host, measured: Figures | None) -> Host:
    """A description with what was measured in place of what its table says."""
    if measured is None:
        return machine
    return replace(machine, unrolled=measured.unrolled, prefetches=measured.prefetches)
