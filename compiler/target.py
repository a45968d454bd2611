"""Targets: everything that passes, schedule, plan and kernel texts depend on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from .context import Costs, Machine, PassFunction
from .decisions import Decisions
from .ir.graph import Graph
from .loops.kernel import Kernel
from .scheduling.lower import Lowering
from .scheduling.schedule import BatchTile, LayoutPolicy, Schedule


@dataclass(frozen=True)
class Peaks:
    """What a machine reaches at most: 10^9 float32 operations, and bytes of memory, a second.

    Attributes:
        measured: whether that was measured, and not derived from a description.
    """

    gflops: float
    gbs: float
    measured: bool


class Target(Costs[Machine], LayoutPolicy, Lowering):
    """A kind of machine. Immutable; targets that give the same programs are equal.

    Attributes:
        name: as ``target=`` takes it: ``"cpu:avx2"``.
        machine: its description.
    """

    name: str

    @property
    @abstractmethod
    def passes(self) -> tuple[PassFunction, ...]:
        """The passes after the neutral ones; before them the graph is the same for every target."""

    @property
    @abstractmethod
    def mandatory(self) -> frozenset[PassFunction]:
        """Those of ``passes`` that always run, because kernels need them."""

    @abstractmethod
    def tiles(self, schedule: Schedule, decisions: Decisions) -> tuple[BatchTile, ...]:
        """The segments of a schedule that are worth running in batch tiles, some samples at a
        time."""

    @abstractmethod
    def fork(self, schedule: Schedule, decisions: Decisions) -> Schedule:
        """The schedule with the steps that are worth running beside one another as forks."""

    @abstractmethod
    def emit(self, kernel: Kernel) -> str:
        """The text of a kernel's module; the same for equal kernels."""

    @abstractmethod
    def peaks(self, threads: int) -> Peaks:
        """What the machine reaches at most with so many threads; for reports alone."""


class CompiledFor(Protocol):
    """Gives the executable of a graph for a target: ``compile_graph``, for what lies below it."""

    def __call__(self, graph: Graph, *, target: Target[Any]) -> Any: ...
