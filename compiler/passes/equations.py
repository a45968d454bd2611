"""The rewrites of ``simplify``: a node to an equal one, or to None if it does not match."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import IRError, Node, apply
from ..ops.core import constant
from ..ops.registry import ops
from .constants import uniform_value

Rewrite: TypeAlias = Callable[[Node], "Node | None"]


def neutral(value: float, *places: int) -> Rewrite:
    """The other operand where the one at a place in ``places`` is the constant ``value``."""

    def rewrite(node: Node) -> Node | None:
        for place in places:
            if uniform_value(node.inputs[place]) == value:
                return node.inputs[1 - place]
        return None

    return rewrite


def operand(node: Node) -> Node:
    return node.inputs[0]


def twice(node: Node) -> Node | None:
    """``f(f(x)) = f(x)`` under the same attributes."""
    (x,) = node.inputs
    return x if x.op is node.op and x.attributes == node.attributes else None


def undo(node: Node) -> Node | None:
    """``f(f(x)) = x`` under the same attributes."""
    (x,) = node.inputs
    return x.inputs[0] if x.op is node.op and x.attributes == node.attributes else None


def same(node: Node) -> Node | None:
    """``f(x, x) = x``."""
    return node.inputs[0] if node.inputs[0] is node.inputs[1] else None


def abs_of_negative(node: Node) -> Node | None:
    (x,) = node.inputs
    return ops.abs(x.inputs[0]) if x.op is ops.negative else None


def add_negative(node: Node) -> Node | None:
    x, y = node.inputs
    if y.op is ops.negative:
        return ops.subtract(x, y.inputs[0])
    return ops.subtract(y, x.inputs[0]) if x.op is ops.negative else None


def subtract_negative(node: Node) -> Node | None:
    x, y = node.inputs
    return ops.add(x, y.inputs[0]) if y.op is ops.negative else None


def times_minus_one(node: Node) -> Node | None:
    for x, y in (node.inputs, node.inputs[::-1]):
        if uniform_value(y) == -1:
            return ops.negative(x)
    return None


def divide_by_power_of_two(node: Node) -> Node | None:
    """Exact while ``1 / c`` is a normal number."""
    x, divisor = node.inputs
    c = uniform_value(divisor)
    if not isinstance(c, float) or not math.isfinite(c) or math.frexp(abs(c))[0] != 0.5 or c == 1:
        return None
    inverse = 1 / c
    if not np.finfo(node.dtype.numpy).tiny <= abs(inverse) <= np.finfo(node.dtype.numpy).max:
        return None
    return ops.multiply(x, constant(np.full_like(divisor.attrs["value"].array, inverse)))


def power(node: Node) -> Node | None:
    x, exponent = node.inputs
    simple = {1: lambda: x, 2: lambda: ops.square(x), -1: lambda: ops.reciprocal(x)}
    value = uniform_value(exponent)
    return simple[value]() if node.dtype.is_float and value in simple else None


def maximum_with_zero(node: Node) -> Node | None:
    x = neutral(0, 0, 1)(node)
    return ops.relu(x) if x is not None else None


def select_same(node: Node) -> Node | None:
    _, a, b = node.inputs
    return a if a is b else None


def select_known(node: Node) -> Node | None:
    condition, a, b = node.inputs
    known = uniform_value(condition)
    return None if known is None else (a if known else b)


def cast_same(node: Node) -> Node | None:
    (x,) = node.inputs
    return x if x.dtype == node.dtype else None


def cast_through_wider(node: Node) -> Node | None:
    (middle,) = node.inputs
    if middle.op is not ops.cast:
        return None
    (x,) = middle.inputs
    lossless = np.can_cast(x.dtype.numpy, middle.dtype.numpy, "safe")
    return ops.cast(x, **node.attrs) if lossless else None


def same_shape(node: Node) -> Node | None:
    (x,) = node.inputs
    return x if x.shape == node.shape else None


def shape_of_shape(node: Node) -> Node | None:
    (x,) = node.inputs
    return apply(node.op, x.inputs, node.attrs) if x.op is node.op else None


def transpose_identity(node: Node) -> Node | None:
    (x,) = node.inputs
    axes = _axes(node)
    return x if axes == tuple(range(len(axes))) else None


def transpose_twice(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op is not ops.transpose:
        return None
    inner = _axes(x)
    return ops.transpose(x.inputs[0], axes=tuple(inner[axis] for axis in _axes(node)))


def transpose_of_ones(node: Node) -> Node | None:
    (x,) = node.inputs
    moved = [axis for axis in _axes(node) if x.shape[axis] != 1]
    ordered = all(a < b for a, b in pairwise(moved))
    return ops.reshape(x, shape=node.shape) if ordered else None


def _axes(node: Node) -> tuple[int, ...]:
    rank = node.inputs[0].tensor_type.rank
    return tuple(axis % rank for axis in node.attrs["axes"])


def flip_nothing(node: Node) -> Node | None:
    (x,) = node.inputs
    return x if all(x.shape[axis] == 1 for axis in _axes(node)) else None


def _all_equal(key: str, value: Any) -> Rewrite:
    """The operand, where every entry of the attribute ``key`` is ``value``."""
    return lambda node: node.inputs[0] if all(v == value for v in node.attrs[key]) else None


def slice_all(node: Node) -> Node | None:
    x = same_shape(node)
    return x if x is not None and all(step == 1 for step in node.attrs["step"]) else None


def pad_nothing(node: Node) -> Node | None:
    x = same_shape(node)
    amounts = [node.attrs[key] for key in ("low", "high", "interior")]
    return x if x is not None and not any(map(any, amounts)) else None


def add_of_pads(node: Node) -> Node | None:
    """The terms side by side, and what else is added; the gradient of a split is such a sum."""
    if not any(term.op is ops.pad for term in node.inputs):
        return None
    terms = addends(node)
    found: dict[int, list[Node]] = {}
    for term in terms:
        axis = _padded_axis(term)
        if axis is not None:
            found.setdefault(axis, []).append(term)
    for axis, pads in found.items():
        ordered = _side_by_side(pads, axis)
        rest = [term for term in terms if ordered and term not in ordered]
        if ordered is not None and len(rest) < 2:  # more of them were added in another order
            joined = ops.concatenate(*(pad.inputs[0] for pad in ordered), axis=axis)
            return ops.add(joined, rest[0]) if rest else joined
    return None


def addends(node: Node) -> list[Node]:
    """The terms whose elementwise sum is ``node``."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        term = waiting.pop()
        if term.op is ops.add and all(i.shape == term.shape for i in term.inputs):
            waiting += reversed(term.inputs)
        else:
            found.append(term)
    return found


