"""Machines to compile for other than this one: what passes and kernels choose then."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keraunos.compiler.cpu.blocking import Extent, choose
from keraunos.compiler.cpu.bodies import RegisterBlock
from keraunos.compiler.cpu.target import CpuTarget
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.emit import emit
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.plan import plan
from keraunos.compiler.scheduling.schedule import schedule
from keraunos.runtime.config import config
from keraunos.runtime.cpu.host import WIDE, Host, host
from keraunos.runtime.placement import place
from keraunos.runtime.program import Program

KB = 1024


def machine(lanes: int | None = None) -> Host:
    """One of known caches that starts six operations a cycle; vectors as wide as here, or said."""
    lanes = host().lanes if lanes is None else lanes
    return replace(
        host(),
        cpu_name="of the tests",
        lanes=lanes,
        vector_registers=32 if lanes == 16 else 16,
        has_fma=True,
        issue_width=WIDE,
        l1_bytes=32 * KB,
        l2_bytes=256 * KB,
        l3_bytes=8 * KB * KB,
    )


def target_of(described: Host) -> CpuTarget:
    """A machine as what to compile for; such programs run where vectors are as wide."""
    return CpuTarget(f"cpu:{described.vectors}", described)


def block_for(extent: Extent, described: Host, kind: str = "conv2d") -> RegisterBlock:
    """The block of such a contraction on a machine."""
    choice = choose(kind, extent, target_of(described).engines)
    assert choice is not None
    return choice.block


@dataclass(frozen=True)
class Compiled:
    """A program that nothing has loaded, and what was decided on the way to it."""

    program: Program
    decisions: Decisions

    def arena_bytes(self, samples: int) -> int:
        """Memory for intermediate values at a batch of so many."""
        sizes = dict.fromkeys(self.program.symbols, samples)
        return place(self.program, sizes, threads=2).arena_bytes


def compiled_for(described: Host, graph: Graph) -> Compiled:
    """The program of ``graph`` for a machine with two threads, without its machine code."""
    decisions, target = Decisions(), target_of(described)
    with config.update(threads=2, verify=False):
        scheduled = schedule(optimize(graph, target, decisions=decisions).last, target)
        lowered = lower(scheduled, target)
        tiles = target.tiles(lowered, decisions)
        return Compiled(emit(plan(lowered, tiles), target), decisions)
