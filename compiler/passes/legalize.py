"""Rewrites ops in the forms that kernels take.

    %0 = depthwise_conv2d(%x, $kernel)            $kernel : f32[3, 3, 8, 2]
    -->
    %0 = repeat(%x, factors=(1, 1, 1, 2))
    %1 = reshape($kernel, shape=(3, 3, 16, 1))
    %2 = depthwise_conv2d(%0, %1)

Depthwise filters with several outputs a channel become one filter a (repeated) channel; matrix
products are of matrices, or of equal batches of them, in float32, else sums; what is counted is
a constant. Results that no kernel makes are copied.
"""

from __future__ import annotations

import numpy as np

from ..decisions import Decisions
from ..ir import Graph, IRError, Node, apply, rewrite, substitute_nodes
from ..lowering import Leaf, Projection, View
from ..ops.core import constant, copy
from ..ops.registry import get_op, ops
from ..prologue import is_fixed, prologue_nodes
from ..types import FLOAT32, Size


def legalize(graph: Graph, decisions: Decisions) -> Graph:
    """Rewrites, then copies results; see the module's docstring."""
    graph = substitute_nodes(graph, {n: _counted(n) for n in graph.nodes if n.op is ops.iota})
    graph = rewrite(rewrite(graph, _single_filters), _plain_matmul)
    return _copy_outputs(graph)


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
