"""Stretches along one axis by numpy's rules: from the end, cut short, backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ...runtime.dim import Dim, Size, is_never_negative, maximum, substitute, symbol, symbols_of
from ..errors import UsageError, UsageTypeError
from ..scope import active_scope
from .core import ir, require_size

# Elements; no axis has as many. Sizes and distances in memory are of 64 bits.
_FARTHEST = 2**36


def part_of(node: Node, axis: int, start: Size, stop: Size, step: int = 1) -> Node:
    """Elements ``start, start + step, ...`` below ``stop`` along one axis, where they lie."""
    starts = tuple(start if i == axis else 0 for i in range(node.tensor_type.rank))
    stops = tuple(stop if i == axis else size for i, size in enumerate(node.shape))
    steps = tuple(step if i == axis else 1 for i in range(node.tensor_type.rank))
    return ir.slice(node, start=starts, stop=stops, step=steps)


def sliced(node: Node, axis: int, entry: slice) -> Node:
    """``node[start:stop:step]`` along one axis.

    Bounds that are sizes of tensors count from the front, and must lie within the axis.
    """
    step = 1 if entry.step is None else _whole(entry.step)
    if not isinstance(step, int) or step == 0:
        raise UsageError(f"x[...]: expected a step that is an int other than 0; received {step}")
    ends = (None if each is None else _whole(each) for each in (entry.start, entry.stop))
    start, stop = (_near(end) if isinstance(end, int) else end for end in ends)
    if step < 0:
        # Backwards all counts from the other end: x[a:b:-1] is flip(x)[-1 - a : -1 - b].
        extent = node.shape[axis]
        node = ir.flip(node, axes=(axis,))
        start, stop = (_mirrored(each, extent) for each in (start, stop))
    if start is None and stop is None and abs(step) == 1:
        return node
    return part_of(node, axis, *bounds(node, axis, start, stop), abs(_near(step)))


def _near(place: int) -> int:
    """A place, or a step, beyond the end of any axis stands for any other there."""
    return max(-_FARTHEST, min(place, _FARTHEST))


def _whole(value: Any) -> Size:
    if isinstance(value, Dim):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise UsageTypeError(
        f"x[...]: expected slices of integers; received {value!r}. Where only the data tell where "
        "a slice begins, take ops.take(x, start + ops.arange(n), axis)"
    )


def _mirrored(bound: Size | None, extent: Size) -> Size | None:
    if bound is None:
        return None
    return -1 - bound if isinstance(bound, int) else extent - 1 - bound


def bounds(node: Node, axis: int, start: Size | None, stop: Size | None) -> tuple[Size, Size]:
    """Where a slice begins and ends, counted from the front and cut to the axis.

    Of a batch the sizes are expressions that hold for every size. Along other axes of unknown size
    what is known of the slice's own size counts more: there the data must be long enough.
    """
    extent = node.shape[axis]
    if isinstance(extent, int) or symbols_of(extent) <= {"N"} or active_scope().cuts_slices():
        low, high = _cut(start, 0, extent), _cut(stop, extent, extent)
        named = isinstance(start, Dim) or isinstance(stop, Dim)
        return low, high if named else larger(low, high)
    _require_uncut(node, axis, start, stop)
    low, high = _counted(start, 0, extent), _counted(stop, extent, extent)
    gap = high - low
    return low, low if isinstance(gap, int) and gap < 0 else high


def _require_uncut(node: Node, axis: int, start: Size | None, stop: Size | None) -> None:
    """Asks for known sizes where the end of an axis may cut a slice of a known size short."""
    first = start if isinstance(start, int) else 0
    last = stop if isinstance(stop, int) else 0
    if first < 0 < last:
        active_scope().require_sizes(
            f"what [{first}:{last}] takes of axis {axis} of shape {node.shape} depends on the sizes"
        )
    require_size(node, axis, max(-first, last))


def _counted(bound: Size | None, default: Size, extent: Size) -> Size:
    if bound is None:
        return default
    return extent + bound if isinstance(bound, int) and bound < 0 else bound


def _cut(bound: Size | None, default: Size, extent: Size) -> Size:
    if not isinstance(bound, int):
        return default if bound is None else bound
    if bound < 0:
        return larger(extent + bound, 0)
    return smaller(bound, extent)


def larger(left: Size, right: Size) -> Size:
    """The larger one of two sizes, where every symbol stands for 1 or more."""
    if _is_certain(left - right):
        return left
    return right if _is_certain(right - left) else maximum(left, right)


def smaller(left: Size, right: Size) -> Size:
    """The smaller one of two sizes, where every symbol stands for 1 or more."""
    return left + right - larger(left, right)


def _is_certain(gap: Size) -> bool:
    more: dict[str, Size] = {name: symbol(name) + 1 for name in symbols_of(gap)}
    return is_never_negative(substitute(gap, more))
