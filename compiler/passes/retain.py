"""Save for backward: products of a loop's steps are stored, so that they are not computed again.

    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %0.0 = add(matmul(%c0, %w0), %x0)
      %0.1 = tanh(%0.0)
      return %0.1, %c0
    }
    %1 = add(matmul(item(%0, index=1), $u), %x)
    -->
    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %0.0 = add(matmul(%c0, %w0), %x0)
      %0.1 = tanh(%0.0)
      return %0.1, %c0, %0.0
    }
    %1 = item(%0, index=2)

The gradient of a loop reads the carries that each step began with, and recomputes the step from
them. Recomputing arithmetic costs less than storing and reading its results; for matrix products it
is the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ...runtime.dim import Size
from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, post_order
from ..ir.kinds import Contraction, Elementwise
from ..ir.rewrite import change_bodies, rebuild
from ..ir.types import TupleType
from ..ops.dependence import between, varying
from ..ops.registry import ops
from ..ops.stepping import items_of, steps_of
from .batching import StepOperand, batch_steps
from .loops import loop_of


def retain(graph: Graph, context: Context[Any]) -> Graph:
    """Stacks matrix products of steps that are recomputed later; see the module's docstring."""
    graph = change_bodies(graph, lambda body: retain(body, context))
    before = None
    while graph is not before:
        before, graph = graph, _with_results(graph, _computed_again(graph), context.decisions)
    return graph


Kept: TypeAlias = dict[Node, Node]  # products in a body, and the same of all steps outside


def _with_results(graph: Graph, scans: Mapping[Node, Kept], decisions: Decisions) -> Graph:
    """``graph`` with what is kept of each scan replaced by its results."""
    new: dict[Node, Node] = {}
    for scan, found in scans.items():
        rebuild(post_order(scan.inputs, ends=new), new)
        # What the scan itself reads cannot be a result of it.
        kept = {node: whole for node, whole in found.items() if whole not in new}
        if not kept:
            continue
        loop = loop_of(scan)
        wider = loop.with_outputs((*loop.outputs, *kept)).closed()
        items = items_of(rebuild((wider,), new)[wider])
        new.update((item, items[item.attrs["index"]]) for item in graph.users[scan])
        new.update(zip(kept.values(), items[len(loop.outputs) :], strict=True))
        for node in kept:
            _record(node, scan, decisions)
    rebuild(graph.nodes, new)
    return graph.with_outputs(new[node] for node in graph.outputs)


def _record(node: Node, scan: Node, decisions: Decisions) -> None:
    detail, layers = f"all {steps_of(scan)} steps are stacked", node.layers or scan.layers
    decisions.add(Decision("retain", node.op.name, layers, "retained", "COMPUTED", detail))


class _Needed:
    """The nodes of a graph that results are computed from, while some become results of loops."""

    def __init__(self, graph: Graph) -> None:
        self._readers = {node: len(users) for node, users in graph.users.items()}
        for output in graph.outputs:
            self._readers[output] += 1
        self._done: set[Node] = set()

    def __contains__(self, node: Node) -> bool:
        return self._readers.get(node, 0) > 0

    def keep(self, whole: Node, scan: Node) -> None:
        """``whole`` is read from ``scan``, and nothing is read for its sake."""
        self._readers[scan] += 1
        waiting = [whole]
        while waiting:
            node = waiting.pop()
            if node in self._done:
                continue
            self._done.add(node)
            for operand in dict.fromkeys(node.inputs):
                self._readers[operand] -= 1
                if not self._readers[operand]:
                    waiting.append(operand)


def _computed_again(graph: Graph) -> dict[Node, Kept]:
    """Of each scan the products that are computed once more outside, where that is needed."""
    needed, found = _Needed(graph), {}
    for scan in graph.nodes:
        if scan.op is ops.scan and scan in needed and (kept := _kept(scan, graph, needed)):
            found[scan] = kept
    return found


def _kept(scan: Node, graph: Graph, needed: _Needed) -> Kept:
    wholes = _wholes(graph, scan)
    present = {node: whole for node, whole in wholes.items() if whole in needed}
    products = [node for node in present if isinstance(node.op.kind, Contraction)]
    tops = {product: _in_its_place(product, present, graph, needed) for product in products}
    kept: Kept = {}
    for product in reversed(products):
        for top in tops[product] if present[product] in needed else ():
            if top not in kept:
                kept[top] = present[top]
                needed.keep(present[top], scan)
    return kept


def _in_its_place(product: Node, present: Kept, graph: Graph, needed: _Needed) -> tuple[Node, ...]:
    """What to keep for ``product``: the last values that are computed from it and as large.

    Where only slices are read, that is what each of them becomes: gates once they are activated.
    """
    last = _last_of_its_size(product, present, graph, needed)
    inside = {whole: body_node for body_node, whole in present.items()}
    users = [user for user in graph.users[present[last]] if user in needed]
    slices = [inside[user] for user in users if user.op is ops.slice and user in inside]
    if present[last] in graph.results or len(slices) < len(users) or not _fit(slices, last):
        return (last,)
    tops = tuple(_last_of_its_size(each, present, graph, needed) for each in slices)
    return (last,) if tops == tuple(slices) else tops


def _fit(slices: Sequence[Node], node: Node) -> bool:
    """Whether ``slices`` of channels of ``node`` take no more memory than it does."""
    widths = [each.shape[-1] for each in slices]
    narrow = all(each.shape[:-1] == node.shape[:-1] for each in slices)
    total: Size = sum((n for n in widths if isinstance(n, int)), 0)
    return narrow and all(isinstance(n, int) for n in widths) and total == node.shape[-1]


def _last_of_its_size(node: Node, present: Kept, graph: Graph, needed: _Needed) -> Node:
    """The last value of the same size that is computed from ``node`` alone and has one reader."""
    inside = {whole: body_node for body_node, whole in present.items()}
    while True:
        users = [user for user in graph.users[present[node]] if user in needed]
        above = inside.get(users[0]) if len(users) == 1 else None
        if above is None or present[node] in graph.results or above.type != node.type:
            return node
        if not isinstance(above.op.kind, Elementwise):
            return node
        node = above


def _wholes(graph: Graph, scan: Node) -> dict[Node, Node]:
    """The nodes outside the loop that compute values of a step for all steps."""
    loop, steps = loop_of(scan), steps_of(scan)
    count = len(loop.starts)
    known = dict(zip(loop.step.slices, loop.sequences, strict=True))
    for user in graph.users[scan]:
        if user.attrs["index"] >= count:
            known.setdefault(loop.outputs[user.attrs["index"]], user)
    order = between(loop.outputs, loop.step.outside)
    moving = varying(order, (*loop.step.state, *loop.step.slices))
    found: dict[Node, Node] = {}
    for node in order:
        if node not in moving or node in known or isinstance(node.type, TupleType):
            continue
        if not node.inputs or any(i in moving and i not in known for i in node.inputs):
            continue
        operands = [StepOperand(i, known.get(i, i), i in moving) for i in node.inputs]
        whole = batch_steps(node, operands, loop.axis, steps)
        if whole is not None:
            known[node] = found[node] = whole
    return found
