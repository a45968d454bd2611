"""Where values lie on GPUs: without gaps, for loads outside of images are left out."""

from __future__ import annotations

from ..ir.graph import Graph, Node
from ..ir.types import TupleType
from ..loops.layout import Layout


def choose_layouts(graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
    """Row-major, all of them."""
    return {
        node: Layout(node.type, (), node in fixed)
        for node in graph.nodes
        if not isinstance(node.type, TupleType)
    }
