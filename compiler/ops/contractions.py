"""Sums of products: matrix products and convolutions (channels last, HWIO kernels)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir import REQUIRED, Node, Op, Sample
from ..lowering import Composite, Contraction
from ..types import TensorType, broadcast_shapes
from .building import reshaped, sum_to
from .registry import ops, register
from .rules import same_size, want_float, want_number, want_rank, want_same_dtype
from .windowing import (
    Padding,
    Pairs,
    kernel_positions,
    pad_image,
    pad_node,
    read_position,
    read_position_node,
    resolve_padding,
    window_output,
)

Pair = tuple[int, int]

# matmul


def _matmul_type(x: TensorType, y: TensorType) -> TensorType:
    dtype = want_same_dtype(x, y)
    want_number(x)
    for operand in (x, y):
        if operand.rank == 0:
            raise ValueError(f"expected operands of rank 1 or more, got {x} and {y}; multiply")
    left = x.shape if x.rank > 1 else (1, *x.shape)
    right = y.shape if y.rank > 1 else (*y.shape, 1)
    if not same_size(left[-1], right[-2]):
        raise ValueError(f"expected {left[-1]} rows on the right, as {x} has columns; got {y}")
    batch = broadcast_shapes(left[:-2], right[:-2])
    rows, columns = left[-2:-1] if x.rank > 1 else (), right[-1:] if y.rank > 1 else ()
    return TensorType(dtype, (*batch, *rows, *columns))


def _swapped(node: Node) -> Node:
    rank = node.tensor_type.rank
    return ops.transpose(node, axes=(*range(rank - 2), rank - 1, rank - 2))


def _matmul_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    x, y = node.inputs
    left = x if x.tensor_type.rank > 1 else reshaped(x, (1, *x.shape))
    right = y if y.tensor_type.rank > 1 else reshaped(y, (*y.shape, 1))
    rows, columns = left.shape[-2], right.shape[-1]
    batch = broadcast_shapes(left.shape[:-2], right.shape[:-2])
    slope = reshaped(grad, (*batch, rows, columns))
    by_left = sum_to(ops.matmul(slope, _swapped(right)), left.shape)
    return reshaped(by_left, x.shape), reshaped(_by_right(left, right, slope), y.shape)


def _by_right(left: Node, right: Node, slope: Node) -> Node:
    if right.tensor_type.rank > 2:
        return sum_to(ops.matmul(_swapped(left), slope), right.shape)
    # One matrix for the whole batch: its rows are rows of one long product.
    long_left, long_slope = _rows(left), _rows(slope)
    return ops.matmul(_swapped(long_left), long_slope)


def _rows(node: Node) -> Node:
    rows: Size = 1
    for size in node.shape[:-1]:
        rows = rows * size
    return reshaped(node, (rows, node.shape[-1]))


matmul = register(
    Op(
        "matmul",
        _matmul_type,
        np.matmul,
        Contraction("matmul"),
        {},
        _matmul_gradient,
        (
            Sample(("f32[3, 4]", "f32[4, 5]")),
            Sample(("f32[2, 3, 4]", "f32[4, 5]")),
            Sample(("f32[2, 1, 3, 4]", "f32[3, 4, 2]")),
            Sample(("f32[4]", "f32[2, 4, 3]")),
            Sample(("f32[2, 3, 4]", "f32[4]")),
            Sample(("f32[4]", "f32[4]")),
        ),
        "The matrix product over the last two axes, others broadcast (numpy's rules).",
    )
)


# conv2d


def _conv_type(
    x: TensorType,
    kernel: TensorType,
    *,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> TensorType:
    dtype = want_same_dtype(x, kernel)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a kernel (height, width, channels / groups, filters)", kernel, 4)
    _check_channels(x, kernel, groups)
    window = known_window(kernel)
    spatial = window_output(x.shape[1:3], window, strides, dilation, padding)
    return TensorType(dtype, (x.shape[0], *spatial, kernel.shape[3]))


def known_window(kernel: TensorType) -> tuple[int, ...]:
    """Height and width of a kernel; raises ``ValueError`` where they are symbolic."""
    sizes = kernel.shape[:2]
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"expected a kernel of known height and width, got {kernel}")
    return tuple(size for size in sizes if isinstance(size, int))


def _check_channels(x: TensorType, kernel: TensorType, groups: int) -> None:
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"expected groups of 1 or more, got {groups!r}")
    takes = kernel.shape[2] * groups
    if not same_size(takes, x.shape[3]):
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"the kernel {kernel} takes {takes} channels{in_groups}, the input has {x.shape[3]}"
        )
    filters = kernel.shape[3]
    if isinstance(filters, int) and filters % groups:
        raise ValueError(f"expected filters in {groups} equal groups, the kernel has {filters}")


def _conv2d(
    x: Any, kernel: Any, *, strides: Pair, padding: Padding, dilation: Pair, groups: int
) -> Any:
    window, spatial = kernel.shape[:2], x.shape[1:3]
    pairs = resolve_padding(spatial, window, strides, dilation, padding)
    places = window_output(spatial, window, strides, dilation, padding)
    padded = pad_image(x, pairs, 0)
    result = np.zeros((x.shape[0], *places, kernel.shape[3]), x.dtype)
    for at in kernel_positions(window):
        seen = read_position(padded, at, strides, dilation, places)
        result += _grouped_product(seen, kernel[at], groups)
    return result


def _grouped_product(x: Any, matrix: Any, groups: int) -> Any:
    """``x (..., C)`` times ``matrix (C / groups, F)``, group by group."""
    if groups == 1:
        return x @ matrix
    lead, channels = x.shape[:-1], matrix.shape[0]
    parts = np.moveaxis(x.reshape(-1, groups, channels), 1, 0)
    matrices = np.moveaxis(matrix.reshape(channels, groups, -1), 1, 0)
    return np.moveaxis(parts @ matrices, 0, 1).reshape(*lead, -1)


def _conv_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    x, kernel = node.inputs
    attrs = node.attrs
    pairs = _pairs(node)
    by_x = transposed_convolution(
        grad,
        swap_filters(kernel, attrs["groups"]),
        x.shape[1:3],
        pairs,
        attrs["strides"],
        attrs["dilation"],
        attrs["groups"],
    )
    by_kernel = ops.conv2d_kernel_gradient(
        x,
        grad,
        window=kernel.shape[:2],
        strides=attrs["strides"],
        padding=pairs,
        dilation=attrs["dilation"],
        groups=attrs["groups"],
    )
    return by_x, by_kernel


def _pairs(node: Node) -> Pairs:
    attrs, (x, kernel) = node.attrs, node.inputs
    window = known_window(kernel.tensor_type)
    return resolve_padding(
        x.shape[1:3], window, attrs["strides"], attrs["dilation"], attrs["padding"]
    )


def swap_filters(kernel: Node, groups: int) -> Node:
    """A kernel (h, w, C / groups, F) as (h, w, F / groups, C): what leads back, group by group."""
    height, width, channels, filters = kernel.shape
    if groups == 1:
        return ops.transpose(kernel, axes=(0, 1, 3, 2))
    split = reshaped(kernel, (height, width, channels, groups, filters // groups))
    swapped = ops.transpose(split, axes=(0, 1, 4, 3, 2))
    return reshaped(swapped, (height, width, filters // groups, groups * channels))


def transposed_convolution(
    grad: Node,
    kernel: Node,
    spatial: tuple[Size, ...],
    pairs: Pairs,
    strides: Pair,
    dilation: Pair,
    groups: int,
) -> Node:
    """Spreads ``grad`` over the windows it was computed from: an image of ``spatial`` sizes.

    ``pairs`` is the padding of the convolution that is led back. Its ``kernel``, swapped, slides
    backwards over ``grad``, between whose elements stand stride - 1 zeros.
    """
    low, high = [], []
    rows = zip(spatial, grad.shape[1:3], pairs, kernel.shape[:2], strides, dilation, strict=True)
    for size, positions, (before, _), window, stride, gap in rows:
        reach = (window - 1) * gap
        first = reach - before
        low.append(first)
        high.append(size + reach - first - ((positions - 1) * stride + 1))
    spread = grad
    interior = tuple(stride - 1 for stride in strides)
    if any(n != 0 for n in (*low, *high, *interior)):
        spread = ops.pad(grad, low=(0, *low, 0), high=(0, *high, 0), interior=(0, *interior, 0))
    backwards = kernel if kernel.shape[:2] == (1, 1) else ops.flip(kernel, axes=(0, 1))
    return ops.conv2d(spread, backwards, dilation=dilation, groups=groups)


CONV_ATTRS = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1}

conv2d = register(
    Op(
        "conv2d",
        _conv_type,
        _conv2d,
        Contraction("conv2d"),
        CONV_ATTRS,
        _conv_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[3, 3, 3, 4]")),
            Sample(("f32[2, 5, 6, 3]", "f32[1, 1, 3, 4]")),
            Sample(("f32[1, 7, 6, 3]", "f32[3, 2, 3, 4]"), {"strides": (2, 2), "padding": "same"}),
            Sample(
                ("f32[1, 7, 8, 4]", "f32[3, 2, 2, 6]"),
                {"padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2},
            ),
            Sample(
                ("f32[1, 8, 8, 2]", "f32[2, 2, 2, 3]"),
                {"strides": (3, 3), "padding": ((2, 0), (0, 1))},
            ),
        ),
        "Convolution (correlation) of images (N, H, W, C) with a kernel (h, w, C / groups, F).",
    )
)


# The gradient by the kernel


def _kernel_gradient_type(
    x: TensorType,
    grad: TensorType,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> TensorType:
    dtype = want_same_dtype(x, grad)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    spatial = window_output(x.shape[1:3], window, strides, dilation, padding)
    if not all(map(same_size, grad.shape[:3], (x.shape[0], *spatial))):
        raise ValueError(f"expected a gradient of {x.shape[0]} images of {spatial}, got {grad}")
    return TensorType(dtype, (*window, x.shape[3] // groups, grad.shape[3]))


def _kernel_gradient(
    x: Any,
    grad: Any,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Any:
    pairs = resolve_padding(x.shape[1:3], window, strides, dilation, padding)
    padded = pad_image(x, pairs, 0)
    slopes = grad.reshape(-1, groups, grad.shape[3] // groups)
    found = []
    for at in kernel_positions(window):
        seen = read_position(padded, at, strides, dilation, grad.shape[1:3])
        rows = seen.reshape(-1, groups, x.shape[3] // groups)
        found.append(np.stack([rows[:, g].T @ slopes[:, g] for g in range(groups)], 1))
    return np.stack(found).reshape(*window, x.shape[3] // groups, grad.shape[3])


def _kernel_gradient_expand(node: Node) -> Node:
    """One matrix product per place in the window: what it saw, times the gradient."""
    x, grad = node.inputs
    attrs, window = node.attrs, node.attrs["window"]
    pairs = resolve_padding(
        x.shape[1:3], window, attrs["strides"], attrs["dilation"], attrs["padding"]
    )
    padded = pad_node(x, pairs, 0)
    found = []
    for at in kernel_positions(window):
        seen = read_position_node(padded, at, attrs["strides"], attrs["dilation"], grad.shape[1:3])
        product = _product_of_groups(_rows(seen), _rows(grad), attrs["groups"])
        found.append(reshaped(product, (1, *node.shape[2:])))
    joined = found[0] if len(found) == 1 else ops.concatenate(*found, axis=0)
    return reshaped(joined, node.shape)


def _product_of_groups(rows: Node, slopes: Node, groups: int) -> Node:
    """``(M, C)`` and ``(M, F)`` to ``(C / groups, F)``."""
    if groups == 1:
        return ops.matmul(ops.transpose(rows, axes=(1, 0)), slopes)
    count, channels, filters = rows.shape[0], rows.shape[1] // groups, slopes.shape[1] // groups
    left = ops.transpose(reshaped(rows, (count, groups, channels)), axes=(1, 2, 0))
    right = ops.transpose(reshaped(slopes, (count, groups, filters)), axes=(1, 0, 2))
    product = ops.transpose(ops.matmul(left, right), axes=(1, 0, 2))
    return reshaped(product, (channels, groups * filters))


def _kernel_gradient_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """Linear in both operands: the same convolution led on, once either way."""
    x, slope = node.inputs
    attrs = {k: v for k, v in node.attrs.items() if k != "window"}
    forward = ops.conv2d(x, grad, **attrs)
    assert forward.type == slope.type
    by_x, _ = _conv_gradient(forward, slope)
    return by_x, forward


conv2d_kernel_gradient = register(
    Op(
        "conv2d_kernel_gradient",
        _kernel_gradient_type,
        _kernel_gradient,
        Composite(_kernel_gradient_expand),
        {"window": REQUIRED, **CONV_ATTRS},
        _kernel_gradient_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[2, 3, 4, 4]"), {"window": (3, 3)}),
            Sample(
                ("f32[1, 7, 6, 4]", "f32[1, 4, 3, 6]"),
                {"window": (3, 2), "strides": (2, 2), "padding": "same", "groups": 2},
            ),
        ),
        "From x and the gradient of conv2d's result: the gradient of its kernel.",
    )
)
