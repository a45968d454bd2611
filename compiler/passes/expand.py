"""Replaces composite ops, and ops that no kernel computes directly, by primitives."""

from __future__ import annotations

from typing import Any

from ..context import Context
from ..ir.graph import Graph, IRError, Node
from ..ir.kinds import Composite, WindowGradient
from ..ir.rewrite import all_nodes, rewrite_everywhere
from ..ir.types import FLOAT32

ROUNDS = 32  # composites nested deeper than this expand into themselves


def expand(graph: Graph, context: Context[Any]) -> Graph:
    """Replaces composites by their expansions, until only primitives are left.

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
    """Whether ``node`` is to be expanded: a composite, or an op that no kernel computes here."""
    match node.op.kind:
        case WindowGradient():
            return not _is_image(node)
        case kind:
            return isinstance(kind, Composite)


def _is_image(node: Node) -> bool:
    """Whether ``node`` is a gradient of float32 images of known channels, which kernels compute."""
    floats = all(n.dtype == FLOAT32 for n in (node, *node.inputs))
    return floats and isinstance(node.shape[-1], int)


def _expanded(node: Node) -> Node | None:
    if not _expands(node):
        return None
    result: Node = node.op.kind.expand(node)
    if result.type != node.type:
        raise IRError(f"{node.op.name} : {node.type} expands into a value of {result.type}")
    return result
