"""Products that a loop has computed are kept for those who would compute them again.

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

The gradient of a loop is made of the carries that steps began with, and of what steps compute from
them. Arithmetic on that costs less than reading it would; products of matrices do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node
from ..ir.kinds import Contraction, Elementwise
from ..ir.rewrite import change_bodies, substitute_nodes
from ..ir.types import TupleType
from ..ops.core import ITEM
from ..ops.dependence import between, varying
from ..ops.registry import ops
from ..ops.stepping import items_of, steps_of
from .lifting import Operand, lift
from .loops import loop_of


def retain(graph: Graph, context: Context[Any]) -> Graph:
    """Stacks what steps compute where it is computed again; see the module's docstring."""
    graph = change_bodies(graph, lambda body: retain(body, context))
    changed: Graph | None = graph
    while changed is not None:
        graph, changed = changed, _step(changed, context.decisions)
    return graph


def _step(graph: Graph, decisions: Decisions) -> Graph | None:
    """``graph`` with the products of one loop kept; None if there are none to keep."""
    for scan in graph.nodes:
        if scan.op is ops.scan and (kept := _computed_again(graph, scan)):
            for node in kept:
                steps = steps_of(scan)
                detail = f"all {steps} steps are stacked"
                layers = node.layers or scan.layers
                decisions.add(
                    Decision("retain", node.op.name, layers, "retained", "COMPUTED", detail)
                )
            return _with_results(graph, scan, kept)
    return None


def _with_results(graph: Graph, scan: Node, kept: Mapping[Node, Node]) -> Graph:
    """``graph`` with what is outside of ``scan`` for each of ``kept`` replaced by its results."""
    loop = loop_of(scan)
    items = items_of(loop.with_outputs((*loop.outputs, *kept)).closed())
    replaced = {
        node: items[node.attrs["index"]]
        for node in graph.nodes
        if node.op is ITEM and node.inputs[0] is scan
    }
    stacked = items[len(loop.outputs) :]
    return substitute_nodes(graph, replaced | dict(zip(kept.values(), stacked, strict=True)))


def _computed_again(graph: Graph, scan: Node) -> dict[Node, Node]:
    """Products in the body, and the same of all steps in ``graph``, where it is still needed."""
    wholes = _wholes(graph, scan)
    present = {node: whole for node, whole in wholes.items() if whole in graph.users}
    products = [node for node in present if isinstance(node.op.lowering, Contraction)]
    kept: dict[Node, Node] = {}
    for product in reversed(products):
        if present[product] in between(graph.outputs, frozenset(kept.values())):
            top = _last_of_its_size(product, present, graph)
            kept[top] = present[top]
    return kept


def _last_of_its_size(node: Node, present: Mapping[Node, Node], graph: Graph) -> Node:
    """What is made of ``node`` alone, up to where more than one reads it."""
    inside = {whole: body_node for body_node, whole in present.items()}
    while True:
        users = graph.users[present[node]]
        above = inside.get(users[0]) if len(users) == 1 else None
        if above is None or present[node] in graph.results or above.type != node.type:
            return node
        if not isinstance(above.op.lowering, Elementwise):
            return node
        node = above


def _wholes(graph: Graph, scan: Node) -> dict[Node, Node]:
    """What the values of a step would be over all steps, computed outside of the loop."""
    loop, steps = loop_of(scan), steps_of(scan)
    count = len(loop.starts)
    known = dict(zip(loop.step.slices, loop.sequences, strict=True))
    for user in graph.users[scan]:
        if user.attrs["index"] >= count:
            known.setdefault(loop.outputs[user.attrs["index"]], user)
    order = between(loop.outputs)
    moving = varying(order, (*loop.step.state, *loop.step.slices))
    found: dict[Node, Node] = {}
    for node in order:
        if node not in moving or node in known or isinstance(node.type, TupleType):
            continue
        if not node.inputs or any(i in moving and i not in known for i in node.inputs):
            continue
        operands = [Operand(i, known.get(i, i), i in moving) for i in node.inputs]
        whole = lift(node, operands, loop.axis, steps)
        if whole is not None:
            known[node] = found[node] = whole
    return found
