"""Segments of a schedule: the work and weights of their steps, and the live bytes of a sample."""

from __future__ import annotations

from collections.abc import Iterable

from ...runtime.cpu.host import Host
from ...runtime.dim import coefficient, evaluate, symbols_of
from ..ir.graph import Node
from ..ir.types import Size
from ..loops.layout import Address, Layout, Placed
from ..scheduling.schedule import Loop, Schedule
from ..units import BATCH

# Work a weight byte must do for each sample, where the weights do not fit the cache.
FLOPS_PER_WEIGHT_BYTE = 48
USUAL_SIZE = 64


class Segment:
    """Steps that follow one another, with what they read and do, added up as they come."""

    def __init__(self, schedule: Schedule, machine: Host) -> None:
        self.steps: list[int] = []
        self._schedule = schedule
        self._machine = machine
        self._weights: dict[Node, int] = {}
        self._bytes = 0
        self._flops = 0

    def take(self, index: int, always: bool = False) -> bool:
        """Adds a step, unless the weights of all steps would be too many.

        Returns whether it did.
        """
        found = _weights([index], self._schedule)
        new = (size - self._weights.get(weight, 0) for weight, size in found.items())
        bytes_ = self._bytes + sum(new)
        flops = self._flops + _per_sample(self._schedule.steps[index].flops)
        if not always and not _affordable(bytes_, flops, self._machine):
            return False
        self.steps.append(index)
        self._weights.update(found)
        self._bytes, self._flops = bytes_, flops
        return True


def _affordable(weights: int, flops: int, machine: Host) -> bool:
    """Whether so many bytes fit half the cache, or do enough work to be read for each sample."""
    if weights <= machine.l2_bytes // 2:
        return True
    return flops >= FLOPS_PER_WEIGHT_BYTE * weights and weights <= machine.l3_bytes // 4


def weight_bytes(segment: Iterable[int], schedule: Schedule) -> int:
    """Bytes of the weights that the segment's launches read; those of symbolic size not counted."""
    return sum(_weights(segment, schedule).values())


def _weights(segment: Iterable[int], schedule: Schedule) -> dict[Node, int]:
    seen: dict[Node, int] = {}
    for index in segment:
        step = schedule.steps[index]
        if step.loop is not None:
            seen |= _weights(range(len(step.loop.body.steps)), step.loop.body)
        operands = [arg for launch in step.launches for arg in launch.args]
        for arg in operands:
            if not isinstance(arg, Address) or arg.seldom or arg.index >= len(step.operands):
                continue
            operand = step.operands[arg.index]
            weight = schedule.weight(operand)
            if weight is None and not operand.tensor_type.symbols:
                weight = operand  # one that calls change
            if weight is not None:
                type_ = weight.tensor_type
                elements = arg.packing.elements(type_) if arg.packing else type_.elements
                seen[weight] = elements * type_.dtype.itemsize if isinstance(elements, int) else 0
    return seen


def _per_sample(size: Size) -> int:
    """How much a size grows with each sample; other symbols count as a usual sequence length."""
    growth = coefficient(size, BATCH) or 0
    return evaluate(growth, dict.fromkeys(symbols_of(growth), USUAL_SIZE))


def live_bytes(segment: list[int], schedule: Schedule) -> int:
    """The most bytes a sample holds between two steps of the segment, results included.

    A loop's sequences pass by: of them count the slices that a step of it reads and makes.
    """
    last_use: dict[Node, int] = {}
    made: dict[Node, int] = {}
    for index in segment:
        step = schedule.steps[index]
        for node in step.operands:
            last_use[schedule.owners[node]] = index
        for node in step.results if step.loop is None else ():
            made[schedule.owners[node]] = index
    change: dict[int, int] = {}  # of the bytes that are live, when a step begins
    for node, at in made.items():
        bytes_ = _per_sample(stored_bytes(schedule.layouts[node]))
        end = last_use.get(node, at)
        if at <= end:
            change[at] = change.get(at, 0) + bytes_
            change[end + 1] = change.get(end + 1, 0) - bytes_
    most = total = 0
    for index in segment:
        total += change.get(index, 0)
        most = max(most, total + _loop_bytes(schedule.steps[index].loop))
    return max(most, 1)


def _loop_bytes(loop: Loop | None) -> int:
    """What a sample holds in a loop, beside its sequences."""
    if loop is None:
        return 0
    carried = sum(_per_sample(carry.both.bytes) for carry in loop.carries)
    return carried + live_bytes(list(range(len(loop.body.steps))), loop.body)


def stored_bytes(layout: Placed) -> Size:
    """Bytes of a value, and of the halo around it."""
    return layout.bytes if isinstance(layout, Layout) else layout.type.bytes
