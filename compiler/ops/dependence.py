"""What changes when something else does, looked up inside of loops: each result by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..ir.graph import Graph, Node, post_order
from .core import ITEM
from .registry import ops
from .stepping import operands_of


def between(outputs: Sequence[Node], ends: Collection[Node] = ()) -> tuple[Node, ...]:
    """What ``outputs`` are computed from, operands first, without going beyond ``ends``."""
    return tuple(post_order(outputs, ends=ends))


def varying(order: Iterable[Node], leaves: Iterable[Node]) -> set[Node]:
    """The nodes of ``order`` (operands first) that change when ``leaves`` do, and the leaves."""
    found = set(leaves)
    results: dict[Node, frozenset[int]] = {}
    for node in order:
        if not any(operand in found for operand in node.inputs):
            continue
        if node.op is ops.scan:
            results[node] = _varying_results(node, found)
        looped = results.get(node.inputs[0]) if node.op is ITEM else None
        if looped is None or node.attrs["index"] in looped:
            found.add(node)
    return found


def varying_inside(scan: Node, outside: Collection[Node]) -> set[Node]:
    """The nodes in the body of ``scan`` that change, at any step, when those ``outside`` do."""
    body: Graph = scan.attrs["body"]
    pairs = zip(body.inputs, scan.inputs, strict=True)
    leaves = {inner for inner, operand in pairs if operand in outside}
    carries = operands_of(scan, body.inputs).carries
    while True:
        found = varying(body.nodes, leaves)
        carried = {c for c, new in zip(carries, body.outputs, strict=False) if new in found}
        if carried <= leaves:
            return found
        leaves |= carried


def _varying_results(scan: Node, outside: Collection[Node]) -> frozenset[int]:
    body: Graph = scan.attrs["body"]
    inside = varying_inside(scan, outside)
    ends = {i for i, output in enumerate(body.outputs) if output in inside}
    # Without a step the last carries are the first.
    starts = operands_of(scan, body.inputs).carries
    return frozenset(ends | {i for i, carry in enumerate(starts) if carry in inside})


def read_inside(scan: Node, results: Collection[int]) -> tuple[Node, ...]:
    """What a step computes towards these results of ``scan``, operands first."""
    body: Graph = scan.attrs["body"]
    carries = operands_of(scan, body.inputs).carries
    wanted = set(results)
    while True:
        order = between([body.outputs[i] for i in sorted(wanted)])
        more = {i for i, carry in enumerate(carries) if carry in order}
        if more <= wanted:
            return order
        wanted |= more
