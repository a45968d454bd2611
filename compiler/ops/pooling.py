"""Pooling: the largest element or the mean of windows that slide over images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import REQUIRED, Node, Op, Order, Sample
from ..ir.kinds import Window, WindowGradient
from ..ir.types import BOOL, Shape, TensorType
from .building import full, number
from .registry import ops, register
from .rules import equal_sizes, same_size, want_float, want_rank, want_same_dtype
from .windowing import (
    Padding,
    Pairs,
    kernel_positions,
    pad_image,
    pad_node,
    read_position,
    read_position_node,
    resolve_padding,
    window_orders,
    window_output,
    write_position_node,
)

Pair = tuple[int, int]
ONE = (1, 1)
POOL_ATTRS = {"window": REQUIRED, "strides": REQUIRED, "padding": "valid"}
POOL_SAMPLES = (
    {"window": (2, 2), "strides": (2, 2)},
    {"window": (3, 2), "strides": (2, 1), "padding": "same"},
    {"window": (2, 3), "strides": (1, 2), "padding": ((1, 0), (1, 2))},
)


def _pool_samples(*more: Callable[[dict[str, Any]], str]) -> tuple[Sample, ...]:
    image = "f32[2, 5, 6, 3]"
    return tuple(Sample((image, *(of(attrs) for of in more)), attrs) for attrs in POOL_SAMPLES)


def _pooled_text(attrs: dict[str, Any]) -> str:
    rest = (attrs["window"], attrs["strides"], ONE, attrs.get("padding", "valid"))
    height, width = window_output((5, 6), *rest)
    return f"f32[2, {height}, {width}, 3]"


def _pool_shape(x: TensorType, window: Pair, strides: Pair, padding: Padding) -> Shape:
    want_rank("images (N, H, W, C)", x, 4)
    spatial = window_output(x.shape[1:3], window, strides, ONE, padding)
    pairs = resolve_padding(x.shape[1:3], window, strides, ONE, padding)
    for (before, after), size in zip(pairs, window, strict=True):
        if any(isinstance(side, int) and side >= size for side in (before, after)):
            raise ValueError(f"padding {pairs} leaves windows of {window} outside the image")
    return (x.shape[0], *spatial, x.shape[3])


def _views(x: Any, window: Pair, strides: Pair, padding: Padding, value: float) -> Iterator[Any]:
    """What the windows see, one array per place in the window."""
    spatial = x.shape[1:3]
    pairs = resolve_padding(spatial, window, strides, ONE, padding)
    places = window_output(spatial, window, strides, ONE, padding)
    padded = pad_image(x, pairs, value)
    for at in kernel_positions(window):
        yield read_position(padded, at, strides, ONE, places)


def _pool_pairs(x: Node, attrs: dict[str, Any]) -> Pairs:
    return resolve_padding(x.shape[1:3], attrs["window"], attrs["strides"], ONE, attrs["padding"])


# max_pool2d


def _max_pool_type(x: TensorType, *, window: Pair, strides: Pair, padding: Padding) -> TensorType:
    want_float(x)
    return x.with_shape(_pool_shape(x, window, strides, padding))


def _max_pool(x: Any, *, window: Pair, strides: Pair, padding: Padding) -> Any:
    views = _views(x, window, strides, padding, -math.inf)
    result = next(views).copy()
    for view in views:
        np.maximum(result, view, out=result)
    return result


def _max_pool_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (ops.max_pool2d_gradient(node.inputs[0], node, grad, **node.attrs),)


max_pool2d = register(
    Op(
        "max_pool2d",
        _max_pool_type,
        _max_pool,
        Window("maximum"),
        POOL_ATTRS,
        _max_pool_gradient,
        _pool_samples(),
        "The largest element of each window, channel by channel; padding never wins.",
        window_orders,
    )
)


def _max_pool_gradient_type(
    x: TensorType, y: TensorType, grad: TensorType, *, window: Pair, strides: Pair, padding: Padding
) -> TensorType:
    want_same_dtype(x, y, grad)
    expected = _max_pool_type(x, window=window, strides=strides, padding=padding)
    if (y, grad) != (expected, expected):
        raise ValueError(f"expected a result and a gradient of {expected}, got {y} and {grad}")
    return x


def _max_pool_gradient_value(
    x: Any, y: Any, grad: Any, *, window: Pair, strides: Pair, padding: Padding
) -> Any:
    pairs = resolve_padding(x.shape[1:3], window, strides, ONE, padding)
    result = np.zeros_like(pad_image(x, pairs, 0))
    taken = np.zeros(y.shape, bool)
    image, best = (np.where(np.isnan(each), each.dtype.type(math.inf), each) for each in (x, y))
    views = _views(image, window, strides, padding, math.nan)
    for at, view in zip(kernel_positions(window), views, strict=True):
        hit = (view >= best) & ~taken
        taken |= hit
        target = read_position(result, at, strides, ONE, y.shape[1:3])
        target += np.where(hit, grad, grad.dtype.type(0))
    height, width = x.shape[1:3]
    (top, _), (left, _) = pairs
    return result[:, top : top + height, left : left + width]


def _comparable(x: Node) -> Node:
    """x with infinity for NaN: equal to the largest of its window, as padding, a NaN, never is."""
    return ops.select(ops.is_nan(x), number(math.inf, x), x)


def _max_pool_gradient_expand(node: Node) -> Node:
    x, y, grad = node.inputs
    attrs, pairs = node.attrs, _pool_pairs(x, node.attrs)
    padded, best = pad_node(_comparable(x), pairs, math.nan), _comparable(y)
    zero = number(0, grad)
    taken: Node | None = None
    total: Node | None = None
    for at in kernel_positions(attrs["window"]):
        seen = read_position_node(padded, at, attrs["strides"], ONE, y.shape[1:3])
        hit = found = ops.greater_equal(seen, best)
        if taken is not None:
            hit = ops.logical_and(found, ops.logical_not(taken))
        taken = found if taken is None else ops.logical_or(taken, found)
        part = write_position_node(
            ops.select(hit, grad, zero), at, attrs["strides"], ONE, pairs, x.shape[1:3]
        )
        total = part if total is None else ops.add(total, part)
    assert total is not None
    return total


def _max_pool_second_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    """Linear in the gradient alone: it reads back what was written, window by window."""
    x, y, _ = node.inputs
    attrs, pairs = node.attrs, _pool_pairs(x, node.attrs)
    padded, back = pad_node(_comparable(x), pairs, math.nan), pad_node(grad, pairs, 0)
    best = _comparable(y)
    zero = number(0, grad)
    taken: Node = full(0, y.shape, BOOL)
    total: Node = full(0, y.shape, y.dtype)
    for at in kernel_positions(attrs["window"]):
        seen = read_position_node(padded, at, attrs["strides"], ONE, y.shape[1:3])
        found = ops.greater_equal(seen, best)
        hit = ops.logical_and(found, ops.logical_not(taken))
        taken = ops.logical_or(taken, found)
        read = read_position_node(back, at, attrs["strides"], ONE, y.shape[1:3])
        total = ops.add(total, ops.select(hit, read, zero))
    return None, None, total


max_pool2d_gradient = register(
    Op(
        "max_pool2d_gradient",
        _max_pool_gradient_type,
        _max_pool_gradient_value,
        WindowGradient("maximum", _max_pool_gradient_expand),
        POOL_ATTRS,
        _max_pool_second_gradient,
        _pool_samples(_pooled_text, _pooled_text),
        "From x, max_pool2d's result and its gradient: the gradient of x, where the first largest "
        "element of each window takes all; a NaN counts as infinite.",
    )
)


# avg_pool2d


def _avg_pool_type(x: TensorType, *, window: Pair, strides: Pair, padding: Padding) -> TensorType:
    want_float(x)
    return x.with_shape(_pool_shape(x, window, strides, padding))


def _avg_pool(x: Any, *, window: Pair, strides: Pair, padding: Padding) -> Any:
    views = _views(x, window, strides, padding, 0)
    ones = _views(np.ones((1, *x.shape[1:3], 1), x.dtype), window, strides, padding, 0)
    total, inside = next(views).copy(), next(ones).copy()
    for view, one in zip(views, ones, strict=True):
        total += view
        inside += one
    return total / inside


def _avg_pool_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    spatial = node.inputs[0].shape[1:3]
    return (ops.avg_pool2d_gradient(grad, spatial=spatial, **node.attrs),)


avg_pool2d = register(
    Op(
        "avg_pool2d",
        _avg_pool_type,
        _avg_pool,
        Window("mean"),
        POOL_ATTRS,
        _avg_pool_gradient,
        _pool_samples(),
        "The mean of each window, channel by channel, over its elements inside the image.",
        window_orders,
    )
)


def _avg_pool_gradient_type(
    grad: TensorType,
    *,
    spatial: tuple[Size, Size],
    window: Pair,
    strides: Pair,
    padding: Padding,
) -> TensorType:
    want_float(grad)
    want_rank("a gradient (N, H, W, C)", grad, 4)
    expected = window_output(spatial, window, strides, ONE, padding)
    if not all(map(same_size, grad.shape[1:3], expected)):
        raise ValueError(f"expected a gradient of {expected} positions, got {grad}")
    return grad.with_shape((grad.shape[0], *spatial, grad.shape[3]))


def _avg_pool_gradient_value(
    grad: Any, *, spatial: Pair, window: Pair, strides: Pair, padding: Padding
) -> Any:
    pairs = resolve_padding(spatial, window, strides, ONE, padding)
    images = np.zeros((grad.shape[0], *spatial, grad.shape[3]), grad.dtype)
    result = pad_image(images, pairs, 0).copy()
    inside = sum(_views(np.ones((1, *spatial, 1), grad.dtype), window, strides, padding, 0))
    for at in kernel_positions(window):
        target = read_position(result, at, strides, ONE, grad.shape[1:3])
        target += grad / inside
    (top, _), (left, _) = pairs
    return result[:, top : top + spatial[0], left : left + spatial[1]]


def _avg_pool_gradient_expand(node: Node) -> Node:
    (grad,), attrs = node.inputs, node.attrs
    spatial, window, strides = attrs["spatial"], attrs["window"], attrs["strides"]
    pairs = resolve_padding(spatial, window, strides, ONE, attrs["padding"])
    share = ops.divide(grad, _inside(grad, spatial, window, strides, pairs))
    total: Node | None = None
    for at in kernel_positions(window):
        part = write_position_node(share, at, strides, ONE, pairs, spatial)
        total = part if total is None else ops.add(total, part)
    assert total is not None
    return total


def _inside(
    grad: Node, spatial: tuple[Size, Size], window: Pair, strides: Pair, pairs: Pairs
) -> Node:
    """How many elements of each window lie inside the image: a number, or (1, H, W, 1)."""
    if all(pair == (0, 0) for pair in pairs):
        return number(window[0] * window[1], grad)
    ones = pad_node(full(1, (1, *spatial, 1), grad.dtype), pairs, 0)
    total: Node | None = None
    for at in kernel_positions(window):
        seen = read_position_node(ones, at, strides, ONE, grad.shape[1:3])
        total = seen if total is None else ops.add(total, seen)
    assert total is not None
    return total


def _avg_pool_second_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    attrs = {k: v for k, v in node.attrs.items() if k != "spatial"}
    return (ops.avg_pool2d(grad, **attrs),)


def _avg_pool_gradient_orders(node: Node) -> Iterator[Order]:
    attrs = node.attrs
    places = window_output(
        attrs["spatial"], attrs["window"], attrs["strides"], ONE, attrs["padding"]
    )
    return equal_sizes(node.inputs[0].shape[1:3], places)


avg_pool2d_gradient = register(
    Op(
        "avg_pool2d_gradient",
        _avg_pool_gradient_type,
        _avg_pool_gradient_value,
        WindowGradient("mean", _avg_pool_gradient_expand),
        {"spatial": REQUIRED, **POOL_ATTRS},
        _avg_pool_second_gradient,
        tuple(
            Sample((_pooled_text(attrs),), {"spatial": (5, 6), **attrs}) for attrs in POOL_SAMPLES
        ),
        "From the gradient of avg_pool2d's result: the gradient of its image, of ``spatial`` size.",
        _avg_pool_gradient_orders,
    )
)
