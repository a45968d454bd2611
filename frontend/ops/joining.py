"""Joining, splitting, repeating, padding: fewer or more elements than before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node
from ...runtime.dim import Size
from ..errors import UsageError
from ..tensor import KerasTensor
from .core import (
    as_node,
    common_dtype,
    ir,
    normal_axes,
    normal_axis,
    operation,
    reconciled,
    require_size,
    tensor,
)
from .shaping import divide_exactly, expand_dims, listed, ravel, reshape, shown, squeeze


@operation
def concatenate(xs: Any, axis: int = 0) -> KerasTensor:
    """Tensors side by side along ``axis``."""
    nodes = common_dtype([as_node(x) for x in xs])
    place = normal_axis(axis, nodes[0].tensor_type.rank)
    nodes = reconciled(nodes, place - nodes[0].tensor_type.rank)
    return tensor(nodes[0] if len(nodes) == 1 else ir.concatenate(*nodes, axis=place))


@operation
def append(x1: Any, x2: Any, axis: int | None = None) -> KerasTensor:
    """x2 after x1; both made flat unless an axis is given."""
    if axis is None:
        return concatenate([ravel(x1), ravel(x2)], 0)
    return concatenate([x1, x2], axis)


@operation
def stack(x: Any, axis: int = 0) -> KerasTensor:
    """Tensors of one shape along a new axis."""
    return concatenate([expand_dims(each, axis) for each in x], axis)


@operation
def vstack(xs: Any) -> KerasTensor:
    """Rows below one another."""
    return concatenate([_at_least(each, 2) for each in xs], 0)


@operation
def hstack(xs: Any) -> KerasTensor:
    """Columns beside one another."""
    flat = as_node(xs[0]).tensor_type.rank < 2
    return concatenate(list(xs), 0 if flat else 1)


def _at_least(x: Any, rank: int) -> KerasTensor:
    node = as_node(x)
    missing = max(rank - node.tensor_type.rank, 0)
    return tensor(ir.reshape(node, shape=(1,) * missing + node.shape) if missing else node)


@operation
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[KerasTensor]:
    """Parts along ``axis``: a number of equal ones, or cut before each of some indices."""
    node = as_node(x)
    place = normal_axis(axis, node.tensor_type.rank)
    extent = node.shape[place]
    if isinstance(indices_or_sections, (int, np.integer)):
        part = divide_exactly(extent, int(indices_or_sections))
        if part is None:
            raise UsageError(
                f"split: expected an axis that {indices_or_sections} divides; received shape "
                f"{shown(node.shape)}, axis {axis}"
            )
        cuts: list[Size] = [part * i for i in range(1, int(indices_or_sections))]
    else:
        require_size(node, place, max(abs(int(cut)) for cut in indices_or_sections))
        cuts = [_from_end(int(cut), extent) for cut in indices_or_sections]
    ends = [*cuts, extent]
    starts: list[Size] = [0, *cuts]
    return [tensor(part_of(node, place, a, b)) for a, b in zip(starts, ends, strict=True)]


def _from_end(index: int, extent: Size) -> Size:
    if isinstance(extent, int):
        return int(np.clip(index + extent if index < 0 else index, 0, extent))
    return extent + index if index < 0 else index


def part_of(node: Node, axis: int, start: Size, stop: Size, step: int = 1) -> Node:
    """Elements ``start, start + step, ...`` below ``stop`` along one axis."""
    starts = tuple(start if i == axis else 0 for i in range(node.tensor_type.rank))
    stops = tuple(stop if i == axis else size for i, size in enumerate(node.shape))
    steps = tuple(step if i == axis else 1 for i in range(node.tensor_type.rank))
    return ir.slice(node, start=starts, stop=stops, step=steps)


@operation
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[KerasTensor]:
    """The slices along ``axis``, each without it."""
    node = as_node(x)
    place = normal_axis(axis, node.tensor_type.rank)
    count = node.shape[place] if num is None else num
    if not isinstance(count, int):
        raise UsageError(
            f"unstack: expected an axis of known size; received shape {shown(node.shape)}, axis "
            f"{axis}. Pass num="
        )
    return [squeeze(part, place) for part in split(tensor(node), count, place)]


@operation
def flip(x: Any, axis: Any = None) -> KerasTensor:
    """The elements in reverse order."""
    node = as_node(x)
    return tensor(ir.flip(node, axes=normal_axes(axis, node.tensor_type.rank)))


@operation
def repeat(x: Any, repeats: int, axis: int | None = None) -> KerasTensor:
    """Each element ``repeats`` times in a row."""
    node = as_node(ravel(x)) if axis is None else as_node(x)
    place = normal_axis(axis or 0, node.tensor_type.rank)
    if not isinstance(repeats, (int, np.integer)):
        raise TypeError(f"repeat: expected one int for repeats; received {repeats!r}")
    factors = tuple(int(repeats) if i == place else 1 for i in range(node.tensor_type.rank))
    return tensor(ir.repeat(node, factors=factors))


@operation
def tile(x: Any, repeats: Any) -> KerasTensor:
    """The whole tensor several times along each axis."""
    counts = listed(repeats)
    node = as_node(_at_least(x, len(counts)))
    counts = [1] * (node.tensor_type.rank - len(counts)) + counts
    for axis, count in enumerate(counts):
        node = node if count == 1 else ir.concatenate(*[node] * count, axis=axis)
    return tensor(node)


@operation
def roll(x: Any, shift: int, axis: int | None = None) -> KerasTensor:
    """Elements moved along ``axis``; those that fall off come back at the front."""
    node = as_node(ravel(x)) if axis is None else as_node(x)
    place = normal_axis(axis or 0, node.tensor_type.rank)
    extent = node.shape[place]
    shift = shift % extent if isinstance(extent, int) else shift
    require_size(node, place, abs(shift))
    cut = -shift if shift < 0 else extent - shift
    if cut == extent:
        return tensor(node)
    parts = part_of(node, place, cut, extent), part_of(node, place, 0, cut)
    rolled = tensor(ir.concatenate(*parts, axis=place))
    return rolled if axis is not None else reshape(rolled, as_node(x).shape)


# How many elements at an end do not appear in its mirror.
_MIRRORS = {"reflect": 1, "symmetric": 0}


def _mirrored(node: Node, axis: int, low: int, high: int, skip: int) -> Node:
    require_size(node, axis, max(low, high) + skip)
    end = node.shape[axis] - skip
    parts = [node]
    if low:
        parts.insert(0, ir.flip(part_of(node, axis, skip, skip + low), axes=(axis,)))
    if high:
        parts.append(ir.flip(part_of(node, axis, end - high, end), axes=(axis,)))
    return ir.concatenate(*parts, axis=axis) if len(parts) > 1 else node


@operation
def pad(
    x: Any, pad_width: Any, mode: str = "constant", constant_values: float | None = None
) -> KerasTensor:
    """Elements put around: one width, one pair, or a pair for each axis.

    They are ``constant_values`` (0); in mode "reflect" those beside the first and the last one, as
    in a mirror; in mode "symmetric" the same from the first and the last one on.
    """
    node = as_node(x)
    pairs = np.broadcast_to(np.asarray(pad_width), (node.tensor_type.rank, 2)).tolist()
    if mode in _MIRRORS:
        for axis, (low, high) in enumerate(pairs):
            node = _mirrored(node, axis, int(low), int(high), _MIRRORS[mode])
        return tensor(node)
    if mode != "constant":
        raise UsageError(
            f"pad: expected mode as 'constant', 'reflect' or 'symmetric'; received {mode!r}"
        )
    low, high = (tuple(int(pair[side]) for pair in pairs) for side in (0, 1))
    return tensor(ir.pad(node, low=low, high=high, value=float(constant_values or 0)))
