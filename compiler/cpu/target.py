"""The CPU as a target."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...runtime.cpu.calibration import Figures
from ...runtime.cpu.host import Host
from ..context import PassFunction
from ..decisions import Decisions, Refusal
from ..durations import Duration
from ..engine import multiplied
from ..ir.graph import Graph, Node
from ..loops.kernel import Kernel
from ..loops.layout import Launch, Layout, Placed
from ..loops.writer import MATH
from ..passes.fuse import fuse
from ..passes.legalize import legalize
from ..scheduling.schedule import BatchTile, Schedule
from ..target import Peaks, Target
from .blocking import BlockEngine
from .emit.kernel import emit
from .engines.fma import Fma
from .engines.winograd import Winograd
from .forks import REFILLED, RESUMED, SHARED, duration, fork
from .groups import group_refusal
from .layouts import choose_layouts
from .lower import lower_group
from .passes.halos import halos
from .passes.winograd import winograd
from .peaks import peaks
from .split_sums import split_sum
from .tiling import choose_tiles


@dataclass(frozen=True)
class CpuTarget(Target[Host]):
    """A CPU as its description has it: vector width, registers, caches.

    ``measured`` are its figures where it was calibrated; programs do not depend on them.
    """

    name: str
    machine: Host
    measured: Figures | None = field(default=None, compare=False)

    @property
    def passes(self) -> tuple[PassFunction, ...]:
        return (winograd, legalize, fuse, halos)

    @property
    def mandatory(self) -> frozenset[PassFunction]:
        return frozenset({legalize, halos})

    @property
    def engines(self) -> tuple[BlockEngine, ...]:
        return (Fma(machine=self.machine), Winograd(machine=self.machine))

    def is_expensive(self, function: str) -> bool:
        return function in MATH

    def split_sum(self, node: Node) -> Node | None:
        return split_sum(node, self.machine)

    def refusal(self, body: Graph) -> Refusal | None:
        return group_refusal(body, self.engines)

    def duration(self, flops: int, bytes_: int, threads: int) -> Duration:
        return duration(flops, bytes_, threads)

    def resumption(self, bytes_: int) -> float:
        return RESUMED + bytes_ / REFILLED

    @property
    def wait(self) -> float:
        return SHARED

    def layouts(self, graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
        return choose_layouts(graph, fixed, multiplied(self.engines))

    def lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        return lower_group(body, operands, results, self.machine, self.engines)

    def tiles(self, schedule: Schedule, decisions: Decisions) -> tuple[BatchTile, ...]:
        return choose_tiles(schedule, decisions, self.machine)

    def fork(self, schedule: Schedule, decisions: Decisions) -> Schedule:
        return fork(schedule, decisions)

    def emit(self, kernel: Kernel) -> str:
        return emit(kernel, self.machine.lanes)

    def peaks(self, threads: int) -> Peaks:
        return peaks(self.machine, self.measured, threads)
