"""Composite ops, and those that no kernel takes as they are, give way to primitives."""

from __future__ import annotations

from ..cpu.templates.unpool import takes_unpool
from ..decisions import Decisions
from ..ir.graph import Graph, IRError, Node
from ..ir.kinds import Composite, WindowGradient
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
        if not any(map(_expands, all_nodes(graph))):
            return graph
        graph = rewrite_everywhere(graph, _expanded)
    left = {node.op.name for node in all_nodes(graph) if _expands(node)}
    raise IRError(f"composites expand into themselves: {', '.join(sorted(left))}")


def _expands(node: Node) -> bool:
    """Whether ``node`` stands for other ops: always, or where no kernel takes it."""
    match node.op.lowering:
        case WindowGradient():
            return not takes_unpool(node)
        case facet:
            return isinstance(facet, Composite)


def _expanded(node: Node) -> Node | None:
    if not _expands(node):
        return None
    result: Node = node.op.lowering.expand(node)
    if result.type != node.type:
        raise IRError(f"{node.op.name} : {node.type} expands into a value of {result.type}")
    return result
