"""Loops do what is asked of them and no more: see ``trim``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node
from ..ir.rewrite import applied, change_bodies, substitute_nodes
from ..ops.core import ITEM
from ..ops.registry import ops
from ..ops.stepping import Nodes, items_of, parts_of
from .loops import Results, loop_of, rewrite_scans, tightened


def trim(graph: Graph, context: Context[Any]) -> Graph:
    """Makes one loop of two that carry the same, and drops what no one reads of a loop.

        %0 = scan(%h, %x, $w, carries=1, sequences=1) {... return %0.1, %0.1}
        %1 = scan(%h, %x, $w, carries=1, sequences=1) {... return %1.1, %1.1, %c0}
        return item(%0, index=0), item(%1, index=2)
    -->
        %0 = scan(%h, %x, $w, carries=1, sequences=1) {... return %0.1, %c0}
        return item(%0, index=0), item(%0, index=1)
    """
    graph = change_bodies(graph, lambda body: trim(body, context))
    graph = _merged(graph, context.decisions)

    def change(node: Node, used: Collection[int]) -> Results:
        results, scan = tightened(loop_of(node), used)
        if scan is not None and _size(scan) == _size(node):
            return items_of(node)  # nothing was left out: it stays as it is written
        context.decisions.add(Decision("trim", "scan", node.layers, "trimmed", "UNREAD"))
        return results

    return rewrite_scans(graph, change)


def _size(scan: Node) -> tuple[int, int]:
    return len(scan.inputs), len(scan.attrs["body"].outputs)


def _merged(graph: Graph, decisions: Decisions) -> Graph:
    """Scans from the same values that change their carries alike become one, with all results."""
    while (pair := _alike(graph)) is not None:
        graph = _merge(graph, *pair)
        decisions.add(Decision("trim", "scan+scan", pair[0].layers, "merged", "SAME_CARRIES"))
    return graph


def _alike(graph: Graph) -> tuple[Node, Node] | None:
    groups: dict[object, list[Node]] = {}
    for node in graph.nodes:
        if node.op is not ops.scan:
            continue
        outer = parts_of(node, node.inputs)
        where = node.attrs["axis"], node.attrs["reverse"]
        # What they capture is the same, too, lest one needs a result of the other.
        key = outer.carries, outer.sequences, frozenset(outer.captured), where
        for other in groups.setdefault(key, []):
            count = len(outer.carries)
            if _outputs_within(node, other)[:count] == loop_of(other).step.new_state:
                return other, node
        groups[key].append(node)
    return None


def _outputs_within(node: Node, other: Node) -> Nodes:
    """What a step of ``node`` gives, computed from the carries and slices of ``other``'s body."""
    own = parts_of(other, other.attrs["body"].inputs)
    captured = parts_of(node, node.inputs).captured
    return applied(node.attrs["body"], (*own.carries, *own.sequences, *captured))


def _merge(graph: Graph, first: Node, second: Node) -> Graph:
    loop, count = loop_of(first), len(loop_of(first).starts)
    added = _outputs_within(second, first)[count:]
    union = loop.with_outputs((*loop.outputs, *added))
    items = items_of(union.closed())
    numbers = {
        first: range(len(loop.outputs)),
        second: (*range(count), *range(len(loop.outputs), len(items))),
    }
    replaced = {
        node: items[numbers[node.inputs[0]][node.attrs["index"]]]
        for node in graph.nodes
        if node.op is ITEM and node.inputs[0] in numbers
    }
    return substitute_nodes(graph, replaced)
