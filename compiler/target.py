"""What a graph is compiled for: everything that passes, schedule, plan and texts depend on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from .context import Costs, Machine, PassFunction
from .decisions import Decisions
from .loops.kernel import Kernel
from .scheduling.lower import Lowering
from .scheduling.schedule import LayoutPolicy, Schedule, Tile


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
    """A kind of machine. Data that never change, equal where they give the same programs.

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
    def required(self) -> frozenset[PassFunction]:
        """Those of ``passes`` without which there are no kernels."""

    @abstractmethod
    def tiles(self, schedule: Schedule, decisions: Decisions) -> tuple[Tile, ...]:
        """The stretches of a schedule that are worth running some samples at a time."""

    @abstractmethod
    def emit(self, kernel: Kernel) -> str:
        """The text of a kernel's module; the same for equal kernels."""

    @abstractmethod
    def peaks(self, threads: int) -> Peaks:
        """What the machine reaches at most with so many threads; for reports alone."""
