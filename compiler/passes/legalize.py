"""Makes explicit what kernels need: a padded copy where a border cannot stand around a value.

    %0 = conv2d(%x, $kernel, padding="same")
    -->
    %0 = copy(%x)
    %1 = conv2d(%0, $kernel, padding="same")

A convolution with padding reads zeros around its operand. Values made by kernels are stored with
that border; inputs of the model, views, results and weights are not, so they are copied first.
Depthwise filters with several outputs a channel become one filter a (repeated) channel.
"""

from __future__ import annotations

import numpy as np

from ..decisions import Decisions
from ..ir import Graph, IRError, Node, apply, origin_scope, rewrite, substitute_nodes
from ..lowering import Concatenation, Leaf, Projection, View
from ..ops.core import constant, copy
from ..ops.registry import get_op, ops
from ..ops.windowing import resolve_padding
from ..prologue import is_fixed, prologue_nodes
from ..types import FLOAT32, Size

Halo = tuple[tuple[Size, Size], ...]


def legalize(graph: Graph, decisions: Decisions) -> Graph:
    """Inserts the copies and rewrites the depthwise filters; see the module's docstring."""
    graph = substitute_nodes(graph, {n: _counted(n) for n in graph.nodes if n.op is ops.iota})
    graph = rewrite(rewrite(graph, _single_filters), _plain_matmul)
    return _copy_outputs(_copy_operands(graph))


def wanted_halo(node: Node) -> tuple[Node, Halo] | None:
    """The operand around which ``node`` reads a border, and how wide; None if there is none."""
    if node.op.name == "fused":
        body: Graph = node.attrs["body"]
        for inner in body.nodes:
            found = wanted_halo(inner) if inner.inputs else None
            if found is not None and found[0] in body.inputs:
                return node.inputs[body.inputs.index(found[0])], found[1]
        return None
    if node.op.name not in ("conv2d", "depthwise_conv2d") or node.dtype != FLOAT32:
        return None
    x, kernel = node.inputs
    window = [size for size in kernel.shape[:2] if isinstance(size, int)]
    padding = resolve_padding(
        x.shape[1:3],
        window,
        node.attrs["strides"],
        node.attrs["dilation"],
        node.attrs["padding"],
    )
    if all(side == 0 for pair in padding for side in pair):
        return None
    return x, ((0, 0), *padding, (0, 0))


def _single_filters(node: Node) -> Node | None:
    """depthwise_conv2d(x, k[kh, kw, c, m]) --> depthwise_conv2d(repeat(x, m), k[kh, kw, c*m, 1])"""
    if node.op.name != "depthwise_conv2d" or node.inputs[1].shape[3] == 1:
        return None
    x, kernel = node.inputs
    kh, kw, channels, multiplier = kernel.shape
    wide = ops.repeat(x, factors=(1, 1, 1, multiplier))
    flat = ops.reshape(kernel, shape=(kh, kw, channels * multiplier, 1))
    return apply(get_op("depthwise_conv2d"), (wide, flat), node.attrs)


def _counted(node: Node) -> Node:
    """iota(shape, axis) --> broadcast_to([0, 1, 2, ...])"""
    axis, shape = node.attrs["axis"] % node.tensor_type.rank, node.shape
    size = shape[axis]
    if not isinstance(size, int):
        raise IRError(f"iota: expected a fixed size along axis {axis}, got {size}")
    steps = np.arange(size, dtype=node.dtype.numpy)
    steps = steps.reshape([size if i == axis else 1 for i in range(len(shape))])
    return ops.broadcast_to(constant(steps), shape=shape)


def _plain_matmul(node: Node) -> Node | None:
    """Matrix products on the operands the kernel takes: matrices, or equal batches of them."""
    if node.op.name != "matmul":
        return None
    left, right = node.inputs
    if left.tensor_type.rank == 1 or right.tensor_type.rank == 1:
        wide_left = _with_axis(left, 0) if left.tensor_type.rank == 1 else left
        wide_right = _with_axis(right, 1) if right.tensor_type.rank == 1 else right
        product = apply(node.op, (wide_left, wide_right), node.attrs)
        return ops.reshape(_plain_matmul(product) or product, shape=node.shape)
    fixed = all(isinstance(size, int) for size in right.shape[-2:])
    if node.dtype != FLOAT32 or not fixed:
        return _summed_product(node)
    if right.tensor_type.rank == 2 or left.shape[:-2] == right.shape[:-2]:
        return None
    batch = node.shape[:-2]
    wide = (_batched(operand, batch) for operand in (left, right))
    return apply(node.op, tuple(wide), node.attrs)


def _with_axis(node: Node, axis: int) -> Node:
    shape = list(node.shape)
    shape.insert(axis, 1)
    return ops.reshape(node, shape=tuple(shape))


def _batched(node: Node, batch: tuple[Size, ...]) -> Node:
    shape = (*batch, *node.shape[-2:])
    return node if node.shape == shape else ops.broadcast_to(node, shape=shape)


def _summed_product(node: Node) -> Node:
    """matmul(a, b) --> sum(a[..., m, k, 1] * b[..., 1, k, n], over k): any dtype and size."""
    left, right = node.inputs
    wide_left = _with_axis(left, left.tensor_type.rank)
    wide_right = _with_axis(right, right.tensor_type.rank - 2)
    return ops.sum(ops.multiply(wide_left, wide_right), axes=(-2,))


def _copy_operands(graph: Graph) -> Graph:
    prologue = prologue_nodes(graph)
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        found = wanted_halo(node) if node.inputs else None
        padded = None if found is None else found[0]
        if padded is not None and not is_fixed(padded, prologue) and free_layout(padded, graph):
            padded = None
        new[node] = _rebuilt(node, new, padded)
    return graph.with_outputs(new[node] for node in graph.outputs)


def _rebuilt(node: Node, new: dict[Node, Node], padded: Node | None) -> Node:
    """``node`` on its rewritten operands, ``padded`` among them through a copy."""
    with origin_scope(*node.origins):
        inputs = tuple(copy(new[i]) if i is padded else new[i] for i in node.inputs)
        return node if inputs == node.inputs else apply(node.op, inputs, node.attrs)


def free_layout(node: Node, graph: Graph) -> bool:
    """Whether kernels alone make and read ``node``, so that gaps may lie between its elements."""
    facets = (Leaf, View, Concatenation)
    if isinstance(node.op.lowering, facets) or node in graph.outputs:
        return False
    return not any(
        isinstance(user.op.lowering, (View, Concatenation)) or _reads_rows(user)
        for user in graph.users[node]
    )


def _reads_rows(node: Node) -> bool:
    """Matrix products want their operands without gaps."""
    if node.op.name == "fused":
        body: Graph = node.attrs["body"]
        return any(map(_reads_rows, body.nodes))
    return node.op.name == "matmul"


def _copy_outputs(graph: Graph) -> Graph:
    """Results that no kernel makes (inputs, weights, views, repeats of a result) are copied."""
    prologue = prologue_nodes(graph)
    outputs: list[Node] = []
    for node in graph.outputs:
        facets = (Leaf, View, Projection)
        plain = isinstance(node.op.lowering, facets) or is_fixed(node, prologue)
        result = copy(node) if plain else node
        while result in outputs:
            result = copy(result)
        outputs.append(result)
    return graph.with_outputs(outputs)
