"""Copies the operands of padded convolutions that cannot be stored with a halo of zeros.

    %0 = conv2d(%x, $kernel, padding="same")
    -->
    %0 = copy(%x)
    %1 = conv2d(%0, $kernel, padding="same")

A convolution with padding reads zeros around its operand. Values computed by kernels are stored
with that halo. Inputs of the model, views, results, weights and rows of matrix products are not, so
they are copied first. Runs after fusion, because the readers of a value decide.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....runtime.cpu.host import Host
from ...context import Context
from ...engine import multiplied
from ...ir.graph import Graph, Node, apply, bodies_of, on_operands
from ...ir.rewrite import remade, rewrite
from ...ops.core import FUSED, copy
from ...weight_preprocessing import fixed_nodes
from ..layouts import free_layout, wanted_halo


def halos(graph: Graph, context: Context[Host]) -> Graph:
    """Inserts the copies, also in the bodies of regions; see the module's docstring."""
    dtypes = multiplied(context.target.engines)
    graph = rewrite(graph, lambda node: _in_steps(node, context))
    while True:
        fixed = fixed_nodes(graph)
        called = [node for node in graph.nodes if node.inputs and node not in fixed]
        wanted = {node: wanted_halo(node, dtypes) for node in called}
        crowded = {
            node: found[0]
            for node, found in wanted.items()
            if found is not None and not (free_layout(found[0], graph) and found[0] not in fixed)
        }
        if not crowded:
            return graph
        # The copy may exist already and be a result itself: then it is copied again.
        graph = _copied(graph, crowded)


def _in_steps(node: Node, context: Context[Host]) -> Node | None:
    bodies = bodies_of(node)
    if node.op is FUSED or not bodies:
        return None
    copied = {key: halos(body, context) for key, body in bodies}
    return apply(node.op, node.inputs, node.attrs | copied)


def _copied(graph: Graph, crowded: dict[Node, Node]) -> Graph:
    """``graph`` where each of these nodes reads a copy of that operand."""

    def make(node: Node, operands: Sequence[Node]) -> Node:
        padded, pairs = crowded.get(node), zip(node.inputs, operands, strict=True)
        return on_operands(node, [copy(new) if old is padded else new for old, new in pairs])

    return remade(graph, make)
