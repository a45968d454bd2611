"""Copies the values that a padded convolution reads where no border can stand around them.

    %0 = conv2d(%x, $kernel, padding="same")
    -->
    %0 = copy(%x)
    %1 = conv2d(%0, $kernel, padding="same")

A convolution with padding reads zeros around its operand. Values made by kernels are stored with
that border; inputs of the model, views, results, weights and the rows of matrix products are not,
so they are copied first. Runs when groups are settled: what reads a value decides.
"""

from __future__ import annotations

from ...decisions import Decisions
from ...ir.graph import Graph, Node, apply, origin_scope, rewrite
from ...ir.kinds import Concatenation, KernelGradient, Leaf, Projection, Region, ScatterAdd, View
from ...ir.types import FLOAT32, Size
from ...ops.core import FUSED, copy
from ...ops.registry import ops
from ...ops.windowing import resolve_padding
from ...ops.winograd import WINDOW
from ...prologue import fixed_nodes

Halo = tuple[tuple[Size, Size], ...]


def borders(graph: Graph, decisions: Decisions) -> Graph:
    """Inserts the copies, in the steps of loops too; see the module's docstring."""
    graph = rewrite(graph, lambda node: _in_steps(node, decisions))
    while True:
        fixed = fixed_nodes(graph)
        wanted = {node: wanted_halo(node) for node in graph.nodes if node.inputs}
        crowded = {
            node: found[0]
            for node, found in wanted.items()
            if found is not None and not (free_layout(found[0], graph) and found[0] not in fixed)
        }
        if not crowded:
            return graph
        # The copy may be there already, and itself be a result: then it is copied in turn.
        graph = _copied(graph, crowded)


def _in_steps(node: Node, decisions: Decisions) -> Node | None:
    if node.op is FUSED or not isinstance(node.op.lowering, Region):
        return None
    body = borders(node.attrs["body"], decisions)
    return apply(node.op, node.inputs, node.attrs | {"body": body})


def _copied(graph: Graph, crowded: dict[Node, Node]) -> Graph:
    """``graph`` where each of these nodes reads a copy of that operand."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        padded = crowded.get(node)
        with origin_scope(*node.origins):
            inputs = tuple(copy(new[i]) if i is padded else new[i] for i in node.inputs)
            same = inputs == node.inputs
            new[node] = node if same else apply(node.op, inputs, node.attrs)
    return graph.with_outputs(new[node] for node in graph.outputs)


def wanted_halo(node: Node) -> tuple[Node, Halo] | None:
    """The operand around which ``node`` reads a border, and how wide; None if there is none."""
    if node.op is FUSED:
        body: Graph = node.attrs["body"]
        for inner in body.nodes:
            found = wanted_halo(inner) if inner.inputs else None
            if found is not None and found[0] in body.inputs:
                return node.inputs[body.inputs.index(found[0])], found[1]
        return None
    window = _window(node)
    if window is None or node.dtype != FLOAT32:
        return None
    x = node.inputs[1] if node.op is ops.winograd_kernel else node.inputs[0]
    attrs = node.attrs
    strides, dilation = attrs.get("strides", (1, 1)), attrs.get("dilation", (1, 1))
    padding = resolve_padding(x.shape[1:3], window, strides, dilation, attrs["padding"])
    if all(side == 0 for pair in padding for side in pair):
        return None
    return x, ((0, 0), *padding, (0, 0))


def _window(node: Node) -> tuple[int, ...] | None:
    """The window of an op that reads a border; None for others."""
    if node.op in (ops.winograd_conv2d, ops.winograd_kernel_gradient, ops.winograd_kernel):
        return WINDOW
    if isinstance(node.op.lowering, KernelGradient):
        window: tuple[int, ...] = node.attrs["window"]
        return window
    if node.op.name not in ("conv2d", "depthwise_conv2d"):
        return None
    return tuple(size for size in node.inputs[1].shape[:2] if isinstance(size, int))


def free_layout(node: Node, graph: Graph) -> bool:
    """Whether kernels alone make and read ``node``, so that gaps may lie between its elements."""
    if isinstance(node.op.lowering, Leaf) or node in graph.results:
        return False
    return not any(map(_wants_rows, (_maker(node), *graph.users[node])))


def _maker(node: Node) -> Node:
    return node.inputs[0] if isinstance(node.op.lowering, Projection) else node


def _wants_rows(node: Node) -> bool:
    """Whether ``node`` reads and makes values without gaps only."""
    if node.op is FUSED:
        body: Graph = node.attrs["body"]
        return any(map(_wants_rows, body.nodes))
    kinds = (View, Concatenation, Region, ScatterAdd)
    products = ("matmul", "transposed_matmul")
    return node.op.name in products or isinstance(node.op.lowering, kinds)
