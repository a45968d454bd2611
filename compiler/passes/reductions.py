"""Reductions over samples are split into one reduction for each sample: see ``reductions``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, apply
from ..ir.kinds import Elementwise, Reduction
from ..ir.rewrite import change_bodies, rewrite_chosen, rewrite_everywhere
from ..ir.types import Size, product
from ..loops.domain import reduced_axes
from ..ops.building import reshaped
from ..ops.registry import ops

LEAST = 16  # elements that one of the first reductions is worth
LARGE = 2**15  # elements in all from which threads share the work


def reductions(graph: Graph, context: Context[Any]) -> Graph:
    """Splits reductions over the first and other axes in two, and moves factors out of sums.

        %0 = sum(%x, axes=(0, 1, 2))            %x : f32[N, 8, 8, 64]
        %1 = multiply(%x, %scale)               %scale : f32[64]
        %2 = sum(%1, axes=(0, 1, 2))
    -->
        %0 = sum(%x, axes=(1, 2))               f32[N, 64]
        %1 = sum(%0, axes=(0,))
        %2 = multiply(%1, %scale)

    Threads share the samples, each contiguous in memory. A sum of sums rounds less, and is the same
    for any number of threads. A factor moves out where the sum without it is computed anyway.
    """
    graph = rewrite_everywhere(graph, _from_the_front)
    graph = _kept(_factored(graph, context.decisions))
    return rewrite_everywhere(
        graph, lambda node: _in_two(node, context.decisions) or _without_ones(node)
    )


def _from_the_front(node: Node) -> Node | None:
    """sum(x, axes=(-1,)) --> sum(x, axes=(1,)), so that equal reductions are one node."""
    if not isinstance(node.op.kind, Reduction):
        return None
    axes = tuple(sorted(reduced_axes(node)))
    return (
        None
        if axes == node.attrs["axes"]
        else apply(node.op, node.inputs, node.attrs | {"axes": axes})
    )


def _kept(graph: Graph) -> Graph:
    """reshape(sum(x, axes=(1,)), shape=(n, 1)) --> sum(x, axes=(1,), keepdims=True)

    Later ops then stay in the loops of the reduction.
    """
    graph = change_bodies(graph, _kept)
    chosen: dict[Node, Callable[[Node], Node]] = {}
    for node in graph.nodes:
        if not isinstance(node.op.kind, Reduction) or node.attrs["keepdims"]:
            continue
        (x,), axes = node.inputs, reduced_axes(node)
        shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
        users = graph.users[node]
        if (
            node in graph.results
            or 0 in axes
            or any(u.op is not ops.reshape or u.shape != shape for u in users)
        ):
            continue
        chosen |= dict.fromkeys(users, _with_axes_kept)
    return rewrite_chosen(graph, chosen) if chosen else graph


def _with_axes_kept(reshape: Node) -> Node:
    (node,) = reshape.inputs
    return apply(node.op, node.inputs, node.attrs | {"keepdims": True})


def _in_two(node: Node, decisions: Decisions) -> Node | None:
    """max(x, axes=(0, 1, 2)) --> max(max(x, axes=(1, 2)), axes=(0,))"""
    if not isinstance(node.op.kind, Reduction):
        return None
    (x,), axes = node.inputs, reduced_axes(node)
    inner = tuple(sorted(axes - {0}))
    if 0 not in axes or not inner or x.shape[0] == 1:
        return None
    each = product([x.shape[axis] for axis in inner])
    if not _is_worth(each, LEAST) or not _is_worth(x.tensor_type.elements, LARGE):
        return None
    first = apply(node.op, (x,), {"axes": inner, "keepdims": False})
    second = apply(node.op, (first,), {"axes": (0,), "keepdims": False})
    detail = f"{each} elements of each sample, then {x.shape[0]} samples"
    decisions.add(
        Decision("reductions", node.op.name, node.layers, "split", "OVER_SAMPLES", detail)
    )
    return reshaped(second, node.shape)


def _is_worth(size: Size, least: int) -> bool:
    return not isinstance(size, int) or size >= least


# Axes of size 1 in front, which the kept axes of a reduction over samples are


def _without_ones(node: Node) -> Node | None:
    """f(x, reshape(y, (1, 1, c))) --> f(x, y), and f(reshape(y)) --> reshape(f(y))."""
    if not isinstance(node.op.kind, Elementwise):
        return None
    short = tuple(_short(operand) for operand in node.inputs)
    if short == node.inputs:
        return None
    result = apply(node.op, short, node.attrs)
    return reshaped(result, node.shape) if _adds_ones(node, result) else None


def _short(node: Node) -> Node:
    """What ``node`` is but for axes of size 1 in front."""
    if node.op is not ops.reshape:
        return node
    return node.inputs[0] if _adds_ones(node, node.inputs[0]) else node


def _adds_ones(node: Node, inner: Node) -> bool:
    extra = node.tensor_type.rank - inner.tensor_type.rank
    return node.shape == (1,) * extra + inner.shape


# Factors of sums


def _factored(graph: Graph, decisions: Decisions) -> Graph:
    graph = change_bodies(graph, lambda body: _factored(body, decisions))
    sums = [node for node in graph.nodes if node.op is ops.sum]
    known = {(node.inputs[0], reduced_axes(node)) for node in sums}
    chosen: dict[Node, Callable[[Node], Node]] = {}
    for node in sums:
        depth = _shared_depth(node, known)
        if depth:
            decisions.add(Decision("reductions", "sum", node.layers, "factored", "SHARED_SUM"))
            chosen[node] = partial(_without_factors, depth=depth)
    return rewrite_chosen(graph, chosen) if chosen else graph


def _shared_depth(node: Node, known: Collection[tuple[Node, frozenset[int]]]) -> int:
    """How many factors to move out until the sum is one that is computed anyway; 0 if none is."""
    operand, axes, depth = node.inputs[0], reduced_axes(node), 0
    while (found := _factor(operand, axes)) is not None:
        operand, depth = found[0], depth + 1
        if (operand, axes) in known:
            return depth
    return 0


def _without_factors(node: Node, depth: int) -> Node:
    """sum(x * factor) --> sum(x) * factor"""
    if depth == 0:
        return node
    axes = reduced_axes(node)
    found = _factor(node.inputs[0], axes)
    assert found is not None, "it was found before its operands changed"
    operand, product = found
    inner = _without_factors(apply(node.op, (operand,), node.attrs), depth - 1)
    if product.op is ops.negative:
        return ops.negative(inner)
    factor = product.inputs[1] if product.inputs[0] is operand else product.inputs[0]
    if not node.attrs["keepdims"]:
        factor = _dropped(factor, axes, product.tensor_type.rank)
    return apply(product.op, (inner, factor), {})


def _factor(product: Node, axes: frozenset[int]) -> tuple[Node, Node] | None:
    """``product`` without a factor that is constant along ``axes``, and ``product``."""
    if product.op is ops.negative:
        return product.inputs[0], product
    if product.op not in (ops.multiply, ops.divide) or not product.dtype.is_float:
        return None
    left, right = product.inputs
    pairs = [(left, right)] if product.op is ops.divide else [(left, right), (right, left)]
    for operand, factor in pairs:
        if operand.shape == product.shape and _is_level(factor, axes, product.tensor_type.rank):
            return operand, product
    return None


def _is_level(factor: Node, axes: frozenset[int], rank: int) -> bool:
    extra = rank - factor.tensor_type.rank
    return all(axis < extra or factor.shape[axis - extra] == 1 for axis in axes)


def _dropped(factor: Node, axes: frozenset[int], rank: int) -> Node:
    """``factor`` as it stands beside a sum without ``axes``."""
    extra = rank - factor.tensor_type.rank
    return reshaped(factor, tuple(n for i, n in enumerate(factor.shape) if i + extra not in axes))
