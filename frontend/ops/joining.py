"""Joining, splitting, repeating, padding: fewer or more elements than before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ...runtime.dim import Dim, Size, symbols_of
from ..accepted import AnyFloat, Axes, Count, Ints, Shape, Tensors, is_int
from ..dtypes import INT64
from ..errors import UsageError, UsageTypeError
from ..errors import shown as brief
from ..scope import active_scope
from ..tensor import KerasTensor
from ..variable import Variable
from .core import (
    as_node,
    cast_node,
    common_dtype,
    constant,
    ir,
    nodes_of,
    normal_axes,
    normal_axis,
    operation,
    reconciled,
    require_size,
    tensor,
)
from .picking import take
from .shaping import divide_exactly, expand_dims, ravel, reshape, shown, squeeze
from .slicing import part_of, sliced


@operation
def concatenate(xs: Tensors, axis: int = 0) -> KerasTensor:
    """Tensors side by side along ``axis``."""
    nodes = common_dtype(nodes_of(xs))
    place = normal_axis(axis, nodes[0].tensor_type.rank)
    nodes = reconciled(nodes, place - nodes[0].tensor_type.rank)
    return tensor(nodes[0] if len(nodes) == 1 else ir.concatenate(*nodes, axis=place))


@operation
def append(x1: Any, x2: Any, axis: int | None = None) -> KerasTensor:
    """x2 after x1; both made flat unless an axis is given."""
    if axis is None:
        return concatenate([ravel(each) for each in map(tensor, nodes_of([x1, x2]))], 0)
    return concatenate([x1, x2], axis)


@operation
def stack(x: Tensors, axis: int = 0) -> KerasTensor:
    """Tensors of one shape along a new axis."""
    return concatenate([expand_dims(each, axis) for each in map(tensor, nodes_of(x))], axis)


@operation
def vstack(xs: Tensors) -> KerasTensor:
    """Rows below one another."""
    return concatenate([_at_least(node, 2) for node in nodes_of(xs)], 0)


@operation
def hstack(xs: Tensors) -> KerasTensor:
    """Columns beside one another."""
    flat = as_node(xs[0]).tensor_type.rank < 2
    return concatenate(list(xs), 0 if flat else 1)


def _at_least(node: Node, rank: int) -> KerasTensor:
    missing = max(rank - node.tensor_type.rank, 0)
    return tensor(ir.reshape(node, shape=(1,) * missing + node.shape) if missing else node)


@operation
def split(x: Any, indices_or_sections: Ints, axis: int = 0) -> list[KerasTensor]:
    """Parts along ``axis``: a number of equal ones, or cut before each of some indices."""
    node = as_node(x)
    place = normal_axis(axis, node.tensor_type.rank)
    if not isinstance(indices_or_sections, (int, np.integer)):
        ends = [*map(int, indices_or_sections), None]
        parts = zip([None, *ends[:-1]], ends, strict=True)
        return [tensor(sliced(node, place, slice(*pair))) for pair in parts]
    part = _equal_part(node, place, int(indices_or_sections))
    starts = [part * i for i in range(int(indices_or_sections))]
    return [tensor(part_of(node, place, start, start + part)) for start in starts]


def _equal_part(node: Node, axis: int, sections: int) -> Size:
    extent = node.shape[axis]
    part = divide_exactly(extent, sections) if sections > 0 else None
    if part is None and sections > 0 and not symbols_of(extent) <= {"N"}:
        active_scope().require_sizes(
            f"axis {axis} of shape {node.shape} has {sections} equal parts only for some sizes"
        )
        part = extent // sections
    if part is None:
        raise UsageError(
            f"split: expected an axis that {sections} divides for all data; received shape "
            f"{shown(node.shape)}, axis {axis}"
        )
    return part


@operation
def unstack(x: Any, num: Count | None = None, axis: int = 0) -> list[KerasTensor]:
    """The slices along ``axis``, each without it."""
    node = as_node(x)
    place = normal_axis(axis, node.tensor_type.rank)
    count = node.shape[place] if num is None else num
    if not isinstance(count, int):
        raise UsageError(
            f"unstack: expected an axis of known size; received shape {shown(node.shape)}, axis "
            f"{axis}. Pass num="
        )
    parts = split(tensor(node), count, place) if count else []
    return [squeeze(part, place) for part in parts]


@operation
def flip(x: Any, axis: Axes | None = None) -> KerasTensor:
    """The elements in reverse order."""
    node = as_node(x)
    return tensor(ir.flip(node, axes=normal_axes(axis, node.tensor_type.rank)))


@operation
def repeat(x: Any, repeats: Shape, axis: int | None = None) -> KerasTensor:
    """Each element ``repeats`` times in a row: one number, or one for each along the axis."""
    node = as_node(ravel(x)) if axis is None else as_node(x)
    place = normal_axis(axis or 0, node.tensor_type.rank)
    counts = _counts("repeat", repeats)
    if len(counts) != 1:
        return _repeated_each(node, place, counts)
    if counts[0] == 0:
        return tensor(part_of(node, place, 0, 0))
    factors = tuple(counts[0] if i == place else 1 for i in range(node.tensor_type.rank))
    return tensor(ir.repeat(node, factors=factors))


def _counts(name: str, value: Any) -> list[int]:
    given = None if isinstance(value, (KerasTensor, Variable, Dim)) else np.asarray(value)
    if given is None or given.dtype.kind not in "iu" or given.ndim > 1 or (given < 0).any():
        raise UsageTypeError(f"{name}: expected ints from 0 on as repeats; received {value!r}")
    return [int(each) for each in given.reshape(-1)]


def _repeated_each(node: Node, axis: int, counts: list[int]) -> KerasTensor:
    if node.shape[axis] != len(counts):
        raise UsageError(
            f"repeat: expected one number, or one for each element of axis {axis} of shape "
            f"{shown(node.shape)}; received {len(counts)}"
        )
    return take(tensor(node), np.repeat(np.arange(len(counts)), counts), axis)


@operation
def tile(x: Any, repeats: Shape) -> KerasTensor:
    """The whole tensor several times along each axis."""
    counts = _counts("tile", repeats)
    node = as_node(_at_least(as_node(x), len(counts)))
    counts = [1] * (node.tensor_type.rank - len(counts)) + counts
    # Each axis behind one that counts the copies: one op, however many there are.
    pairs = [(count, size) for count, size in zip(counts, node.shape, strict=True)]
    apart = ir.reshape(node, shape=tuple(s for _, size in pairs for s in (1, size)))
    copied = ir.broadcast_to(apart, shape=tuple(s for pair in pairs for s in pair))
    return tensor(ir.reshape(copied, shape=tuple(count * size for count, size in pairs)))


@operation
def roll(x: Any, shift: Ints, axis: Ints | None = None) -> KerasTensor:
    """Elements moved along ``axis``; those that fall off come back at the other end.

    One shift and one axis, or several; without an axis, along all elements in a line.
    """
    if axis is None:
        flat = as_node(ravel(x))
        return reshape(tensor(_rolled(flat, int(np.sum(shift)), 0)), as_node(x).shape)
    node = as_node(x)
    for by, along in zip(*map(np.ravel, np.broadcast_arrays(shift, axis)), strict=True):
        node = _rolled(node, int(by), normal_axis(int(along), node.tensor_type.rank))
    return tensor(node)


def _rolled(node: Node, shift: int, axis: int) -> Node:
    extent = node.shape[axis]
    if not isinstance(extent, int):
        return _rolled_by_index(node, shift, axis)
    cut = -shift % extent if extent else 0
    if cut == 0:
        return node
    parts = part_of(node, axis, cut, extent), part_of(node, axis, 0, cut)
    return ir.concatenate(*parts, axis=axis)


def _rolled_by_index(node: Node, shift: int, axis: int) -> Node:
    """How often a shift goes around an axis of unknown size is computed."""
    extent = node.shape[axis]
    by = ir.mod(constant(shift, INT64), cast_node(as_node(extent), INT64))
    place = ir.iota(shape=(extent,), axis=0, dtype="int64")
    # What lies before the front counts from the end.
    return ir.gather(node, ir.subtract(place, by), axis=axis)


# How many elements at an end do not appear in its mirror.
_MIRRORS = {"reflect": 1, "symmetric": 0}


def _mirrored(node: Node, axis: int, low: int, high: int, mode: str) -> Node:
    skip, size = _MIRRORS[mode], node.shape[axis]
    if isinstance(size, int) and size and max(low, high) > size - skip:
        # Mirrored more than once.
        places = np.pad(np.arange(size), (low, high), mode)  # type: ignore[call-overload]
        return ir.gather(node, as_node(places), axis=axis)
    require_size(node, axis, max(low, high) + skip)
    end = size - skip
    parts = [node]
    if low:
        parts.insert(0, ir.flip(part_of(node, axis, skip, skip + low), axes=(axis,)))
    if high:
        parts.append(ir.flip(part_of(node, axis, end - high, end), axes=(axis,)))
    return ir.concatenate(*parts, axis=axis) if len(parts) > 1 else node


def _pad_pairs(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """What comes before and after each axis."""
    pairs = np.array(pad_width, object)
    known = ((), (1,), (2,), (1, 2), (rank, 1), (rank, 2))
    if pairs.shape not in known or not all(map(_is_width, pairs.ravel())):
        raise UsageError(
            f"pad: expected pad_width as an int, a pair of ints, or a pair for each of {rank} "
            f"axes, each 0 or more; received {brief(pad_width)}"
        )
    return [(int(low), int(high)) for low, high in np.broadcast_to(pairs, (rank, 2))]


def _is_width(value: Any) -> bool:
    return is_int(value) and not isinstance(value, Dim) and value >= 0


@operation
def pad(
    x: Any, pad_width: Any, mode: str = "constant", constant_values: AnyFloat | None = None
) -> KerasTensor:
    """Elements put around: one width, one pair, or a pair for each axis.

    They are ``constant_values`` (0); in mode "reflect" those beside the first and the last one, as
    in a mirror; in mode "symmetric" the same from the first and the last one on.
    """
    node = as_node(x)
    pairs = _pad_pairs(pad_width, node.tensor_type.rank)
    if mode in _MIRRORS:
        for axis, (low, high) in enumerate(pairs):
            node = _mirrored(node, axis, int(low), int(high), mode)
        return tensor(node)
    if mode != "constant":
        raise UsageError(
            f"pad: expected mode as 'constant', 'reflect' or 'symmetric'; received {mode!r}"
        )
    before, after = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    value = constant_values or 0
    if node.dtype.is_float or not is_int(value) or float(value) == value:
        return tensor(ir.pad(node, low=before, high=after, value=float(value)))
    # An integer that no float is: integers wrap around, so a sum undoes a difference.
    shift = constant(np.asarray(value, node.dtype.numpy))
    padded = ir.pad(ir.subtract(node, shift), low=before, high=after)
    return tensor(ir.add(padded, shift))
