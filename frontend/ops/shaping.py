"""Shapes and axes: the same elements in another arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ...compiler.ir.types import Shape
from ...runtime.dim import Dim, Size
from ..accepted import Axes, NewShape, is_int
from ..accepted import Shape as SizesLike
from ..errors import UsageError
from ..tensor import KerasTensor
from .core import (
    as_node,
    ir,
    listed_axes,
    normal_axes,
    normal_axis,
    operation,
    tensor,
)


@operation
def shape(x: Any) -> Shape:
    """The sizes: ints, or symbolic sizes that can be computed with and reshaped to."""
    return as_node(x).shape


@operation
def ndim(x: Any) -> int:
    """The number of axes."""
    return as_node(x).tensor_type.rank


@operation
def size(x: Any) -> Size:
    """The number of elements."""
    return as_node(x).tensor_type.elements


@operation
def reshape(x: Any, newshape: NewShape) -> KerasTensor:
    """The same elements in another shape; one size may be -1 (or None): what is left."""
    node = as_node(x)
    return tensor(ir.reshape(node, shape=complete_shape(node, sizes_of(newshape))))


def sizes_of(shape: Any) -> tuple[Any, ...]:
    """A shape, or the one size that is given for it, as a tuple."""
    given = (shape,) if is_int(shape) else tuple(shape)
    return tuple(int(size) if isinstance(size, np.integer) else size for size in given)


def complete_shape(node: Node, wanted: Sequence[Any]) -> Shape:
    """``wanted`` with its -1 replaced. Raises ``UsageError`` if the elements do not go up."""
    sizes = [-1 if size is None else size for size in wanted]
    if sizes.count(-1) > 1:
        raise UsageError(f"reshape: expected at most one -1; received {tuple(wanted)}")
    if -1 not in sizes:
        return tuple(sizes)
    known = prod([size for size in sizes if size != -1], start=1)
    rest = divide_exactly(node.tensor_type.elements, known)
    if rest is None:
        raise UsageError(
            f"reshape: a tensor of shape {shown(node.shape)} cannot be split into "
            f"{tuple(wanted)}: its {node.tensor_type.elements} elements are no multiple of {known}"
        )
    return tuple(rest if size == -1 else size for size in sizes)


def shown(sizes: Shape) -> str:
    """Sizes as text, symbols among them."""
    return f"({', '.join(map(str, sizes))})"


def divide_exactly(total: Size, part: Size) -> Size | None:
    """``total / part`` where that is a size, else None."""
    if isinstance(part, int):
        if part == 0:
            return None
        quotient = total // part
        return quotient if quotient * part == total else None
    if len(part.terms) != 1:
        return 1 if total == part else None
    atoms, factor = part.terms[0]
    terms = total.terms if isinstance(total, Dim) else (((), total),)
    divided = {}
    for names, count in terms:
        left = list(names)
        if count % factor or any(atoms.count(atom) > left.count(atom) for atom in atoms):
            return None
        for atom in atoms:
            left.remove(atom)
        divided[tuple(left)] = count // factor
    return _as_size(divided)


def _as_size(terms: dict[Any, int]) -> Size:
    total: Size = 0
    for names, count in terms.items():
        total = total + (Dim(((names, count),)) if names else count)
    return total


@operation
def transpose(x: Any, axes: Axes | None = None) -> KerasTensor:
    """The axes in another order; reversed unless given."""
    node = as_node(x)
    rank = node.tensor_type.rank
    order = [*range(rank)[::-1]] if axes is None else _in_order(axes, rank)
    if sorted(order) != list(range(rank)):
        raise UsageError(
            f"transpose: expected each of {rank} axes once; received {axes} for shape "
            f"{shown(node.shape)}"
        )
    return tensor(permuted(node, tuple(order)))


def _in_order(axes: Any, rank: int) -> list[int]:
    return [normal_axis(axis, rank) for axis in listed_axes(axes)]


def permuted(node: Node, order: tuple[int, ...]) -> Node:
    """A transposition, or the node itself where nothing moves."""
    return node if order == tuple(range(len(order))) else ir.transpose(node, axes=order)


@operation
def moveaxis(x: Any, source: Axes, destination: Axes) -> KerasTensor:
    """Some axes moved elsewhere, the others in order."""
    node = as_node(x)
    rank = node.tensor_type.rank
    moved, places = _in_order(source, rank), _in_order(destination, rank)
    if len(moved) != len(places) or len({*moved}) < len(moved) or len({*places}) < len(places):
        raise UsageError(
            f"moveaxis: expected as many axes as destinations, each once; received {source} and "
            f"{destination}"
        )
    order = [axis for axis in range(rank) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return tensor(permuted(node, tuple(order)))


@operation
def swapaxes(x: Any, axis1: int, axis2: int) -> KerasTensor:
    """Two axes exchanged."""
    node = as_node(x)
    order = list(range(node.tensor_type.rank))
    first, second = (normal_axis(axis, len(order)) for axis in (axis1, axis2))
    order[first], order[second] = order[second], order[first]
    return tensor(permuted(node, tuple(order)))


@operation
def expand_dims(x: Any, axis: Axes) -> KerasTensor:
    """A size of 1 put in at ``axis``."""
    node = as_node(x)
    rank = node.tensor_type.rank + len(listed_axes(axis))
    places = normal_axes(axis, rank)
    sizes = iter(node.shape)
    return tensor(
        ir.reshape(node, shape=tuple(1 if i in places else next(sizes) for i in range(rank)))
    )


@operation
def squeeze(x: Any, axis: Axes | None = None) -> KerasTensor:
    """Sizes of 1 taken out: all of them, or those at ``axis``."""
    node = as_node(x)
    ones = [place for place, size in enumerate(node.shape) if size == 1]
    gone = ones if axis is None else normal_axes(axis, node.tensor_type.rank)
    wrong = [place for place in gone if place not in ones]
    if wrong:
        raise UsageError(
            f"squeeze: expected size 1 at axis {wrong[0]}; received shape {shown(node.shape)}"
        )
    kept = tuple(size for place, size in enumerate(node.shape) if place not in gone)
    return tensor(ir.reshape(node, shape=kept))


@operation
def ravel(x: Any) -> KerasTensor:
    """All elements along one axis."""
    node = as_node(x)
    return tensor(ir.reshape(node, shape=(node.tensor_type.elements,)))


@operation
def broadcast_to(x: Any, shape: SizesLike) -> KerasTensor:
    """Repeated along axes of size 1 up to ``shape``."""
    return tensor(ir.broadcast_to(as_node(x), shape=sizes_of(shape)))
