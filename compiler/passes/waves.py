"""Estimates for stacked loops: how long they take in pieces that run beside one another."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from ...runtime.config import config
from ..context import Costs
from ..durations import Duration, SideBySide, longest_share, size_of
from ..ir.graph import Node
from ..ir.kinds import Contraction, Elementwise
from ..ir.types import TupleType
from ..ops.stepping import steps_of
from .loops import loop_of, readers

MOST_PIECES = 8  # each costs rows of the program
ENOUGH = 1.05  # times as long as with the best number of pieces: fewer are taken then
FUNCTION = 10  # operations of an elementwise function, which may be dear

Stack: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True)
class Plan(SideBySide):
    """So many pieces: microseconds with them and without."""

    pieces: int
    beside: float
    after: float


@dataclass(frozen=True)
class Work:
    """Arithmetic of a step, bytes of its results, and of the weights that it reads."""

    flops: int = 0
    results: int = 0
    weights: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flops + other.flops, self.results + other.results, self.weights + other.weights
        )


@dataclass(frozen=True)
class StepWork:
    """The work of a loop's step: what has to wait for carries, and what has not, which ``hoist``
    computes for all steps of a piece at once."""

    inside: Work
    outside: Work


class Timing:
    """How long the loops of a stack take, cut into pieces or not."""

    def __init__(self, stack: Stack, costs: Costs[Any]) -> None:
        self.costs = costs
        self.threads = config.threads
        steps = steps_of(stack[0])
        assert isinstance(steps, int), "loops of unknown length are declined"
        self.steps = steps
        self.loops = tuple(map(step_work, stack))

    def best(self) -> Plan:
        """The fewest pieces that save about as much as any number of them."""
        after = sum(self._of_piece(loop, self.steps).shared for loop in self.loops)
        counts = range(2, min(self.steps, MOST_PIECES) + 1)
        plans = [Plan(count, self._beside(count), after) for count in counts]
        best = min(plan.beside for plan in plans)
        return next(plan for plan in plans if plan.beside <= ENOUGH * best)

    def _beside(self, count: int) -> float:
        """Piece ``i`` of the first loop, ``i - 1`` of the second, and so on at the same time."""
        longest = -(-self.steps // count)
        lengths = [
            self._of_piece(loop, longest).alone
            + self.costs.resumption(loop.inside.weights + loop.outside.weights)
            for loop in self.loops
        ]
        total = 0.0
        for wave in range(count + len(lengths) - 1):
            running = lengths[max(0, wave - count + 1) : wave + 1]
            total += longest_share(running, self.threads) + self.costs.wait
        return total

    def _of_piece(self, loop: StepWork, steps: int) -> Duration:
        inside, outside = loop.inside, loop.outside
        each = self.costs.duration(inside.flops, inside.weights, self.threads)
        if not outside.flops:
            return each * steps
        moved = outside.weights + steps * outside.results
        return each * steps + self.costs.duration(steps * outside.flops, moved, self.threads)


def step_work(scan: Node) -> StepWork:
    """Of a loop's step, for one sample."""
    step = loop_of(scan).step
    outputs = (*step.new_state, *step.results)
    moving = readers(outputs, step.state, step.outside)
    varying = readers(outputs, (*step.state, *step.slices), step.outside)
    outside = (node for node in varying if node not in moving)
    return StepWork(*(sum(map(work_of, nodes), start=Work()) for nodes in (moving, outside)))


def work_of(node: Node) -> Work:
    """Of one op, for one sample."""
    size = elements(node)
    if isinstance(node.op.kind, Contraction):
        kernel = node.inputs[1]
        flops = 2 * size * elements(kernel) // max(1, size_of(kernel.shape[-1], 1))
        return Work(flops, size * node.dtype.itemsize, elements(kernel) * kernel.dtype.itemsize)
    return Work(FUNCTION * size if isinstance(node.op.kind, Elementwise) else 0)


def elements(node: Node) -> int:
    """Of one sample's value."""
    return 0 if isinstance(node.type, TupleType) else prod(size_of(size, 1) for size in node.shape)
