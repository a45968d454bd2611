"""The gradient of ``scan``: a scan the other way, over the carries that each step began with.

Reverse mode goes through the steps from the last to the first. What it hands from step to step is
the gradient of the carries, and for each captured value the sum over the steps so far. A step is
computed again from the carries it began with, which a forward scan stacks; the pass ``trim``
makes one loop of that scan and the one that was there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from ..ir import Graph, Node
from ..types import TensorType
from .building import full, reshaped
from .core import input_
from .registry import ops
from .stepping import Nodes, Parts, Step, applied, at_one_step, close_scan, items_of, parts_of

Slope: TypeAlias = "Node | None"
Pullback: TypeAlias = Callable[[Sequence[Node], Sequence[Slope], Sequence[Node]], Sequence[Slope]]


def scan_gradient(node: Node, grads: Sequence[Slope], pullback: Pullback) -> tuple[Slope, ...]:
    """One gradient (or None) per operand; ``pullback`` is ``autodiff.pullback``."""
    return _Backward(node, grads, pullback).slopes()


class _Backward:
    """The scan back through the scan ``node``, whose results received ``grads``."""

    def __init__(self, node: Node, grads: Sequence[Slope], pullback: Pullback) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.axis: int = node.attrs["axis"]
        self.outer: Parts[Node] = parts_of(node, node.inputs)
        self.pullback = pullback
        carries = len(self.outer.carries)
        self.final, self.stacked = tuple(grads[:carries]), tuple(grads[carries:])

    def slopes(self) -> tuple[Slope, ...]:
        outer = self.outer
        saved = self._saved_carries()
        given = (slope for slope in self.stacked if slope is not None)
        sequences = (*saved, *outer.sequences, *given)
        slices = _inputs("x", [at_one_step(n.tensor_type, self.axis) for n in sequences])
        state = _inputs("c", [n.tensor_type for n in outer.carries if n.dtype.is_float])
        begun = tuple(
            reshaped(carry, start.shape)
            for carry, start in zip(slices, outer.carries, strict=False)
        )
        seen = slices[len(saved) : len(saved) + len(outer.sequences)]
        arriving = slices[len(saved) + len(seen) :]
        captured = tuple(dict.fromkeys(outer.captured))
        found = self.pullback(
            applied(self.body, (*begun, *seen, *outer.captured)),
            [*self._to_floats(iter(state)), *self._to_given(iter(arriving))],
            (*begun, *seen, *captured),
        )
        slope_of = dict(zip((*begun, *seen, *captured), found, strict=True))
        growing = {n: slope for n in captured if (slope := slope_of[n]) is not None}
        summed = tuple(growing)
        sums = _inputs("s", [n.tensor_type for n in summed])
        step = Step(
            (*state, *sums),
            slices,
            (
                *(slope_of[n] or zeros(n) for n in begun if n.dtype.is_float),
                *map(ops.add, sums, growing.values()),
            ),
            tuple(slope for n in seen if (slope := slope_of[n]) is not None),
        )
        if not (*step.new_state, *step.results):
            return (None,) * len(self.node.inputs)
        starts = (*self._final_slopes(), *map(zeros, summed))
        reverse = not self.node.attrs["reverse"]
        back = close_scan(step, starts, sequences, axis=self.axis, reverse=reverse)
        items = iter(items_of(back))
        by_carry = self._to_floats(items)
        by_captured = dict(zip(summed, islice(items, len(summed)), strict=True))
        by_sequence = [None if slope_of[n] is None else next(items) for n in seen]
        # A value captured twice gets the whole once.
        by_operand = (by_captured.pop(n, None) for n in outer.captured)
        return (*by_carry, *by_sequence, *by_operand)

    def _saved_carries(self) -> Nodes:
        """The carries that each step began with, stacked."""
        own = parts_of(self.node, self.body.inputs)
        outputs = applied(self.body, (*own.carries, *own.sequences, *self.outer.captured))
        count = len(own.carries)
        begun = tuple(map(self._stackable, own.carries))
        step = Step(own.carries, own.sequences, outputs[:count], (*outputs[count:], *begun))
        reverse = self.node.attrs["reverse"]
        starts, sequences = self.outer.carries, self.outer.sequences
        items = items_of(close_scan(step, starts, sequences, axis=self.axis, reverse=reverse))
        return items[len(items) - count :]

    def _stackable(self, carry: Node) -> Node:
        """Carries of too few axes to have time as axis ``axis`` get axes of size 1."""
        missing = max(0, self.axis - carry.tensor_type.rank)
        return reshaped(carry, (*carry.shape, *(1,) * missing))

    def _final_slopes(self) -> list[Node]:
        pairs = zip(self.outer.carries, self.final, strict=True)
        return [slope or zeros(start) for start, slope in pairs if start.dtype.is_float]

    def _to_floats(self, values: Iterator[Node]) -> list[Slope]:
        """``values``, one for each carry that is a float, with None for the others."""
        return [next(values) if n.dtype.is_float else None for n in self.outer.carries]

    def _to_given(self, values: Iterator[Node]) -> list[Slope]:
        """``values``, one for each stacked result that received a gradient."""
        return [None if slope is None else next(values) for slope in self.stacked]


def _inputs(letter: str, types: Sequence[TensorType]) -> Nodes:
    return tuple(input_(f"{letter}{i}", type_) for i, type_ in enumerate(types))


def zeros(like: Node) -> Node:
    """Nothing, in the type of ``like``."""
    return full(0, like.shape, like.dtype)
