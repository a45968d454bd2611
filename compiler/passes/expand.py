"""Composite ops, and those that no kernel takes as they are, give way to primitives."""

from __future__ import annotations

from typing import Any

from ..context import Context
from ..ir.graph import Graph, IRError, Node
from ..ir.kinds import Composite, WindowGradient
from ..ir.rewrite import all_nodes, rewrite_everywhere
from ..ir.types import FLOAT32

ROUNDS = 32  # composites nested deeper than this expand into themselves


def expand(graph: Graph, context: Context[Any]) -> Graph:
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
            return not _is_image(node)
        case facet:
            return isinstance(facet, Composite)


def _is_image(node: Node) -> bool:
    """Whether a gradient is of float32 images with so many channels, which kernels take."""
    floats = all(n.dtype == FLOAT32 for n in (node, *node.inputs))
    return floats and isinstance(node.shape[-1], int)


def _expanded(node: Node) -> Node | None:
    if not _expands(node):
        return None
    result: Node = node.op.lowering.expand(node)
    if result.type != node.type:
        raise IRError(f"{node.op.name} : {node.type} expands into a value of {result.type}")
    return result