def _padded_axis(node: Node) -> int | None:
    """The one axis along which ``node`` has zeros before and after its operand; None if not so."""
    if node.op is not ops.pad or node.attrs["value"] != 0 or any(node.attrs["interior"]):
        return None
    rows = enumerate(zip(node.attrs["low"], node.attrs["high"], strict=True))
    axes = [axis for axis, sides in rows if sides != (0, 0)]
    known = (n for axis in axes for n in (node.attrs["low"][axis], node.attrs["high"][axis]))
    return axes[0] if len(axes) == 1 and all(isinstance(n, int) and n >= 0 for n in known) else None


def _side_by_side(pads: list[Node], axis: int) -> list[Node] | None:
    """``pads`` in the order in which their operands fill ``axis``; None if they do not."""
    ordered = sorted(pads, key=lambda pad: pad.attrs["low"][axis])
    start: Size = 0
    for pad in ordered:
        if pad.attrs["low"][axis] != start:
            return None
        start = start + pad.inputs[0].shape[axis]
    return ordered if start == ordered[0].shape[axis] else None


def single(node: Node) -> Node | None:
    return node.inputs[0] if len(node.inputs) == 1 else None


def reduce_nothing(node: Node) -> Node | None:
    """Over no axes or axes of one element, a reduction of those that leave one element as it is."""
    (x,) = node.inputs
    if any(x.shape[axis] != 1 for axis in _axes(node)):
        return None
    return x if x.shape == node.shape else ops.reshape(x, shape=node.shape)


def broadcast_by_itself(node: Node) -> Node | None:
    """``f(broadcast_to(x), y) = f(x, y)``: elementwise ops broadcast by themselves."""
    narrow = [x.inputs[0] if x.op is ops.broadcast_to else x for x in node.inputs]
    for place, x in enumerate(narrow):
        if x is node.inputs[place]:
            continue
        trial = (*node.inputs[:place], x, *node.inputs[place + 1 :])
        try:
            result = apply(node.op, trial, node.attrs)
        except IRError:
            continue
        if result.type == node.type:
            return result
    return None
