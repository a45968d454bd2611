"""``x[...]`` and what picks elements by position."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node
from ...runtime.dim import Dim, Size
from ..errors import UsageError
from ..tensor import KerasTensor
from ..variable import Variable
from .core import (
    as_node,
    constant,
    ir,
    operation,
    require_size,
    tensor,
)
from .joining import part_of
from .picking import take


@operation
def get_item(x: Any, key: Any) -> KerasTensor:
    """``x[key]`` with integers, slices, ``...``, ``None`` and one array of integers."""
    node = as_node(x)
    entries = _expanded(key, node.tensor_type.rank)
    axis = 0
    for entry in entries:
        node, axis = _entered(node, axis, entry)
    return tensor(node)


def _expanded(key: Any, rank: int) -> list[Any]:
    """One entry for each axis and each ``None``; ``...`` written out."""
    entries = list(key) if isinstance(key, tuple) else [key]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if used > rank:
        raise IndexError(
            f"x[...]: expected at most {rank} indices for {rank} axes; received {used}"
        )
    place = next((i for i, entry in enumerate(entries) if entry is Ellipsis), len(entries))
    rest = [slice(None)] * (rank - used)
    return entries[:place] + rest + [e for e in entries[place + 1 :] if e is not Ellipsis]


def _entered(node: Node, axis: int, entry: Any) -> tuple[Node, int]:
    """``node`` with one entry applied at ``axis``, and the axis of the next entry."""
    if entry is None:
        shape = (*node.shape[:axis], 1, *node.shape[axis:])
        return ir.reshape(node, shape=shape), axis + 1
    if isinstance(entry, slice):
        return _sliced(node, axis, entry), axis + 1
    if isinstance(entry, (int, np.integer, Dim)):
        return _picked(node, axis, entry), axis
    if isinstance(entry, (KerasTensor, Variable, np.ndarray, list)):
        indices = as_node(entry)
        gathered = take(tensor(node), entry, axis)
        return gathered.node, axis + indices.tensor_type.rank
    raise TypeError(
        f"x[...]: expected integers, slices, None, ... or an array of integers; received {entry!r}"
    )


def _picked(node: Node, axis: int, index: Any) -> Node:
    extent = node.shape[axis]
    start: Size = index if isinstance(index, Dim) else int(index)
    if isinstance(start, int) and isinstance(extent, int) and not -extent <= start < extent:
        raise IndexError(f"x[...]: index {start} is out of bounds for axis {axis} of size {extent}")
    if isinstance(start, int):
        require_size(node, axis, -start if start < 0 else start + 1)
        start = extent + start if start < 0 else start
    one = part_of(node, axis, start, start + 1)
    return ir.reshape(one, shape=(*node.shape[:axis], *node.shape[axis + 1 :]))


def _sliced(node: Node, axis: int, entry: slice) -> Node:
    step = 1 if entry.step is None else int(entry.step)
    extent = node.shape[axis]
    if entry.start is None and entry.stop is None and step in (1, -1):
        return node if step == 1 else ir.flip(node, axes=(axis,))
    if step > 0:
        require_size(node, axis, _whole_from(entry))
        start, stop = _bound(entry.start, 0, extent), _bound(entry.stop, extent, extent)
        return part_of(node, axis, start, _not_before(start, stop), step)
    if not isinstance(extent, int):
        raise UsageError(
            f"x[...]: step {step} needs an axis of known size; axis {axis} has {extent}"
        )
    # Reversed, the slice runs forwards; its bounds count from the other end.
    places = range(*entry.indices(extent))
    if not places:
        return part_of(node, axis, 0, 0)
    turned = ir.flip(node, axes=(axis,))
    return part_of(turned, axis, extent - 1 - places[0], extent - places[-1], -step)


def _whole_from(entry: slice) -> int:
    """The size from which on a slice is not cut short by the end of its axis."""
    before_end = -entry.start if isinstance(entry.start, int) else 0
    return max(before_end, entry.stop if isinstance(entry.stop, int) else 0)


def _bound(value: Any, default: Size, extent: Size) -> Size:
    if value is None:
        return default
    if isinstance(value, Dim):
        return value
    if isinstance(extent, int):
        return min(max(value + extent if value < 0 else int(value), 0), extent)
    return extent + int(value) if value < 0 else int(value)


def _not_before(start: Size, stop: Size) -> Size:
    both = isinstance(start, int) and isinstance(stop, int)
    return max(start, stop) if both else stop  # type: ignore[type-var]


@operation
def slice_(inputs: Any, start_indices: Any, shape: Any) -> KerasTensor:
    """A block of a given shape that begins at given indices."""
    pairs = zip(start_indices, shape, strict=True)
    return get_item(inputs, tuple(slice(start, start + extent) for start, extent in pairs))


def _triangle(x: Any, k: int, keep: str) -> KerasTensor:
    node = as_node(x)
    shape = node.shape[-2:]
    rows = ir.iota(shape=shape, axis=0, dtype="int32")
    columns = ir.iota(shape=shape, axis=1, dtype="int32")
    edge = ir.add(rows, constant(k))
    inside = getattr(ir, keep)(columns, edge)
    return tensor(ir.select(inside, node, constant(0, node.dtype)))


@operation
def tril(x: Any, k: int = 0) -> KerasTensor:
    """The lower triangle of the last two axes; 0 above the k-th diagonal."""
    return _triangle(x, k, "less_equal")


@operation
def triu(x: Any, k: int = 0) -> KerasTensor:
    """The upper triangle of the last two axes; 0 below the k-th diagonal."""
    return _triangle(x, k, "greater_equal")
