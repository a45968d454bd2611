"""Estimates for stacked loops: how long they take in pieces that run beside one another."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import prod
from typing import Any, TypeAlias

from ...runtime.config import config
from ...runtime.dim import evaluate, symbols_of
from ..context import Costs
from ..durations import Duration, longest_share
from ..ir.graph import Node
from ..ir.kinds import Contraction, Elementwise
from ..ir.types import Size, TupleType
from ..ops.stepping import steps_of
from ..units import BATCH, format_seconds
from .loops import loop_of, readers

MOST_PIECES = 8  # each costs rows of the program
USUAL_SIZE = 64  # what symbolic sizes are taken to be
FUNCTION = 10  # operations of an elementwise function, which may be dear

Stack: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True)
class Plan:
    """So many pieces: microseconds with them and without."""

    pieces: int
    beside: float
    after: float

    @property
    def compared(self) -> str:
        beside, after = (format_seconds(each / 1e6) for each in (self.beside, self.after))
        return f"{beside} beside one another, {after} one after another"


@dataclass(frozen=True)
class Work:
    """Arithmetic and bytes of a step, and bytes that are read once for all steps of a piece."""

    flops: int
    bytes: int
    once: int = 0


class Timing:
    """Estimates for the steps of a stack's loops: what has to wait for carries and what has not,
    which ``hoist`` computes for all steps of a piece at once."""

    def __init__(self, stack: Stack, costs: Costs[Any]) -> None:
        self.costs = costs
        self.threads = config.threads
        self.steps = steps_of(stack[0])
        self.works = tuple(map(works_of, stack))

    def best(self) -> Plan:
        after = sum(self._of_piece(works, self.steps).shared for works in self.works)
        counts = range(2, min(self.steps, MOST_PIECES) + 1)
        return min(
            (Plan(count, self._beside(count), after) for count in counts),
            key=lambda plan: plan.beside,
        )

    def _beside(self, count: int) -> float:
        """Piece ``i`` of the first loop, ``i - 1`` of the second, and so on at the same time."""
        longest = -(-self.steps // count)
        lengths = [self._of_piece(works, longest).alone for works in self.works]
        total = 0.0
        for wave in range(count + len(lengths) - 1):
            running = lengths[max(0, wave - count + 1) : wave + 1]
            total += longest_share(running, self.threads) + self.costs.wait
        return total

    def _of_piece(self, works: tuple[Work, Work], steps: int) -> Duration:
        inside, outside = works
        each = self.costs.duration(inside.flops, inside.bytes, self.threads)
        if not outside.flops:
            return each * steps
        bytes_ = outside.once + steps * outside.bytes
        return each * steps + self.costs.duration(steps * outside.flops, bytes_, self.threads)


def works_of(scan: Node) -> tuple[Work, Work]:
    """What a step computes from carries, and what it does not."""
    step = loop_of(scan).step
    outputs = (*step.new_state, *step.results)
    varying = readers(outputs, (*step.state, *step.slices), step.outside)
    moving = readers(outputs, step.state, step.outside)
    inside = [work_of(node) for node in moving]
    outside = [work_of(node) for node in varying if node not in moving]
    return (
        Work(sum(w.flops for w in inside), sum(w.once for w in inside)),
        Work(*(sum(each) for each in zip((0, 0, 0), *map(astuple, outside), strict=True))),
    )


def work_of(node: Node) -> Work:
    """Of one node of a step, for one sample."""
    size = elements(node)
    if isinstance(node.op.kind, Contraction):
        kernel = node.inputs[1]
        flops = 2 * size * elements(kernel) // max(1, _sized(kernel.shape[-1]))
        return Work(flops, size * node.dtype.itemsize, elements(kernel) * kernel.dtype.itemsize)
    return Work(FUNCTION * size if isinstance(node.op.kind, Elementwise) else 0, 0)


def elements(node: Node) -> int:
    return 0 if isinstance(node.type, TupleType) else prod(map(_sized, node.shape))


def _sized(size: Size) -> int:
    """``size`` for one sample; symbols other than the batch are taken to be of a usual size."""
    return evaluate(size, {**dict.fromkeys(symbols_of(size), USUAL_SIZE), BATCH: 1})
