"""``x[...]`` and what picks elements by position."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir.graph import IRError, Node
from ...compiler.ir.types import product
from ...runtime.dim import Dim, Size
from ..accepted import NewShape, Starts, is_int
from ..dtypes import INT64
from ..errors import UsageError, UsageIndexError, UsageTypeError
from ..tensor import KerasTensor
from ..variable import Variable
from .core import as_node, cast_node, constant, ir, operation, tensor
from .picking import in_line, index_node
from .shaping import permuted
from .slicing import part_of, sliced


@operation
def get_item(x: Any, key: Any) -> KerasTensor:
    """``x[key]`` with integers, slices, ``...``, ``None`` and arrays of integers, by numpy's rules.

    Raises:
        IndexError: an integer lies outside its axis, or there are more indices than axes.
        TypeError: something else is among the indices; booleans, as only the data tell their size.
    """
    node = as_node(x)
    entries = _expanded(key, node.tensor_type.rank)
    picks: list[tuple[int, Any]] = []
    places = [i for i, entry in enumerate(entries) if _is_pick(entry)]
    arrays = any(not isinstance(entries[i], (int, Dim)) for i in places)
    axis = 0
    for entry in entries:
        if entry is None:
            node = ir.reshape(node, shape=(*node.shape[:axis], 1, *node.shape[axis:]))
        elif isinstance(entry, slice):
            node = sliced(node, axis, entry)
        elif arrays:
            picks.append((axis, entry))
        else:
            node = _picked(node, axis, entry)
            continue
        axis += 1
    if not picks:
        return tensor(node)
    together = places[-1] - places[0] == len(places) - 1
    return _gathered(node, picks, picks[0][0] if together else 0)


def _expanded(key: Any, rank: int) -> list[Any]:
    """One entry for each axis and each ``None``; ``...`` written out."""
    entries = [_plain(entry) for entry in (key if isinstance(key, tuple) else (key,))]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if used > rank:
        raise UsageIndexError(
            f"x[...]: expected at most {rank} indices for {rank} axes; received {used}"
        )
    dots = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise UsageIndexError("x[...]: expected at most one `...`; received several")
    place = dots[0] if dots else len(entries)
    return entries[:place] + [slice(None)] * (rank - used) + entries[place + 1 :]


def _plain(entry: Any) -> Any:
    """An entry with numpy's integers as ints. Raises ``TypeError`` for what indexes nothing."""
    if isinstance(entry, np.ndarray) and entry.ndim == 0:
        entry = entry[()]
    if isinstance(entry, np.integer):
        return int(entry)
    known = (int, slice, Dim, KerasTensor, Variable, np.ndarray, list)
    if entry is None or entry is Ellipsis:
        return entry
    if isinstance(entry, bool) or not isinstance(entry, known):
        raise UsageTypeError(
            f"x[...]: expected integers, slices, None, ... or arrays of integers; received "
            f"{entry!r}"
        )
    return entry


def _is_pick(entry: Any) -> bool:
    return entry is not None and not isinstance(entry, slice)


def _gathered(node: Node, picks: list[tuple[int, Any]], place: int) -> KerasTensor:
    """Arrays of integers, one for each of some axes, that broadcast: their axes go to ``place``."""
    axes = [axis for axis, _ in picks]
    rest = [axis for axis in range(node.tensor_type.rank) if axis not in axes]
    sizes = [node.shape[axis] for axis in axes]
    found = [index_node("x[...]", entry, node.shape, axis) for axis, entry in picks]
    moved = permuted(node, (*rest[:place], *axes, *rest[place:]))
    if len(found) == 1:
        return tensor(ir.gather(moved, found[0], axis=place))
    before, after = moved.shape[:place], moved.shape[place + len(axes) :]
    merged = ir.reshape(moved, shape=(*before, product(sizes), *after))
    return tensor(ir.gather(merged, _in_line(found, sizes), axis=place, from_end=False))


def _in_line(found: list[Node], sizes: list[Size]) -> Node:
    try:
        return in_line(found, sizes)
    except IRError:
        shapes = ", ".join(str(node.shape) for node in found)
        raise UsageIndexError(
            f"x[...]: expected arrays of integers that broadcast; received shapes {shapes}"
        ) from None


def _picked(node: Node, axis: int, index: Any) -> Node:
    extent = node.shape[axis]
    start: Size = index
    if isinstance(start, int) and isinstance(extent, int) and not -extent <= start < extent:
        raise UsageIndexError(
            f"x[...]: index {start} is out of bounds for axis {axis} of size {extent}"
        )
    if isinstance(start, int) and start < 0:
        start = extent + start
    one = part_of(node, axis, start, start + 1)
    return ir.reshape(one, shape=(*node.shape[:axis], *node.shape[axis + 1 :]))


@operation
def slice_(inputs: Any, start_indices: Starts, shape: NewShape) -> KerasTensor:
    """A block of a given shape that begins at given indices, numbers or tensors.

    Indices below 0 count from the end; a size of -1 is what is left. Along an axis of unknown size
    that ends earlier the block ends there as well; where it begins at a tensor, it begins so much
    earlier that it fits.

    Raises:
        ValueError: the block goes beyond the end of an axis whose size is known.
    """
    node = as_node(inputs)
    starts, sizes = _listed(start_indices), _listed(shape)
    rank = node.tensor_type.rank
    if not len(starts) == len(sizes) == rank:
        raise UsageError(
            f"slice: expected a start and a size for each of {rank} axes; received {len(starts)} "
            f"and {len(sizes)}"
        )
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, (KerasTensor, Variable)):
            node = _block_at(node, axis, as_node(start), size)
        else:
            node = _block(node, axis, start, size)
    return tensor(node)


def _block(node: Node, axis: int, start: Size, size: Size) -> Node:
    extent = node.shape[axis]
    if isinstance(start, int) and isinstance(extent, int) and start < 0:
        start += extent
    if isinstance(size, int) and size == -1:
        return sliced(node, axis, slice(start, None))
    known = all(isinstance(each, int) for each in (extent, start, size))
    if known and not 0 <= start <= start + size <= extent:  # type: ignore[operator]
        raise UsageError(
            f"slice: expected a block within axis {axis} of size {extent}; received {size} "
            f"elements from {start} on"
        )
    at_end = isinstance(start, int) and isinstance(size, int) and -size <= start < 0
    return sliced(node, axis, slice(start, None if at_end else start + size))


def _listed(values: Any) -> list[Any]:
    return [values] if is_int(values) else [values[i] for i in range(len(values))]


def _block_at(node: Node, axis: int, start: Node, size: Size) -> Node:
    zero, extent = constant(0, INT64), cast_node(as_node(node.shape[axis]), INT64)
    first = cast_node(ir.reshape(start, shape=()), INT64)
    first = ir.select(ir.less(first, zero), ir.add(first, extent), first)
    last = cast_node(as_node(node.shape[axis] - size), INT64)
    first = ir.maximum(ir.minimum(first, last), zero)
    places = ir.iota(shape=(size,), axis=0, dtype="int64")
    return ir.gather(node, ir.add(places, first), axis=axis)


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
