"""Inlining into loops: what only a loop reads, element by element, is computed in its steps.

    %0 = sigmoid(%x)
    %1 = scan(%h, %0, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %1.0 = multiply(matmul(%c0, %w0), %x0)
      return %1.0
    }
    -->
    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %0.0 = multiply(matmul(%c0, %w0), sigmoid(%x0))
      return %0.0
    }

Computed for all steps at once, such a value is written to memory and read back, and in the gradient
of a recurrent net there are a dozen of them. In a step it stays in registers. What follows a matrix
product or another op that a kernel does along with it stays outside: there it costs no pass either.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, apply, on_operands, origin_scope, post_order
from ..ir.kinds import Elementwise, Leaf, Projection
from ..ir.rewrite import change_bodies, rebuild, substituted
from ..ir.types import FLOAT32, Size
from ..ops.core import ITEM, input_
from ..ops.registry import ops
from ..ops.stepping import ScanStep, at_one_step, operands_of, steps_of
from .clusters import MAX_NODES
from .loops import Loop, Results, loop_of, tightened, used_results


def inline(graph: Graph, context: Context[Any]) -> Graph:
    """Moves elementwise ops into the loops that alone read them; see the module's docstring."""
    graph = change_bodies(graph, lambda body: inline(body, context))
    scans = (node for node in graph.nodes if node.op is ops.scan)
    chosen = {scan: found for scan in scans if (found := _movable(scan, graph))}
    new: dict[Node, Node] = {}
    results: dict[Node, Results] = {}

    def make(node: Node, operands: Sequence[Node]) -> Node:
        if node.op is ITEM and node.inputs[0] in results:
            result: Node | None = results[node.inputs[0]][node.attrs["index"]]
            assert result is not None, "a result of a loop is used"
            return result
        same = on_operands(node, operands)
        if node in chosen:
            loop = _with_ops(loop_of(same), [new[each] for each in chosen[node]])
            results[node], _ = tightened(loop, used_results(node, graph))
            _record(node, chosen[node], context.decisions)
        return same

    if not chosen:
        return graph
    rebuild(graph.nodes, new, make)
    return graph.with_outputs(new[node] for node in graph.outputs)


def _record(scan: Node, chosen: Sequence[Node], decisions: Decisions) -> None:
    for node in chosen:
        layers = node.layers or scan.layers
        detail = "each step computes its own, in registers"
        decisions.add(Decision("inline", node.op.name, layers, "inlined", "ONE_READER", detail))


def _movable(scan: Node, graph: Graph) -> Sequence[Node]:
    """The ops whose values only the steps of ``scan`` read, operands first; none if too many."""
    axis, steps, body = scan.attrs["axis"], steps_of(scan), scan.attrs["body"]
    taken = _read_by_arithmetic(scan)
    order = _by_step(taken, axis, steps)
    possible: dict[Node, None] = {}
    for node in order:
        wide = (i for i in node.inputs if i.shape == node.shape)
        if all(i in possible or _is_at_hand(i) for i in wide):
            possible[node] = None
    chosen: set[Node] = set()
    for node in reversed(possible):
        users = graph.users[node]
        alone = all(user in chosen or (user is scan and node in taken) for user in users)
        if alone and node not in graph.results:
            chosen.add(node)
    inside = sum(isinstance(node.op.kind, Elementwise) for node in body.nodes)
    fits = len(chosen) + inside <= MAX_NODES
    return [node for node in possible if node in chosen] if fits else ()


def _by_step(ends: Collection[Node], axis: int, steps: Size) -> list[Node]:
    """What ``ends`` are computed from step by step, operands first, and they themselves."""
    found: set[Node] = set()
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node not in found and _is_by_step(node, axis, steps):
            found.add(node)
            waiting += node.inputs
    below = {i for node in (*found, *ends) for i in (node, *node.inputs)} - found
    return [node for node in post_order(tuple(ends), ends=below) if node in found]


def _is_by_step(node: Node, axis: int, steps: Size) -> bool:
    """Whether each step of ``node`` is computed from that step of its operands alone."""
    if not isinstance(node.op.kind, Elementwise) or len(node.shape) <= axis:
        return False
    after = len(node.shape) - axis - 1
    return (
        node.shape[axis] == steps
        and all(i.dtype == FLOAT32 for i in (node, *node.inputs))
        and all(i.shape == node.shape or i.tensor_type.rank <= after for i in node.inputs)
    )


def _is_at_hand(node: Node) -> bool:
    """Whether ``node`` lies in memory anyway: no kernel that makes it could go on from it."""
    return isinstance(node.op.kind, (Leaf, Projection))


def _read_by_arithmetic(scan: Node) -> set[Node]:
    """The sequences of a loop that its steps read element by element only."""
    body: Graph = scan.attrs["body"]
    own, outer = operands_of(scan, body.inputs), operands_of(scan, scan.inputs)
    others = {*outer.carries, *outer.captured}
    for slice_, sequence in zip(own.sequences, outer.sequences, strict=True):
        users = body.users[slice_]
        arithmetic = all(isinstance(user.op.kind, Elementwise) for user in users)
        if slice_ in body.outputs or not arithmetic:
            others.add(sequence)
    return {*outer.sequences} - others


def _with_ops(loop: Loop, chosen: Sequence[Node]) -> Loop:
    """``loop`` with ``chosen`` computed in its steps."""
    shapes = {node: node.shape for node in chosen}
    read = dict.fromkeys(i for node in chosen for i in node.inputs if i not in shapes)
    wide = {i for node in chosen for i in node.inputs if i.shape == node.shape}
    more = {
        node: input_("x", at_one_step(node.tensor_type, loop.axis)) for node in read if node in wide
    }
    inner = dict(more)
    for node in chosen:
        with origin_scope(*node.origins):
            inner[node] = apply(node.op, [inner.get(i, i) for i in node.inputs], node.attrs)
    step = loop.step
    pairs = zip(step.slices, loop.sequences, strict=True)
    known = {slice_: inner[sequence] for slice_, sequence in pairs if sequence in shapes}
    outside = step.outside | {node for node in read if node not in wide}
    outputs = substituted(loop.outputs, known, step.outside)
    count = len(step.state)
    slices = (*step.slices, *more.values())
    rest = ScanStep(step.state, slices, outputs[:count], outputs[count:], outside)
    return replace(loop, step=rest, sequences=(*loop.sequences, *more))
