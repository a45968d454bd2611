"""Legalization: rewrites ops into the forms that kernels compute.

    %0 = depthwise_conv2d(%x, $kernel)            $kernel : f32[3, 3, 8, 2]
    -->
    %0 = repeat(%x, factors=(1, 1, 1, 2))
    %1 = reshape($kernel, shape=(3, 3, 16, 1))
    %2 = depthwise_conv2d(%0, %1)

Depthwise filters with several outputs a channel become one filter for each (repeated) channel.
Matrix products are of matrices, or equal batches of them, of the dtypes that engines multiply;
others become sums. A transposed left operand is read in place. An iota of known size becomes a
constant. Sums over all samples are split into partial sums that suit the target. Results that no
kernel computes are copied; unread results of groups are removed.

The step of a loop reads and writes strided views of wider values (a slice of a sequence, one of the
two buffers of a carry). An op that needs contiguous rows gets a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..context import Context
from ..engine import multiplied
from ..ir.graph import Graph, Node, apply, on_operands
from ..ir.kinds import (
    Contraction,
    Leaf,
    Projection,
    ScatterAdd,
    View,
    Window,
    WindowGradient,
)
from ..ir.rewrite import change_bodies, rebuild, remade, rewrite, substitute_nodes
from ..ir.types import DType, Size, TupleType, product
from ..loops.layout import READ_STRIDED
from ..ops.building import full, reshaped
from ..ops.core import FUSED, ITEM, constant, copy
from ..ops.registry import get_op, ops
from ..ops.stepping import operands_of
from ..weight_preprocessing import fixed_nodes
from .loops import used_results


def legalize(graph: Graph, context: Context[Any]) -> Graph:
    """Rewrites, then copies results; see the module's docstring."""
    graph = _without_unread_results(change_bodies(graph, lambda body: legalize(body, context)))
    graph = substitute_nodes(graph, {n: _counted(n) for n in graph.nodes if n.op is ops.iota})
    plain_matmul = partial(_plain_matmul, dtypes=multiplied(context.target.engines))
    for rule in (_single_filters, plain_matmul, context.target.split_sum):
        graph = rewrite(graph, rule)
    return rewrite(_copy_outputs(graph), _with_dense_values)


def _without_unread_results(graph: Graph) -> Graph:
    """``graph`` whose groups compute only results that are read."""
    groups = [n for n in graph.nodes if n.op is FUSED and isinstance(n.type, TupleType)]
    read = {group: sorted(used_results(group, graph)) for group in groups}
    if all(len(read[group]) == len(group.attrs["body"].outputs) for group in groups):
        return graph

    def make(node: Node, operands: Sequence[Node]) -> Node:
        if node.op is ITEM and node.inputs[0] in read:
            return _result(operands[0], read[node.inputs[0]], node)
        if node not in read:
            return on_operands(node, operands)
        body: Graph = node.attrs["body"]
        fewer = body.with_outputs(body.outputs[i] for i in read[node])
        return apply(node.op, operands, node.attrs | {"body": fewer})

    return remade(graph, make)


def _result(group: Node, kept: list[int], item: Node) -> Node:
    if not isinstance(group.type, TupleType):
        return group
    return ITEM(group, index=kept.index(item.attrs["index"]))


def _single_filters(node: Node) -> Node | None:
    """depthwise_conv2d(x, k[kh, kw, c, m]) --> depthwise_conv2d(repeat(x, m), k[kh, kw, c*m, 1])"""
    if node.op.name == "depthwise_kernel_gradient":
        return _single_filter_gradient(node)
    if node.op.name != "depthwise_conv2d" or node.inputs[1].shape[3] == 1:
        return None
    x, kernel = node.inputs
    kh, kw, channels, multiplier = kernel.shape
    if multiplier == 0:
        return full(0, node.shape, node.dtype)
    wide = ops.repeat(x, factors=(1, 1, 1, multiplier))
    flat = ops.reshape(kernel, shape=(kh, kw, channels * multiplier, 1))
    return apply(get_op("depthwise_conv2d"), (wide, flat), node.attrs)


def _single_filter_gradient(node: Node) -> Node | None:
    *window, channels, multiplier = node.shape
    if multiplier == 1:
        return None
    if multiplier == 0:
        return full(0, node.shape, node.dtype)
    x, grad = node.inputs
    wide = ops.repeat(x, factors=(1, 1, 1, multiplier))
    return reshaped(apply(node.op, (wide, grad), node.attrs), (*window, channels, multiplier))


def _counted(node: Node) -> Node:
    """iota(shape, axis) --> broadcast_to([0, 1, 2, ...]), or count_from(0) where sizes vary"""
    axis, shape = node.attrs["axis"] % node.tensor_type.rank, node.shape
    size = shape[axis]
    if not isinstance(size, int):
        return ops.count_from(constant(0, node.dtype), shape=shape, axis=axis)
    steps = np.arange(size, dtype=node.dtype.numpy)
    steps = steps.reshape([size if i == axis else 1 for i in range(len(shape))])
    return ops.broadcast_to(constant(steps), shape=shape)


