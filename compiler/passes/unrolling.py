"""How far a loop is unrolled: what it costs to run and to compile, by estimate.

A loop of the program is cheap here: a step of it is a row that a native interpreter walks, and the
kernels are the same as those of steps laid out. What unrolling can save is the first step's
products of zeros, and the rows and copies of the loop itself. What it costs is copies: a loop reads
and writes its slices where they lie, steps laid out cut what products read from the sequences and
put results together. Then there are more nodes to compile, and a kernel for a first step that has
less to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ...runtime.config import config
from ..context import Costs
from ..ir.graph import Node
from ..ir.kinds import Contraction
from ..loops.epilogues import HEAVY
from ..ops.registry import ops
from ..ops.stepping import ROWS, ScanStep
from ..units import count_of, format_seconds
from .loops import loop_of, readers
from .waves import elements, step_work, work_of

CALLS = 10_000  # of a program: how often what is saved in a call pays for what compiling costs
LOOP, STEP = 1e-6, 0.02e-6  # seconds: of a loop, which copies carries in and out, and of its rows
NODE, KERNEL = 0.5e-3, 0.5  # seconds of compiling: of a node in all passes, and of a kernel
MOST_IN_ONE = 8
MOST_NODES = 1000  # laid out before steps are optimised: more are laid out as rows of the program


@dataclass(frozen=True)
class Choice:
    """So many steps in one, or the loop as it is, and why.

    The steps that are ``rows`` stay a loop of the graph, and are laid out in the program.
    """

    by: int
    unrolls: bool
    reason: str
    detail: str
    rows: bool = False


@dataclass(frozen=True)
class _Cost:
    """Seconds of a call and of compiling, with ``by`` steps in one."""

    by: int
    run: float
    compiling: float

    @property
    def all(self) -> float:
        return CALLS * self.run + self.compiling


class Unrolling:
    """Estimates for the scan ``node`` of ``steps`` steps, whose carries ``zeros`` start with zeros.

    Sizes are those of one sample, whose calls are short, so that little has much weight.
    """

    def __init__(self, node: Node, steps: int, zeros: Collection[int], costs: Costs[Any]) -> None:
        self.steps = steps
        self.costs = costs
        inside = step_work(node).inside
        self.step = self._seconds(inside.flops, inside.weights)
        step = loop_of(node).step
        body = step_nodes(step)
        self.nodes = len(body)
        starts = {step.state[i] for i in zeros}
        self.copies = self._copies(step, body)
        self.saved = self.step - self._without_products(body, starts, inside.flops, inside.weights)

    def best(self) -> Choice:
        """The cheapest way, compiled once and called often; the loop where nothing is better."""
        loop, *others = self._ways()
        best = min(others, key=lambda cost: cost.all)
        if best.all < loop.all:
            return Choice(best.by, True, "CHEAPER", self._compared(best, loop))
        return Choice(1, False, "LOOP_IS_CHEAPER", self._compared(best, loop))

    def _ways(self) -> Iterator[_Cost]:
        yield self._loop()
        for by in range(2, min(MOST_IN_ONE, self.steps - 1) + 1):
            if self.steps // by > 1:
                yield self._by(by)
        yield self._full()

    def _loop(self) -> _Cost:
        run = self.steps * (self.step + STEP) + LOOP
        return _Cost(1, run, self.nodes * NODE)

    def _by(self, by: int) -> _Cost:
        ahead = self.steps % by
        run = self.steps * (self.step + self.copies) + self.steps // by * STEP + LOOP
        saved, kernels = (self.saved, 1) if ahead and self.saved else (0.0, 0)
        return _Cost(by, run - saved, (by + ahead) * self.nodes * NODE + kernels * KERNEL)

    def _full(self) -> _Cost:
        run = self.steps * (self.step + self.copies) - self.saved
        kernels = 1 if self.saved and self.steps > 1 else 0
        return _Cost(self.steps, run, self.steps * self.nodes * NODE + kernels * KERNEL)

    def _compared(self, best: _Cost, loop: _Cost) -> str:
        return (
            f"{laid_out_as(best.by, self.steps)}: {format_seconds(best.run)} a call and "
            f"{format_seconds(best.compiling)} of compiling; as a loop {format_seconds(loop.run)} "
            f"and {format_seconds(loop.compiling)}; in {CALLS:,} calls of one sample"
        )

    def _copies(self, step: ScanStep, body: Collection[Node]) -> float:
        """Seconds for the slices of a step that are cut out, and its results that are joined.

        Others than heavy ops read slices where they lie.
        """
        if self.steps < 2:
            return 0.0
        cut = {i for node in body if isinstance(node.op.kind, HEAVY) for i in node.inputs}
        moved = [*cut.intersection(step.slices), *step.results]
        sizes = (elements(each) * each.dtype.itemsize for each in moved)
        return sum(self._seconds(0, 2 * size) for size in sizes)

    def _without_products(
        self, body: Collection[Node], starts: Collection[Node], flops: int, bytes_: int
    ) -> float:
        """Seconds of a step whose products of ``starts`` are known to be zeros."""
        known = [
            work_of(node)
            for node in body
            if isinstance(node.op.kind, Contraction)
            and any(_behind_views(operand) in starts for operand in node.inputs[:2])
        ]
        return self._seconds(
            flops - sum(work.flops for work in known), bytes_ - sum(work.weights for work in known)
        )

    def _seconds(self, flops: int, bytes_: int) -> float:
        return self.costs.duration(flops, bytes_, config.threads).shared / 1e6


def step_nodes(step: ScanStep) -> Collection[Node]:
    """What a step computes anew each time."""
    outputs = (*step.new_state, *step.results)
    return readers(outputs, (*step.state, *step.slices), step.outside)


def all_steps(node: Node, steps: int) -> Choice:
    """All steps laid out, as it is asked for: as rows of the program where they are many nodes.

    Steps that are optimised as one loop, and only then laid out, cost nearly nothing to compile.
    They do without what is won at the first one and at the last, which is little of so many.
    """
    nodes = steps * len(step_nodes(loop_of(node).step))
    detail = laid_out_as(steps, steps)
    if node.attrs["unroll"] != ROWS and nodes <= MOST_NODES:
        return Choice(steps, True, "ASKED", detail)
    return Choice(steps, True, "ASKED", f"{detail}, as rows of the program", rows=True)


def _behind_views(node: Node) -> Node:
    return _behind_views(node.inputs[0]) if node.op in (ops.reshape, ops.broadcast_to) else node


def laid_out_as(by: int, steps: int) -> str:
    """How the steps of a loop lie, in words."""
    if by >= steps:
        return f"all {count_of(steps, 'step')} laid out"
    return f"{count_of(steps, 'step')}, {by} in one" if by > 1 else "a loop"
