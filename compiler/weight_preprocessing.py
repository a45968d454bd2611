"""Weight preprocessing: what depends on weights alone is computed when they change, not at every
call."""

from __future__ import annotations

from .ir.graph import Graph, Node, bodies_of
from .ir.types import TupleType
from .ops.core import ITEM, copy
from .ops.registry import ops


def fixed_nodes(graph: Graph) -> frozenset[Node]:
    """The nodes with the same value at every call: weights, and values computed from them alone.

    A parameter that calls update is none. Nor is a result that a kernel has to write, nor a copy,
    which is there because a kernel has to, nor what has as many elements as the batch: its size is
    known at a call only. Nor is a loop of which the data decide when it ends.
    """
    fixed: set[Node] = set()
    updated = frozenset(graph.updates)
    for node in graph.nodes:
        leaf = node.op.name in ("parameter", "constant") and node not in updated
        made = node.inputs and node.op not in (copy, ops.while_loop)
        known = leaf or (made and all(operand in fixed for operand in node.inputs))
        if known and not _has_symbols(node):
            fixed.add(node)
    written = {*graph.outputs, *(n.inputs[0] for n in graph.outputs if n.op is ITEM)}
    return frozenset(node for node in fixed if not node.inputs or node not in written)


def _has_symbols(node: Node) -> bool:
    """Whether a symbolic size occurs in the node: its type, its attributes, its body."""
    if not isinstance(node.type, TupleType) and node.tensor_type.symbols:
        return True
    return any(map(_has_symbols, (inner for _, body in bodies_of(node) for inner in body.nodes)))
