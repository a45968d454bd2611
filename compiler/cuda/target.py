"""NVIDIA GPUs as a target, and their emulator."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import PassFunction
from ..decisions import Decisions, Refusal
from ..durations import Duration
from ..engine import Engine
from ..ir.graph import Graph, Node
from ..loops.kernel import Kernel
from ..loops.layout import Launch, Layout, Placed
from ..loops.writer import MATH
from ..passes.fuse import fuse
from ..passes.legalize import legalize
from ..scheduling.schedule import BatchTile, Schedule
from ..target import Peaks, Target
from .emit.kernel import emit
from .engines import Fma
from .groups import group_refusal
from .layouts import choose_layouts
from .lower import lower_group
from .machine import CUDA, DESCRIBED, EMULATED, NEWEST, Gpu
from .split_sums import split_sum


@dataclass(frozen=True)
class CudaTarget(Target[Gpu]):
    """A GPU as its description has it; the emulator runs kernels for the newest."""

    name: str
    machine: Gpu

    @property
    def passes(self) -> tuple[PassFunction, ...]:
        return (legalize, fuse)

    @property
    def mandatory(self) -> frozenset[PassFunction]:
        return frozenset({legalize})

    @property
    def engines(self) -> tuple[Engine, ...]:
        return (Fma(),)

    def is_expensive(self, function: str) -> bool:
        return function in MATH

    def split_sum(self, node: Node) -> Node | None:
        return split_sum(node)

    def refusal(self, body: Graph) -> Refusal | None:
        return group_refusal(body)

    def duration(self, flops: int, bytes_: int, threads: int) -> Duration:
        """By the roofline, whatever the host's threads: they launch, and do not compute."""
        work = max(flops / (self.machine.gflops * 1e3), bytes_ / (self.machine.gbs * 1e3))
        return Duration(self.machine.launch + work, self.machine.launch + work)

    def resumption(self, bytes_: int) -> float:
        return 0.0

    @property
    def wait(self) -> float:
        return self.machine.launch

    def layouts(self, graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
        return choose_layouts(graph, fixed)

    def lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        return lower_group(body, operands, results)

    def tiles(self, schedule: Schedule, decisions: Decisions) -> tuple[BatchTile, ...]:
        return ()

    def fork(self, schedule: Schedule, decisions: Decisions) -> Schedule:
        return schedule

    def emit(self, kernel: Kernel) -> str:
        return emit(kernel)

    def peaks(self, threads: int) -> Peaks:
        return Peaks(self.machine.gflops, self.machine.gbs, measured=False)


def cuda_target(name: str) -> CudaTarget:
    """The target of one of the names of GPUs: ``"cuda"`` is the newest architecture."""
    _, _, architecture = name.partition(":")
    machine = DESCRIBED[architecture or NEWEST]
    return CudaTarget(EMULATED if name == EMULATED else f"{CUDA}:{machine.architecture}", machine)
