"""Machines to compile for other than this one: what passes and kernels choose then.

    with on_machine(machine(lanes=8)):
        optimize(graph)

What is compiled runs where ``lanes`` are this machine's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from keraunos.compiler.cpu.tiling import choose_tiles
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.plan import plan
from keraunos.compiler.schedule import schedule
from keraunos.runtime.config import config
from keraunos.runtime.cpu.binding import Binding
from keraunos.runtime.cpu.host import WIDE, Host, host
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


@contextmanager
def on_machine(described: Host) -> Iterator[None]:
    """All of the compiler asks this machine instead of the one it runs on."""
    modules = [module for name, module in sys.modules.items() if name.startswith("keraunos.comp")]
    asking = [module for module in modules if getattr(module, "host", None) is host]
    assert asking, "no module of the compiler asks for the machine"
    for module in asking:
        module.host = lambda: described  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in asking:
            module.host = host  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Compiled:
    """A program that nothing has loaded, and what was decided on the way to it."""

    program: Program
    decisions: Decisions

    def arena_bytes(self, samples: int) -> int:
        """Memory for intermediate values at a batch of so many."""
        sizes = dict.fromkeys(self.program.symbols, samples)
        kept = (*self.program.constants, *self.program.state.values())
        addresses = dict.fromkeys(kept, 64)
        binding = Binding(self.program, range(len(self.program.kernels)), addresses, sizes, 2)
        return binding.arena_bytes


def compiled_for(described: Host, graph: Graph) -> Compiled:
    """The program of ``graph`` for a machine with two threads, without its machine code."""
    decisions = Decisions()
    with on_machine(described), config.update(threads=2, verify=False):
        scheduled = schedule(optimize(graph, decisions=decisions).last)
        return Compiled(plan(scheduled, choose_tiles(scheduled, decisions)).program, decisions)
