"""Composite ops give way to the primitives that kernels are made of."""

from __future__ import annotations

from ..decisions import Decisions
from ..ir import Graph, IRError, Node
from ..lowering import Composite
from .rewriting import all_nodes, rewrite_everywhere

ROUNDS = 32  # composites nested deeper than this expand into themselves


def expand(graph: Graph, decisions: Decisions) -> Graph:
    """Replaces composites by what they stand for, until only primitives are left.

        %0 = silu(%x)
    -->
        %0 = sigmoid(%x)
        %1 = multiply(%x, %0)
    """
    for _ in range(ROUNDS):
        if not any(isinstance(node.op.lowering, Composite) for node in all_nodes(graph)):
            return graph
        graph = rewrite_everywhere(graph, _expanded)
    left = {n.op.name for n in all_nodes(graph) if isinstance(n.op.lowering, Composite)}
    raise IRError(f"composites expand into themselves: {', '.join(sorted(left))}")


def _expanded(node: Node) -> Node | None:
    if not isinstance(node.op.lowering, Composite):
        return None
    result: Node = node.op.lowering.expand(node)
    if result.type != node.type:
        raise IRError(f"{node.op.name} : {node.type} expands into a value of {result.type}")
    return result
