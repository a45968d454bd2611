"""Sums of products: matrix products and convolutions (channels last, HWIO kernels)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import Node, Op, Order, Sample
from ..ir.kinds import Contraction
from ..ir.types import TensorType, broadcast_shapes, product
from .building import reshaped, sum_to
from .registry import ops, register
from .rules import (
    equal_sizes,
    same_size,
    want_float,
    want_known,
    want_number,
    want_rank,
    want_same_dtype,
)
from .windowing import (
    Padding,
    Pairs,
    kernel_positions,
    pad_image,
    read_position,
    resolve_padding,
    window_orders,
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
    cotangent = reshaped(grad, (*batch, rows, columns))
    by_left = sum_to(ops.matmul(cotangent, _swapped(right)), left.shape)
    return reshaped(by_left, x.shape), reshaped(_by_right(left, right, cotangent), y.shape)


def _by_right(left: Node, right: Node, cotangent: Node) -> Node:
    if right.tensor_type.rank > 2:
        return sum_to(ops.matmul(_swapped(left), cotangent), right.shape)
    # One matrix for the whole batch: its rows are rows of one long product.
    long_left, long_cotangent = _rows(left), _rows(cotangent)
    return ops.matmul(_swapped(long_left), long_cotangent)


def _rows(node: Node) -> Node:
    return reshaped(node, (product(node.shape[:-1]), node.shape[-1]))


def _matmul_orders(node: Node) -> Iterator[Order]:
    left, right = (operand.shape for operand in node.inputs)
    return equal_sizes(left[-1:], right[-2:-1] or right)


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
        _matmul_orders,
    )
)


# transposed_matmul


def _transposed_type(x: TensorType, y: TensorType, *, split: int | None) -> TensorType:
    dtype = want_same_dtype(x, y)
    want_number(x)
    same = x.rank == y.rank >= 2 and all(map(same_size, x.shape[:-1], y.shape[:-1]))
    if not same:
        raise ValueError(f"expected equal batches of as many rows, got {x} and {y}")
    columns = (x.shape[-1], y.shape[-1])
    if split is None:
        return TensorType(dtype, (*x.shape[:-2], *columns))
    if not isinstance(split, int) or split < 1 or x.rank != 2:
        raise ValueError(
            f"expected a split of 1 or more rows of two matrices, got {split!r} of {x}"
        )
    return TensorType(dtype, ((x.shape[0] + split - 1) // split, *columns))


def _transposed(x: Any, y: Any, *, split: int | None) -> Any:
    transposed = np.swapaxes(x, -1, -2)
    if split is None:
        return np.matmul(transposed, y)
    starts = range(0, x.shape[0], split)
    sums = [transposed[:, i : i + split] @ y[i : i + split] for i in starts]
    return np.array(sums, x.dtype).reshape(-1, x.shape[1], y.shape[1])


def _transposed_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    assert node.attrs["split"] is None, "sums are split after differentiation"
    x, y = node.inputs
    return ops.matmul(y, _swapped(grad)), ops.matmul(x, grad)


def _transposed_orders(node: Node) -> Iterator[Order]:
    left, right = (operand.shape for operand in node.inputs)
    return equal_sizes(left[-2:-1], right[-2:-1])


transposed_matmul = register(
    Op(
        "transposed_matmul",
        _transposed_type,
        _transposed,
        Contraction("transposed_matmul"),
        {"split": None},
        _transposed_gradient,
        (
            Sample(("f32[7, 3]", "f32[7, 5]")),
            Sample(("f32[2, 3, 9, 17]", "f32[2, 3, 9, 4]")),
            Sample(("f32[50, 40]", "f32[50, 33]")),
        ),
        "The matrix product of x transposed and y: products of their rows, summed. With "
        "``split``, one partial sum for each so many rows, along an axis in front.",
        _transposed_orders,
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
    """Height and width of a kernel; raises ``ValueError`` where one of its sizes is symbolic."""
    want_known("a kernel", kernel, kernel.shape)
    return tuple(size for size in kernel.shape[:2] if isinstance(size, int))


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
    lead, (channels, filters) = x.shape[:-1], matrix.shape
    parts = np.moveaxis(x.reshape(math.prod(lead), groups, channels), 1, 0)
    matrices = np.moveaxis(matrix.reshape(channels, groups, filters // groups), 1, 0)
    return np.moveaxis(parts @ matrices, 0, 1).reshape(*lead, filters)


def conv_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """The gradients of a conv2d by its image and its kernel."""
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
    """A kernel (h, w, C / groups, F) as (h, w, F / groups, C): its transpose, group by group."""
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

    ``pairs`` is the padding of the convolution that this is the gradient of. Its ``kernel``,
    swapped, slides backwards over ``grad``, between whose elements stand stride - 1 zeros.
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
        conv_gradient,
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
        window_orders,
    )
)
