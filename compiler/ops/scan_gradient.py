"""The gradient of ``scan``: a scan the other way, over the carries that each step began with.

Reverse mode goes through the steps from the last to the first. Its carries are the cotangents of
the carries, and for each captured value the sum over the steps so far. A step is computed again
from the carries it began with, which a forward scan stacks; the pass ``trim`` makes one loop of
that scan and the one that was there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from ..ir.graph import Graph, Node
from ..ir.rewrite import applied
from ..ir.types import TensorType
from .building import full, reshaped
from .core import input_
from .dependence import varying_inside
from .registry import ops
from .stepping import (
    MANNER,
    Nodes,
    ScanOperands,
    ScanStep,
    at_one_step,
    close_scan,
    items_of,
    operands_of,
)

Cotangent: TypeAlias = "Node | None"
Pullback: TypeAlias = Callable[
    [Sequence[Node], Sequence[Cotangent], Sequence[Node]], Sequence[Cotangent]
]


def scan_gradient(
    node: Node, grads: Sequence[Cotangent], pullback: Pullback, wanted: Collection[Node]
) -> tuple[Cotangent, ...]:
    """One gradient (or None) per operand, for those that are ``wanted``.

    ``pullback`` is ``autodiff.pullback``.
    """
    return _Backward(node, grads, pullback, wanted).cotangents()


@dataclass(frozen=True)
class _Leaves:
    """What a backward step reads: the values of its forward step, and cotangents.

    ``slices`` are one of each sequence of the loop back: carries, sequences, cotangents of results.
    """

    slices: Nodes
    begun: Nodes
    seen: Nodes
    arriving: Nodes
    state: Nodes


class _Backward:
    """The scan back through the scan ``node``, whose results received ``grads``."""

    def __init__(
        self, node: Node, grads: Sequence[Cotangent], pullback: Pullback, wanted: Collection[Node]
    ) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.axis: int = node.attrs["axis"]
        self.outer: ScanOperands[Node] = operands_of(node, node.inputs)
        self.pullback = pullback
        self.wanted = wanted
        carries = len(self.outer.carries)
        self.final, self.stacked = tuple(grads[:carries]), tuple(grads[carries:])

    def cotangents(self) -> tuple[Cotangent, ...]:
        outer = self.outer
        given = (cotangent for cotangent in self.stacked if cotangent is not None)
        sequences = (*self._saved_carries(), *outer.sequences, *given)
        leaves = self._leaves([n.tensor_type for n in sequences])
        propagated, cotangent_of = self._of_a_step(leaves)
        summed = tuple(n for n in dict.fromkeys(outer.captured) if n in cotangent_of)
        sums = _inputs("s", [n.tensor_type for n in summed])
        new_cotangents = (
            cotangent_of.get(leaves.begun[i]) or zeros(leaves.begun[i]) for i in propagated
        )
        step = ScanStep(
            (*(leaves.state[i] for i in propagated), *sums),
            leaves.slices,
            (
                *new_cotangents,
                *(ops.add(s, cotangent_of[n]) for s, n in zip(sums, summed, strict=True)),
            ),
            tuple(cotangent_of[n] for n in leaves.seen if n in cotangent_of),
            frozenset(outer.captured),
        )
        if not (*step.new_state, *step.results):
            return (None,) * len(self.node.inputs)
        starts = (*map(self._final_cotangent, propagated), *map(zeros, summed))
        how = {key: self.node.attrs[key] for key in MANNER}
        how["reverse"] = not how["reverse"]
        back = close_scan(step, starts, sequences, **how)
        items = iter(items_of(back))
        by_carry = dict(zip(propagated, islice(items, len(propagated)), strict=True))
        by_captured = dict(zip(summed, islice(items, len(summed)), strict=True))
        by_sequence = [next(items) if n in cotangent_of else None for n in leaves.seen]
        stopped = self._stopped(leaves, cotangent_of)
        # A value captured twice gets the whole once.
        return (
            *(None if i in stopped else by_carry.get(i) for i in range(len(outer.carries))),
            *by_sequence,
            *(by_captured.pop(n, None) for n in outer.captured),
        )

    def _leaves(self, types: Sequence[TensorType]) -> _Leaves:
        outer = self.outer
        slices = _inputs("x", [at_one_step(type_, self.axis) for type_ in types])
        count = len(outer.carries)
        last = count + len(outer.sequences)
        pairs = zip(slices[:count], outer.carries, strict=True)
        return _Leaves(
            slices,
            tuple(reshaped(carry, start.shape) for carry, start in pairs),
            slices[count:last],
            slices[last:],
            _inputs("c", [n.tensor_type for n in outer.carries]),
        )

    def _of_a_step(self, leaves: _Leaves) -> tuple[list[int], Mapping[Node, Node]]:
        """The carries whose cotangents are propagated, by number, and the cotangents of a step.
        Propagated are cotangents of carries that have one after the last step, or get one in a step
        from others that have: after some backward steps all of these do.
        """
        arriving = iter(leaves.arriving)
        given = [None if cotangent is None else next(arriving) for cotangent in self.stacked]
        outputs = applied(self.body, (*leaves.begun, *leaves.seen, *self.outer.captured))
        wrt = self._differentiable(leaves)
        propagated = [i for i, n in enumerate(leaves.begun) if self.final[i] and n in wrt]
        while True:
            state = [leaves.state[i] if i in propagated else None for i in range(len(leaves.state))]
            cotangents = self.pullback(outputs, [*state, *given], wrt)
            pairs = zip(wrt, cotangents, strict=True)
            cotangent_of = {node: cotangent for node, cotangent in pairs if cotangent is not None}
            more = [i for i, n in enumerate(leaves.begun) if i in propagated or n in cotangent_of]
            if more == propagated:
                return propagated, cotangent_of
            propagated = more

    def _differentiable(self, leaves: _Leaves) -> Nodes:
        """The operands of a step, each once, that are floats and change with what is wanted."""
        moving = varying_inside(self.node, self.wanted)
        operands = (*leaves.begun, *leaves.seen, *self.outer.captured)
        pairs = zip(self.body.inputs, operands, strict=True)
        moved = (n for inner, n in pairs if inner in moving and n.dtype.is_float)
        return tuple(dict.fromkeys(moved))

    def _stopped(self, leaves: _Leaves, cotangent_of: Mapping[Node, Node]) -> set[int]:
        """The carries that a step reads, but only in ways without a derivative."""
        carries = operands_of(self.node, self.body.inputs).carries
        read = {inner for inner in carries if inner in Graph("", (), self.body.outputs).nodes}
        pairs = enumerate(zip(carries, leaves.begun, strict=True))
        return {i for i, (inner, n) in pairs if inner in read and n not in cotangent_of}

    def _saved_carries(self) -> Nodes:
        """The carries that each step began with, stacked."""
        own = operands_of(self.node, self.body.inputs)
        outputs = applied(self.body, (*own.carries, *own.sequences, *self.outer.captured))
        count = len(own.carries)
        begun = tuple(map(self._stackable, own.carries))
        results, outside = (*outputs[count:], *begun), frozenset(self.outer.captured)
        step = ScanStep(own.carries, own.sequences, outputs[:count], results, outside)
        how = {key: self.node.attrs[key] for key in MANNER}
        items = items_of(close_scan(step, self.outer.carries, self.outer.sequences, **how))
        return items[len(items) - count :]

    def _stackable(self, carry: Node) -> Node:
        """Carries of too few axes to have time as axis ``axis`` get axes of size 1."""
        missing = max(0, self.axis - carry.tensor_type.rank)
        return reshaped(carry, (*carry.shape, *(1,) * missing))

    def _final_cotangent(self, index: int) -> Node:
        return self.final[index] or zeros(self.outer.carries[index])


def _inputs(letter: str, types: Sequence[TensorType]) -> Nodes:
    return tuple(input_(f"{letter}{i}", type_) for i, type_ in enumerate(types))


def zeros(like: Node) -> Node:
    """Nothing, in the type of ``like``."""
    return full(0, like.shape, like.dtype)
