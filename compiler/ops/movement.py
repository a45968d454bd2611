"""Ops that move elements without computing: views, transposition, slices, padding, repetition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...runtime.dim import Size, is_bounded, maximum
from ..ir.graph import REQUIRED, Node, Op, Order, Sample
from ..ir.kinds import AxisMap, IndexMap, Movement, View
from ..ir.types import BOOL, Shape, TensorType, broadcast_shapes
from .building import reshaped, sum_to
from .registry import ops, register
from .rules import normal_axes, per_axis


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


# reshape


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise ValueError(f"expected sizes of 0 or more, got shape {_text(shape)}")
    result = x.with_shape(shape)
    if result.elements != x.elements:
        raise ValueError(
            f"expected a shape of {x.elements} elements, as {x} has; "
            f"{_text(shape)} has {result.elements}"
        )
    return result


def _reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    return np.reshape(x, shape)


def _reshape_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (ops.reshape(grad, shape=node.inputs[0].shape),)


reshape = register(
    Op(
        "reshape",
        _reshape_type,
        _reshape,
        View(),
        {"shape": REQUIRED},
        _reshape_gradient,
        (Sample(("f32[3, 4]",), {"shape": (2, 6)}), Sample(("f32[1]",), {"shape": ()})),
        "The same elements in row-major order under another shape.",
    )
)


# transpose


def _transpose_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    per_axis("axes", axes, x.rank)
    return x.with_shape(tuple(x.shape[axis] for axis in normal_axes(axes, x.rank)))


def _transpose(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.transpose(x, axes)


def _inverse(node: Node) -> tuple[int, ...]:
    axes = normal_axes(node.attrs["axes"], node.tensor_type.rank)
    return tuple(axes.index(axis) for axis in range(len(axes)))


def _transpose_map(node: Node) -> IndexMap:
    return IndexMap(tuple(AxisMap(axis) for axis in _inverse(node)))


def _transpose_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (ops.transpose(grad, axes=_inverse(node)),)


transpose = register(
    Op(
        "transpose",
        _transpose_type,
        _transpose,
        Movement(_transpose_map),
        {"axes": REQUIRED},
        _transpose_gradient,
        (Sample(("f32[3, 4, 2]",), {"axes": (2, 0, 1)}),),
        "Axis i of the result is axis axes[i] of x.",
    )
)


# broadcast_to


def _broadcast_type(x: TensorType, *, shape: Shape) -> TensorType:
    if len(shape) < x.rank or broadcast_shapes(x.shape, shape) != tuple(shape):
        raise ValueError(f"expected a shape that {x} broadcasts to, got {_text(shape)}")
    return x.with_shape(shape)


def _broadcast_to(x: Any, *, shape: tuple[int, ...]) -> Any:
    return np.broadcast_to(x, shape)


def _broadcast_map(node: Node) -> IndexMap:
    extra = node.tensor_type.rank - node.inputs[0].tensor_type.rank
    sizes = enumerate(node.inputs[0].shape)
    return IndexMap(tuple(AxisMap(None if size == 1 else extra + axis) for axis, size in sizes))


def _broadcast_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (sum_to(grad, node.inputs[0].shape),)


broadcast_to = register(
    Op(
        "broadcast_to",
        _broadcast_type,
        _broadcast_to,
        Movement(_broadcast_map),
        {"shape": REQUIRED},
        _broadcast_gradient,
        (
            Sample(("f32[3, 1]",), {"shape": (2, 3, 4)}),
            Sample(("f32[]",), {"shape": (2, 3)}),
        ),
        "x repeated along new axes in front and axes of size 1.",
    )
)


# slice


def _slice_type(x: TensorType, *, start: Shape, stop: Shape, step: tuple[int, ...]) -> TensorType:
    for name, values in (("start", start), ("stop", stop), ("step", step)):
        per_axis(name, values, x.rank)
    rows = zip(x.shape, start, stop, step, strict=True)
    return x.with_shape(tuple(_sliced(axis, *row) for axis, row in enumerate(rows)))


def _sliced(axis: int, size: Size, start: Size, stop: Size, step: int) -> Size:
    if not isinstance(step, int) or step < 1:
        raise ValueError(f"expected steps of 1 or more, got {step!r} on axis {axis}; flip instead")
    pairs = ((0, start), (start, stop), (stop, size))
    if any(isinstance(gap := high - low, int) and gap < 0 for low, high in pairs):
        raise ValueError(
            f"expected 0 <= start <= stop <= {size} on axis {axis}, got {start} and {stop}"
        )
    return (stop - start + (step - 1)) // step


def _slice(x: Any, *, start: Shape, stop: Shape, step: tuple[int, ...]) -> Any:
    return x[tuple(map(slice, start, stop, step))]


def _slice_map(node: Node) -> IndexMap:
    pairs = zip(node.attrs["step"], node.attrs["start"], strict=True)
    return IndexMap(tuple(AxisMap(axis, step, at) for axis, (step, at) in enumerate(pairs)))


def _slice_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    start, step = node.attrs["start"], node.attrs["step"]
    rows = zip(node.inputs[0].shape, start, step, node.shape, strict=True)
    high = tuple(size - at - _padded(n, 0, 0, gap - 1) for size, at, gap, n in rows)
    return (ops.pad(grad, low=start, high=high, interior=tuple(gap - 1 for gap in step)),)


def _slice_orders(node: Node) -> Iterator[Order]:
    rows = zip(node.attrs["start"], node.attrs["stop"], node.inputs[0].shape, strict=True)
    for start, stop, size in rows:
        yield from ((0, start), (start, stop), (stop, size))


slice_ = register(
    Op(
        "slice",
        _slice_type,
        _slice,
        Movement(_slice_map),
        {"start": REQUIRED, "stop": REQUIRED, "step": REQUIRED},
        _slice_gradient,
        (
            Sample(("f32[5, 6]",), {"start": (1, 0), "stop": (4, 6), "step": (1, 1)}),
            Sample(("f32[5, 6]",), {"start": (0, 1), "stop": (5, 6), "step": (2, 3)}),
        ),
        "Every step'th element from start up to (not with) stop, on each axis.",
        _slice_orders,
    )
)


# pad


def _pad_type(
    x: TensorType, *, low: Shape, high: Shape, interior: tuple[int, ...], value: float
) -> TensorType:
    if not (x.dtype.is_float or x.dtype is BOOL or _is_held(value, np.iinfo(x.dtype.numpy))):
        raise ValueError(f"value: expected a number that {x.dtype.name} holds, got {value!r}")
    inner = interior or (0,) * x.rank
    for name, values in (("low", low), ("high", high), ("interior", inner)):
        per_axis(name, values, x.rank)
    if any(not isinstance(gap, int) or gap < 0 for gap in inner):
        raise ValueError(f"expected interior padding of 0 or more, got {interior!r}")
    shape = tuple(_padded(*row) for row in zip(x.shape, low, high, inner, strict=True))
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise ValueError(f"padding low={low} and high={high} takes more than {x} has")
    return x.with_shape(shape)


def _is_held(value: float, limits: np.iinfo[Any]) -> bool:
    return limits.min <= value <= limits.max


def _padded(size: Size, low: Size, high: Size, gap: int) -> Size:
    spread = 0 if size == 0 else (size - 1) * (gap + 1) + 1
    if gap and is_bounded(size):  # such a size may be 0
        spread = maximum(spread, 0)
    return low + spread + high


def _pad(
    x: Any, *, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...], value: float
) -> Any:
    inner = interior or (0,) * x.ndim
    shape: Any = tuple(map(_padded, x.shape, low, high, inner))
    result = np.full(shape, value, x.dtype)
    source, target = [], []
    for n, a, gap, total in zip(x.shape, low, inner, shape, strict=True):
        step = gap + 1
        first = max(0, -(a // step))  # elements pushed out below by a negative low
        last = min(n, (total - 1 - a) // step + 1)
        source.append(slice(first, max(last, first)))
        target.append(slice(a + first * step, max(a + last * step - gap, a + first * step), step))
    result[tuple(target)] = x[tuple(source)]
    return result


def _pad_map(node: Node) -> IndexMap:
    low = node.attrs["low"]
    interior = node.attrs["interior"] or (0,) * len(low)
    axes = (
        AxisMap(axis, 1, -before, gap + 1, gap > 0)
        for axis, (before, gap) in enumerate(zip(low, interior, strict=True))
    )
    return IndexMap(tuple(axes), float(node.attrs["value"]))


def _pad_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """The elements are read back: the padding is cropped off, then every (gap + 1)th is taken."""
    low, high = node.attrs["low"], node.attrs["high"]
    interior = node.attrs["interior"] or (0,) * len(low)
    back = ops.pad(grad, low=tuple(-n for n in low), high=tuple(-n for n in high))
    zeros = (0,) * len(low)
    step = tuple(gap + 1 for gap in interior)
    return (ops.slice(back, start=zeros, stop=back.shape, step=step),)


pad = register(
    Op(
        "pad",
        _pad_type,
        _pad,
        Movement(_pad_map),
        {"low": REQUIRED, "high": REQUIRED, "interior": (), "value": 0.0},
        _pad_gradient,
        (
            Sample(("f32[3, 4]",), {"low": (1, 0), "high": (2, 3), "value": 1.5}),
            Sample(("f32[3, 4]",), {"low": (0, 2), "high": (1, 0), "interior": (1, 2)}),
            Sample(("f32[5, 4]",), {"low": (-1, 1), "high": (2, -2)}),
            Sample(("f32[4, 4]",), {"low": (-1, -3), "high": (-1, 1), "interior": (1, 1)}),
        ),
        "x with ``value`` before, after and (``interior`` times) between its elements; "
        "negative numbers crop.",
    )
)


# flip


def _flip_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    normal_axes(axes, x.rank)
    return x


def _flip(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.flip(x, axes)


def _flip_map(node: Node) -> IndexMap:
    flipped = normal_axes(node.attrs["axes"], node.tensor_type.rank)
    return IndexMap(
        tuple(
            AxisMap(axis, -1, size - 1) if axis in flipped else AxisMap(axis)
            for axis, size in enumerate(node.shape)
        )
    )


flip = register(
    Op(
        "flip",
        _flip_type,
        _flip,
        Movement(_flip_map),
        {"axes": REQUIRED},
        lambda node, grad: (ops.flip(grad, axes=node.attrs["axes"]),),
        (Sample(("f32[3, 4, 2]",), {"axes": (0, 2)}),),
        "x backwards along some axes.",
    )
)


# repeat


def _repeat_type(x: TensorType, *, factors: tuple[int, ...]) -> TensorType:
    per_axis("factors", factors, x.rank)
    if any(not isinstance(factor, int) or factor < 1 for factor in factors):
        raise ValueError(f"expected factors of 1 or more, got {factors!r}")
    return x.with_shape(tuple(n * factor for n, factor in zip(x.shape, factors, strict=True)))


def _repeat(x: Any, *, factors: tuple[int, ...]) -> Any:
    for axis, factor in enumerate(factors):
        x = np.repeat(x, factor, axis)
    return x


def _repeat_map(node: Node) -> IndexMap:
    factors = enumerate(node.attrs["factors"])
    return IndexMap(tuple(AxisMap(axis, divisor=factor) for axis, factor in factors))


def _repeat_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    factors = node.attrs["factors"]
    pairs = zip(node.inputs[0].shape, factors, strict=True)
    split = reshaped(grad, [size for pair in pairs for size in pair])
    return (ops.sum(split, axes=tuple(range(1, 2 * len(factors), 2))),)


repeat = register(
    Op(
        "repeat",
        _repeat_type,
        _repeat,
        Movement(_repeat_map),
        {"factors": REQUIRED},
        _repeat_gradient,
        (Sample(("f32[3, 4]",), {"factors": (2, 3)}),),
        "Each element ``factors[axis]`` times in a row: upsampling to the nearest.",
    )
)
