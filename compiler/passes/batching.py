"""Batching over steps: ops applied to all time steps at once, with one rule for each op kind.

A rule gets a node of a loop's body and its operands outside the loop. Operands that vary from step
to step are whole sequences, with time as an additional axis (``axis``); the others are the values
themselves. The rule returns the node that computes all steps, with time as the same axis, or None
where the op cannot be batched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...runtime.dim import Size
from ..ir.graph import IRError, Node, apply
from ..ir.kinds import (
    Concatenation,
    Contraction,
    Elementwise,
    Gather,
    Movement,
    Reduction,
    View,
    Window,
)
from ..ops.building import reshaped
from ..ops.registry import ops
from ..ops.rules import normal_axes
from ..ops.stepping import over_all_steps


@dataclass(frozen=True)
class StepOperand:
    """An operand of the op at one step, and its value over all steps."""

    at_step: Node
    whole: Node
    is_sequence: bool


@dataclass(frozen=True)
class BatchedOp:
    """An op to be applied to ``steps`` steps at once, time being ``axis``."""

    node: Node
    operands: tuple[StepOperand, ...]
    axis: int
    steps: Size

    @property
    def rank(self) -> int:
        return self.node.tensor_type.rank

    @property
    def wholes(self) -> tuple[Node, ...]:
        return tuple(operand.whole for operand in self.operands)

    def moved(self, axes: Sequence[int]) -> tuple[int, ...]:
        """Axes of the operand at one step, as those of the whole."""
        rank = self.operands[0].at_step.tensor_type.rank
        return tuple(a if a < self.axis else a + 1 for a in normal_axes(axes, rank))

    def with_time(self, values: Sequence[Any], value: Any) -> tuple[Any, ...]:
        """``values``, one an axis, with ``value`` for the axis of time."""
        return (*values[: self.axis], value, *values[self.axis :])

    def apply(self, *operands: Node, **changed: Any) -> Node:
        return apply(self.node.op, operands, self.node.attrs | changed)


def batch_steps(node: Node, operands: Sequence[StepOperand], axis: int, steps: Size) -> Node | None:
    """``node`` over all steps, with time as ``axis``; None if it cannot be batched."""
    rule = _RULES.get(type(node.op.kind))
    if rule is None or node.tensor_type.rank < axis:
        return None
    try:
        whole = rule(BatchedOp(node, tuple(operands), axis, steps))
    except IRError:  # a well-typed op at one step may be ill-typed with an additional axis
        return None
    expected = over_all_steps(node.tensor_type, axis, steps)
    return whole if whole is not None and whole.type == expected else None


def _elementwise(it: BatchedOp) -> Node | None:
    operands = [_aligned(operand, it) for operand in it.operands]
    return None if None in operands else it.apply(*filter(None, operands))


def _aligned(operand: StepOperand, it: BatchedOp) -> Node | None:
    """The operand so that its axes after time meet those of the result."""
    rank, after = operand.at_step.tensor_type.rank, it.rank - it.axis
    if operand.is_sequence:
        return operand.whole if rank == it.rank else None
    shape, before = operand.at_step.shape, rank - after
    if before <= 0:
        return operand.whole
    return reshaped(operand.whole, (*shape[:before], 1, *shape[before:]))


def _reduction(it: BatchedOp) -> Node | None:
    return it.apply(*it.wholes, axes=it.moved(it.node.attrs["axes"]))


def _movement(it: BatchedOp) -> Node | None:
    (whole,), attrs = it.wholes, it.node.attrs
    if it.operands[0].at_step.tensor_type.rank != it.rank:
        return None
    match it.node.op:
        case ops.transpose:
            return it.apply(whole, axes=it.with_time(it.moved(attrs["axes"]), it.axis))
        case ops.broadcast_to:
            return it.apply(whole, shape=it.with_time(attrs["shape"], it.steps))
        case ops.slice:
            start, stop = it.with_time(attrs["start"], 0), it.with_time(attrs["stop"], it.steps)
            return it.apply(whole, start=start, stop=stop, step=it.with_time(attrs["step"], 1))
        case ops.pad:
            names = [name for name in ("low", "high", "interior") if attrs[name]]
            return it.apply(whole, **{name: it.with_time(attrs[name], 0) for name in names})
        case ops.flip:
            return it.apply(whole, axes=it.moved(attrs["axes"]))
        case ops.repeat:
            return it.apply(whole, factors=it.with_time(attrs["factors"], 1))
    return None


def _view(it: BatchedOp) -> Node | None:
    if it.operands[0].at_step.shape[: it.axis] != it.node.shape[: it.axis]:
        return None
    return ops.reshape(it.wholes[0], shape=it.with_time(it.node.shape, it.steps))


def _concatenation(it: BatchedOp) -> Node | None:
    if not all(operand.is_sequence for operand in it.operands):
        return None
    (axis,) = it.moved([it.node.attrs["axis"]])
    return it.apply(*it.wholes, axis=axis)


def _gather(it: BatchedOp) -> Node | None:
    """Rows of one table for all steps: an embedding."""
    table, indices = it.operands
    first = it.node.attrs["axis"] % table.at_step.tensor_type.rank == 0
    return it.apply(*it.wholes) if first and not table.is_sequence and indices.is_sequence else None


def _contraction(it: BatchedOp) -> Node | None:
    if it.node.op is not ops.matmul:
        return _by_sample(it)
    left, right = it.operands
    ranks = [operand.at_step.tensor_type.rank for operand in it.operands]
    if left.is_sequence and not right.is_sequence:
        # One product of the rows of all steps; the axis that is summed over must not be time.
        return it.apply(*it.wholes) if ranks[1] == 2 and it.axis < ranks[0] else None
    same = left.is_sequence and ranks[0] == ranks[1] > it.axis + 1
    return it.apply(*it.wholes) if same else None


def _by_sample(it: BatchedOp) -> Node | None:
    """Merges time into the batch: the images of all steps become samples."""
    image = it.operands[0]
    if not image.is_sequence or any(o.is_sequence for o in it.operands[1:]) or it.axis > 1:
        return None
    samples = image.at_step.shape[0] * it.steps
    folded = ops.reshape(image.whole, shape=(samples, *image.at_step.shape[1:]))
    made = it.apply(folded, *it.wholes[1:])
    return ops.reshape(made, shape=it.with_time(it.node.shape, it.steps))


_RULES: dict[type, Callable[[BatchedOp], Node | None]] = {
    Elementwise: _elementwise,
    Reduction: _reduction,
    Movement: _movement,
    View: _view,
    Concatenation: _concatenation,
    Gather: _gather,
    Contraction: _contraction,
    Window: _by_sample,
}
