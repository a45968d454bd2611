"""Types that are for memory alone give way, in arithmetic, to those that hold them."""

from __future__ import annotations

from typing import Any

from ..context import Context
from ..ir.graph import Graph, Node, apply
from ..ir.kinds import Concatenation, Gather, Interleaving, Leaf, Movement, Projection, Region, View
from ..ir.rewrite import all_nodes, rewrite_everywhere
from ..ir.types import DType, TupleType
from ..ops.registry import ops

# What gives elements on as they are takes them in any type; so do conversions.
MOVES = (Concatenation, Gather, Interleaving, Leaf, Movement, Projection, Region, View)


def widen(graph: Graph, context: Context[Any]) -> Graph:
    """Computes in float32 what is float16 or bfloat16, and rounds each op's result to its type.

        %0 = exp(%x)                      %x : bf16[N]
    -->
        %0 = cast(%x, dtype=f32)
        %1 = exp(%0)
        %2 = cast(%1, dtype=bf16)

    Composites are computed as one op, and rounded once. An engine that takes such operands itself
    finds them under the casts.
    """
    if not any(map(_computes_on_narrow, all_nodes(graph))):
        return graph
    return rewrite_everywhere(graph, _widened)


def _computes_on_narrow(node: Node) -> bool:
    if isinstance(node.op.kind, MOVES) or node.op in (ops.cast, ops.copy):
        return False
    return any(map(_is_narrow, (node, *node.inputs)))


def _is_narrow(node: Node) -> bool:
    return not isinstance(node.type, TupleType) and node.dtype.wide is not None


def _widened(node: Node) -> Node | None:
    if not _computes_on_narrow(node):
        return None
    inputs = [ops.cast(n, dtype=n.dtype.computed) if _is_narrow(n) else n for n in node.inputs]
    attrs = {k: v.computed if isinstance(v, DType) else v for k, v in node.attrs.items()}
    result = apply(node.op, inputs, attrs)
    return ops.cast(result, dtype=node.dtype) if _is_narrow(node) else result
