"""Dead code and common subexpressions of loops are removed: see ``trim``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, on_operands
from ..ir.rewrite import applied, change_bodies, remade
from ..ops.core import ITEM
from ..ops.registry import ops
from ..ops.stepping import MANNER, Nodes, items_of, operands_of
from .loops import Results, loop_of, rewrite_scans, tightened


def trim(graph: Graph, context: Context[Any]) -> Graph:
    """Loop DCE and CSE: merges loops that carry the same values, and removes unread results.

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
            return items_of(node)  # nothing was removed: the text stays as it is written
        context.decisions.add(Decision("trim", "scan", node.layers, "trimmed", "UNREAD"))
        return results

    return rewrite_scans(graph, change)


def _size(scan: Node) -> tuple[int, int]:
    return len(scan.inputs), len(scan.attrs["body"].outputs)


def _merged(graph: Graph, decisions: Decisions) -> Graph:
    """Merges scans with equal starts and updates of carries; all results stay."""
    while alike := _alike(graph):
        for first, others in alike.items():
            for _ in others:
                decision = Decision("trim", "scan+scan", first.layers, "merged", "SAME_CARRIES")
                decisions.add(decision)
        graph = _merge(graph, alike)
    return graph


def _alike(graph: Graph) -> dict[Node, list[Node]]:
    """The scans that do as an earlier one does, by that."""
    bases: dict[object, Node] = {}
    first_of: dict[object, Node] = {}
    alike: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.op is not ops.scan:
            continue
        outer = operands_of(node, node.inputs)
        where = tuple(node.attrs[key] for key in MANNER)
        # Captured values must be equal too: otherwise one scan may need a result of the other.
        key = outer.carries, outer.sequences, frozenset(outer.captured), where
        base = bases.setdefault(key, node)
        changed = _outputs_within(node, base)[: len(outer.carries)]
        first = first_of.setdefault((base, changed), node)
        if first is not node:
            alike.setdefault(first, []).append(node)
    return alike


def _outputs_within(node: Node, other: Node) -> Nodes:
    """What a step of ``node`` gives, computed from the carries and slices of ``other``'s body."""
    own = operands_of(other, other.attrs["body"].inputs)
    captured = operands_of(node, node.inputs).captured
    return applied(node.attrs["body"], (*own.carries, *own.sequences, *captured))


def _merge(graph: Graph, alike: Mapping[Node, Sequence[Node]]) -> Graph:
    """``graph`` with the results of each scan of ``alike`` and of those like it as one scan's."""
    results: dict[Node, Nodes] = {}

    def make(node: Node, operands: Sequence[Node]) -> Node:
        if node.op is ITEM and node.inputs[0] in results:
            index: int = node.attrs["index"]
            return results[node.inputs[0]][index]
        if node in results:
            return node  # none of its own results is read
        same = on_operands(node, operands)
        if node in alike:
            new = dict(zip(node.inputs, operands, strict=True))
            others = [on_operands(each, [new[i] for i in each.inputs]) for each in alike[node]]
            united = _united(same, others)
            results.update(zip((node, *alike[node]), united, strict=True))
        return same

    return remade(graph, make)


def _united(first: Node, others: Sequence[Node]) -> Iterator[Nodes]:
    """The results of ``first``, and those of each of ``others``, all of one scan."""
    loop, count = loop_of(first), len(loop_of(first).starts)
    outputs, ends = list(loop.outputs), [len(loop.outputs)]
    for other in others:
        outputs += _outputs_within(other, first)[count:]
        ends.append(len(outputs))
    items = items_of(loop.with_outputs(outputs).closed())
    yield items[: ends[0]]
    yield from ((*items[:count], *items[start:end]) for start, end in pairwise(ends))
