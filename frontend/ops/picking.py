"""Elements and rows picked by integers. Those below 0 count from the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ...compiler.ir.types import Shape, broadcast_shapes, product
from ...runtime.dim import Dim, Size
from .. import tree
from ..accepted import Natural
from ..dtypes import INT32, INT64, standard_dtype
from ..errors import UsageError, UsageIndexError, UsageTypeError
from ..tensor import KerasTensor
from ..variable import Variable
from .core import (
    aligned,
    as_node,
    cast_node,
    constant,
    ir,
    normal_axis,
    operation,
    reconciled,
    tensor,
)
from .shaping import moveaxis, permuted, ravel


@operation
def take(x: Any, indices: Any, axis: int | None = None) -> KerasTensor:
    """Elements by index along ``axis``; of the flat tensor unless one is given.

    Indices below 0 count from the end. What indices that are computed find outside is NaN (the
    least integer, 255, True); those given as numbers or arrays raise ``IndexError``, and those that
    are data of a program ``ValueError``.
    """
    node = as_node(ravel(x)) if axis is None else as_node(x)
    place = normal_axis(axis or 0, node.tensor_type.rank)
    return tensor(ir.gather(node, index_node("take", indices, node.shape, place), axis=place))


def lookup(table: Any, indices: Any) -> KerasTensor:
    """Rows of ``table`` by indices from 0 on; NaN where there is no such row."""
    return tensor(ir.gather(as_node(table), as_node(indices), axis=0, from_end=False))


@operation
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> KerasTensor:
    """Elements picked along ``axis`` by indices of the same rank; without an axis, of all.

    The other axes broadcast. Indices below 0 and outside are treated as by ``take``.
    """
    if axis is None:
        return take(x, indices)
    node = as_node(x)
    rank = node.tensor_type.rank
    place = normal_axis(axis, rank)
    picks = index_node("take_along_axis", indices, node.shape, place)
    if picks.tensor_type.rank != rank:
        raise UsageTypeError(
            f"take_along_axis: expected indices with {rank} axes, as x has; received shape "
            f"{picks.shape}"
        )
    last = (as_node(moveaxis(tensor(each), place, -1)) for each in (node, picks))
    rows = reconciled(list(last), free=-1)
    return moveaxis(_taken_in_rows(*rows), -1, place)


def _taken_in_rows(x: Node, picks: Node) -> KerasTensor:
    """Elements of the last axis, row by row: picked out of all elements in a line."""
    lead = broadcast_shapes(x.shape[:-1], picks.shape[:-1])
    size, count, rows = x.shape[-1], picks.shape[-1], product(lead)
    flat = ir.reshape(_broadcast(x, (*lead, size)), shape=(rows * size,))
    named = ir.reshape(_broadcast(picks, (*lead, count)), shape=(rows, count))
    row = ir.iota(shape=(rows, 1), axis=0, dtype="int64")
    found = ir.gather(flat, in_line([row, named], [rows, size]), axis=0, from_end=False)
    return tensor(ir.reshape(found, shape=(*lead, count)))


def in_line(picks: list[Node], sizes: Sequence[Size]) -> Node:
    """Indices along several axes as indices of their elements in a line; -1 for none of them."""
    zero, nowhere = constant(0, INT64), constant(-1, INT64)
    place, inside = zero, None
    for pick, size in zip(aligned(*map(tensor, picks)), sizes, strict=True):
        extent, at = cast_node(as_node(size), INT64), cast_node(pick, INT64)
        at = ir.select(ir.less(at, zero), ir.add(at, extent), at)
        within = ir.logical_and(ir.less_equal(zero, at), ir.less(at, extent))
        inside = within if inside is None else ir.logical_and(inside, within)
        place = at if place is zero else ir.add(ir.multiply(place, extent), at)
    assert inside is not None, "there are several axes"
    return ir.select(inside, place, nowhere)


def _broadcast(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else ir.broadcast_to(node, shape=shape)


def integers(value: Any) -> Node:
    """The node for ``value``: integers of any type as they are, all else cut to int32."""
    node = as_node(value)
    return node if node.dtype.is_integer else cast_node(node, INT32)


def index_node(name: str, given: Any, shape: Shape, axis: int) -> Node:
    """The node for ``given`` indices of an axis. Raises ``TypeError`` for booleans.

    Raises ``IndexError`` for an index outside the axis, where both are known.
    """
    node = as_node(given)
    if node.dtype.name == "bool":
        raise UsageTypeError(
            f"{name}: expected integers as indices; received booleans. How many elements they pick "
            "only the data tell: take ops.where(mask, x, other), or multiply by the mask"
        )
    if not node.dtype.is_integer and node.tensor_type.elements != 0:
        raise UsageError(
            f"{name}: expected indices as integers; received {node.dtype.name}. Cast them, for "
            "example with ops.cast(indices, 'int32')"
        )
    _check_known(name, given, shape, axis)
    return integers(tensor(node))


def _check_known(name: str, indices: Any, shape: Shape, axis: int) -> None:
    """Raises ``IndexError`` for an index outside an axis, where both are known."""
    size = shape[axis]
    leaves = tree.flatten(indices)
    if not isinstance(size, int) or any(
        isinstance(e, (KerasTensor, Variable, Dim)) for e in leaves
    ):
        return
    values = np.asarray(indices)
    outside = values[(values < -size) | (values >= size)]
    if outside.size:
        raise UsageIndexError(
            f"{name}: index {outside.flat[0]} is out of bounds for axis {axis} of size {size}"
        )


@operation
def one_hot(x: Any, num_classes: Natural, axis: int = -1, dtype: Any = None) -> KerasTensor:
    """1 at the index that x names, else 0, along a new axis."""
    name = standard_dtype(dtype).name
    hot = ir.one_hot(integers(x), depth=int(num_classes), dtype=name)
    rank = hot.tensor_type.rank
    order = list(range(rank - 1))
    order.insert(normal_axis(axis, rank), rank - 1)
    return tensor(permuted(hot, tuple(order)))
