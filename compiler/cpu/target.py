"""The CPU as a target."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...runtime.cpu.calibration import Figures
from ...runtime.cpu.host import Host
from ..context import PassFunction
from ..decisions import Decisions
from ..ir.graph import Graph, Node
from ..loops.kernel import Kernel
from ..loops.layout import Launch, Layout, Placed
from ..passes.fuse import fuse
from ..passes.legalize import legalize
from ..scheduling.schedule import Schedule, Tile
from ..target import Peaks, Target
from .blocking import BlockEngine
from .emit.kernel import emit
from .emit.writer import MATH
from .engines.fma import Fma
from .engines.winograd import Winograd
from .layouts import choose_layouts
from .lower import lower_group
from .parts import in_parts
from .passes.borders import borders
from .passes.winograd import winograd
from .peaks import peaks
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
        return (winograd, legalize, fuse, borders)

    @property
    def required(self) -> frozenset[PassFunction]:
        return frozenset({legalize, borders})

    @property
    def engines(self) -> tuple[BlockEngine, ...]:
        return (Fma(machine=self.machine), Winograd(machine=self.machine))

    def is_dear(self, function: str) -> bool:
        return function in MATH

    def in_parts(self, node: Node) -> Node | None:
        return in_parts(node, self.machine)

    def layouts(self, graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
        return choose_layouts(graph, fixed)

    def lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        return lower_group(body, operands, results, self.machine, self.engines)

    def tiles(self, schedule: Schedule, decisions: Decisions) -> tuple[Tile, ...]:
        return choose_tiles(schedule, decisions, self.machine)

    def emit(self, kernel: Kernel) -> str:
        return emit(kernel, self.machine.lanes)

    def peaks(self, threads: int) -> Peaks:
        return peaks(self.machine, self.measured, threads)
