"""Parameters that a graph updates: the order of its steps, and which updates write in place.

The step that computes a parameter's next value may overwrite the old one once every other reader of
it has run. Otherwise the value has memory of its own and is copied after the last step.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from ..ir.graph import Graph, Node
from ..ir.kinds import Concatenation, Contraction, Elementwise, Interleaving, Window, WindowGradient
from ..ops.core import FUSED
from .partial_order import Order


class Work(Protocol):
    """What is needed of a step here: its operands and results."""

    @property
    def node(self) -> Node: ...
    @property
    def operands(self) -> tuple[Node, ...]: ...
    @property
    def results(self) -> tuple[Node, ...]: ...


def order_updates(
    steps: Sequence[Work], graph: Graph, owners: Mapping[Node, Node]
) -> tuple[tuple[int, ...], frozenset[Node]]:
    """The order in which to run ``steps``, by number, and the parameters overwritten in it."""
    maker = {result: index for index, step in enumerate(steps) for result in step.results}
    reads = [{owners[operand] for operand in step.operands} for step in steps]
    before = [{maker[value] for value in values if value in maker} for values in reads]
    readers_of: dict[Node, set[int]] = {}
    for index, values in enumerate(reads):
        for read in values:
            readers_of.setdefault(read, set()).add(index)
    order = Order(before)
    overwritten = set()
    for parameter, value in graph.next_values.items():
        at = maker[value]
        readers = readers_of.get(parameter, set()) - {at}
        if _can_overwrite(steps[at], parameter, owners) and order.put_before(readers, at):
            overwritten.add(parameter)
    return tuple(_in_order(order.before)), frozenset(overwritten)


def _can_overwrite(step: Work, parameter: Node, owners: Mapping[Node, Node]) -> bool:
    """Whether each element of the old value is read only to compute the one that replaces it."""
    views = [operand for operand in step.operands if owners[operand] is parameter]
    if not views:
        return True
    if views != [parameter]:
        return False
    if step.node.op is not FUSED:
        return isinstance(step.node.op.kind, Elementwise) and step.node.type == parameter.type
    body: Graph = step.node.attrs["body"]
    # These kernels compute some elements twice, or write sums before they are done.
    twice = (Concatenation, Contraction, Interleaving, Window, WindowGradient)
    if any(isinstance(n.op.kind, twice) for n in body.nodes):
        return False
    return _stays_in_place(body.inputs[step.node.inputs.index(parameter)], body)


def _stays_in_place(value: Node, body: Graph) -> bool:
    """Whether all that is computed from ``value`` is so element by element."""
    found = {value}
    for node in body.nodes:
        if any(operand in found for operand in node.inputs):
            if not isinstance(node.op.kind, Elementwise) or node.shape != value.shape:
                return False
            found.add(node)
    return True


def _in_order(before: Sequence[set[int]]) -> Iterator[int]:
    """Each number after those it waits for, otherwise the lowest that is ready first."""
    waiting = [len(numbers) for numbers in before]
    after: list[list[int]] = [[] for _ in before]
    for index, numbers in enumerate(before):
        for number in numbers:
            after[number].append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    while ready:
        index = heapq.heappop(ready)
        yield index
        for follower in after[index]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, follower)