def _plain_matmul(node: Node, dtypes: frozenset[DType]) -> Node | None:
    """Matrix products on operands that the kernel takes: matrices, or equal batches of them."""
    if node.op.name != "matmul":
        return None
    left, right = node.inputs
    if left.tensor_type.rank == 1 or right.tensor_type.rank == 1:
        wide_left = _with_axis(left, 0) if left.tensor_type.rank == 1 else left
        wide_right = _with_axis(right, 1) if right.tensor_type.rank == 1 else right
        product = apply(node.op, (wide_left, wide_right), node.attrs)
        return ops.reshape(_plain_matmul(product, dtypes) or product, shape=node.shape)
    if node.dtype not in dtypes:
        return _summed_product(node)
    transposed = _untransposed(left)
    if transposed is not None and left.shape[:-2] == right.shape[:-2]:
        return ops.transposed_matmul(transposed, right)
    if right.tensor_type.rank == 2 or left.shape[:-2] == right.shape[:-2]:
        return None
    batch = node.shape[:-2]
    wide = (_batched(operand, batch) for operand in (left, right))
    return apply(node.op, tuple(wide), node.attrs)


def _untransposed(node: Node) -> Node | None:
    """The operand that ``node`` transposes along the last two axes; None if it does not."""
    rank = node.tensor_type.rank
    if node.op.name != "transpose" or node.attrs["axes"] != (*range(rank - 2), rank - 1, rank - 2):
        return None
    return node.inputs[0]


def _with_axis(node: Node, axis: int) -> Node:
    shape = list(node.shape)
    shape.insert(axis, 1)
    return ops.reshape(node, shape=tuple(shape))


def _batched(node: Node, batch: tuple[Size, ...]) -> Node:
    shape = (*batch, *node.shape[-2:])
    return node if node.shape == shape else ops.broadcast_to(node, shape=shape)


def _summed_product(node: Node) -> Node:
    """matmul(a, b) --> sum(a[..., m, k, 1] * b[..., 1, k, n], over k): any dtype."""
    left, right = node.inputs
    wide_left = _with_axis(left, left.tensor_type.rank)
    wide_right = _with_axis(right, right.tensor_type.rank - 2)
    return ops.sum(ops.multiply(wide_left, wide_right), axes=(-2,))


def _copy_outputs(graph: Graph) -> Graph:
    """Copies results that no kernel computes: inputs, weights, views, a result returned twice."""
    fixed = fixed_nodes(graph)
    outputs: dict[Node, None] = {}
    for node in graph.outputs:
        kinds = (Leaf, View, Projection)
        plain = isinstance(node.op.kind, kinds) or node in fixed
        result = copy(node) if plain else node
        while result in outputs:
            result = copy(result)
        outputs[result] = None
    return graph.with_outputs(outputs)


# The steps of loops


def _with_dense_values(node: Node) -> Node | None:
    """A scan whose body copies the strided views that an op cannot read or write."""
    if node.op is not ops.scan:
        return None
    body = rewrite(node.attrs["body"], _low_rank)
    # A copy may already be a result of the step: then it is a strided view itself.
    while (copied := _copy_strided(node, body)).outputs != body.outputs:
        body = copied
    return apply(node.op, node.inputs, node.attrs | {"body": body})


def _low_rank(node: Node) -> Node | None:
    """Matrix products of many axes as products of few, for which kernels support strides."""
    if node.op.name not in ("matmul", "transposed_matmul"):
        return None
    left, right = node.inputs
    if right.tensor_type.rank == 2:
        if left.tensor_type.rank <= 4:
            return None
        rows = reshaped(left, (product(left.shape[:-1]), left.shape[-1]))
        return reshaped(apply(node.op, (rows, right), node.attrs), node.shape)
    if left.tensor_type.rank == 3:
        return None
    batches = (reshaped(n, (product(n.shape[:-2]), *n.shape[-2:])) for n in node.inputs)
    return reshaped(apply(node.op, tuple(batches), node.attrs), node.shape)


def _copy_strided(scan: Node, body: Graph) -> Graph:
    own, scattered = operands_of(scan, body.inputs), scattered_values(scan)
    strided = {*own.carries, *own.sequences, *body.outputs}

    def make(node: Node, operands: Sequence[Node]) -> Node:
        pairs = enumerate(zip(node.inputs, operands, strict=True))
        return on_operands(
            node,
            [
                copy(new)
                if old in strided and not _reads_strided(node, i, old in scattered)
                else new
                for i, (old, new) in pairs
            ],
        )

    new = rebuild(body.nodes, {}, make)
    outputs = ((node, new[node]) for node in body.outputs)
    return body.with_outputs(
        result if _writes_strided(result, node in scattered) else copy(result)
        for node, result in outputs
    )


def scattered_values(scan: Node) -> frozenset[Node]:
    """The values that the body of ``scan`` reads and writes with a stride between all elements.

    This is so where time is the last axis of the sequence.
    """
    body: Graph = scan.attrs["body"]
    own = operands_of(scan, body.inputs)
    strided = (*own.sequences, *body.outputs[len(own.carries) :])
    return frozenset(n for n in strided if n.tensor_type.rank <= scan.attrs["axis"])


def _reads_strided(node: Node, index: int, scattered: bool) -> bool:
    """Whether the kernel of ``node`` can read its operand ``index`` as a strided view."""
    if isinstance(node.op.kind, WindowGradient):
        return not scattered
    if isinstance(node.op.kind, (Contraction, Window)):
        return index == 0 and not scattered
    return isinstance(node.op.kind, READ_STRIDED)


def _writes_strided(node: Node, scattered: bool) -> bool:
    if isinstance(node.op.kind, (Contraction, Window, WindowGradient)):
        return not scattered
    return not isinstance(node.op.kind, (ScatterAdd, View))
