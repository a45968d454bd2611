"""From images and the gradient of a convolution's result: the gradient of its kernel.

Each element is a sum over all positions in all images. With ``split=(images, lines)`` the sum is
split into partial sums, one for so many images and so many lines of positions in them; the result
then has an axis of partial sums in front. A program computes them one by one, while their operands
are in cache, or in parallel. Added up in order they give the same bits either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import REQUIRED, Node, Op, Order, Sample
from ..ir.kinds import KernelGradient
from ..ir.types import Shape, TensorType
from .contractions import CONV_ATTRS, conv_gradient
from .depthwise import DEPTHWISE_ATTRS, depthwise_gradient
from .registry import ops, register
from .rules import (
    equal_sizes,
    same_size,
    want_float,
    want_known,
    want_rank,
    want_same_dtype,
)
from .windowing import (
    Padding,
    kernel_positions,
    pad_image,
    read_position,
    resolve_padding,
    window_output,
)

Pair = tuple[int, int]
Split: TypeAlias = "Pair | None"


def split_counts(positions: Shape, split: Pair) -> tuple[Size, Size]:
    """The number of splits of images and of lines; ``positions`` is ``(images, lines, ...)``."""
    images, lines = split
    return (positions[0] + images - 1) // images, (positions[1] + lines - 1) // lines


def _checked_positions(
    x: TensorType,
    grad: TensorType,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
) -> None:
    want_same_dtype(x, grad)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a gradient (N, H, W, F)", grad, 4)
    want_known("images of channels", x, x.shape[3:])
    want_known("a gradient of channels", grad, grad.shape[3:])
    spatial = window_output(x.shape[1:3], window, strides, dilation, padding)
    if not all(map(same_size, grad.shape[:3], (x.shape[0], *spatial))):
        raise ValueError(f"expected a gradient of {x.shape[0]} images of {spatial}, got {grad}")


def _position_orders(node: Node) -> Iterator[Order]:
    """There is a gradient for each place of the window, and such places there are."""
    (x, grad), attrs = (operand.shape for operand in node.inputs), node.attrs
    options = (attrs[name] for name in ("window", "strides", "dilation", "padding"))
    positions = (x[0], *window_output(x[1:3], *options))
    yield from ((0, size) for size in positions)
    yield from equal_sizes(positions, grad)


def _with_splits(kernel: TensorType, grad: TensorType, split: Split) -> TensorType:
    if split is None:
        return kernel
    if (
        not isinstance(split, tuple)
        or len(split) != 2
        or not all(isinstance(n, int) and n > 0 for n in split)
    ):
        raise ValueError(f"expected a split of (images, lines), both 1 or more, got {split!r}")
    images, lines = split_counts(grad.shape, split)
    return kernel.with_shape((images * lines, *kernel.shape))


def _split_sums(
    x: Any, grad: Any, pairs: Any, attrs: dict[str, Any], sum_: Callable[..., Any]
) -> Any:
    """``sum_(seen, cotangents)`` of each place in the window, for all positions or each split."""
    padded = pad_image(x, pairs, 0)
    found = []
    for piece in _splits(grad.shape, attrs["split"]):
        cotangents = grad[piece]
        places = []
        for at in kernel_positions(attrs["window"]):
            seen = read_position(padded, at, attrs["strides"], attrs["dilation"], grad.shape[1:3])
            places.append(sum_(seen[piece], cotangents))
        found.append(np.stack(places).reshape(*attrs["window"], *places[0].shape))
    return found[0] if attrs["split"] is None else np.array(found, x.dtype)


def _splits(positions: Sequence[int], split: Split) -> Iterator[tuple[slice, slice]]:
    """The images and lines of each split, in order."""
    if split is None:
        yield slice(None), slice(None)
        return
    for image in range(0, positions[0], split[0]):
        for line in range(0, positions[1], split[1]):
            yield slice(image, image + split[0]), slice(line, line + split[1])


# conv2d


def _conv_type(
    x: TensorType,
    grad: TensorType,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    split: Split,
) -> TensorType:
    _checked_positions(x, grad, window, strides, padding, dilation)
    if groups < 1:
        raise ValueError(f"expected groups of 1 or more, got {groups}")
    kernel = x.with_shape((*window, x.shape[3] // groups, grad.shape[3]))
    return _with_splits(kernel, grad, split)


def _conv_kernel_gradient(x: Any, grad: Any, **attrs: Any) -> Any:
    pairs = resolve_padding(
        x.shape[1:3], attrs["window"], attrs["strides"], attrs["dilation"], attrs["padding"]
    )
    groups = attrs["groups"]

    def sum_(seen: Any, cotangents: Any) -> Any:
        *lead, channels = seen.shape
        filters, positions = cotangents.shape[3], math.prod(lead)
        rows = seen.reshape(positions, groups, channels // groups)
        cotangents = cotangents.reshape(positions, groups, filters // groups)
        products = np.stack([rows[:, g].T @ cotangents[:, g] for g in range(groups)], 1)
        return products.reshape(channels // groups, filters)

    return _split_sums(x, grad, pairs, attrs, sum_)


def _conv_second_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """Linear in both operands: the gradients are the same convolution, by each operand."""
    x, cotangent = node.inputs
    forward = ops.conv2d(x, grad, **_forward_attrs(node))
    assert forward.type == cotangent.type
    by_x, _ = conv_gradient(forward, cotangent)
    return by_x, forward


def _forward_attrs(node: Node) -> dict[str, Any]:
    """The attributes of the convolution."""
    assert node.attrs["split"] is None, "sums are split after differentiation"
    return {k: v for k, v in node.attrs.items() if k not in ("window", "split")}


conv2d_kernel_gradient = register(
    Op(
        "conv2d_kernel_gradient",
        _conv_type,
        _conv_kernel_gradient,
        KernelGradient("conv2d"),
        {"window": REQUIRED, **CONV_ATTRS, "split": None},
        _conv_second_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[2, 3, 4, 4]"), {"window": (3, 3)}),
            Sample(("f32[2, 5, 6, 3]", "f32[2, 5, 6, 4]"), {"window": (1, 1)}),
            Sample(
                ("f32[1, 7, 6, 4]", "f32[1, 4, 3, 6]"),
                {"window": (3, 2), "strides": (2, 2), "padding": "same", "groups": 2},
            ),
            Sample(
                ("f32[2, 9, 8, 3]", "f32[2, 6, 4, 5]"),
                {"window": (2, 3), "padding": ((0, 0), (1, 1)), "dilation": (3, 3)},
            ),
        ),
        "From x and the gradient of conv2d's result: the gradient of its kernel.",
        _position_orders,
    )
)


# depthwise_conv2d


def _depthwise_type(
    x: TensorType,
    grad: TensorType,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    split: Split,
) -> TensorType:
    _checked_positions(x, grad, window, strides, padding, dilation)
    channels, results = x.shape[3], grad.shape[3]
    if (
        not (isinstance(channels, int) and isinstance(results, int))
        or channels < 1
        or results % channels
    ):
        raise ValueError(f"expected a known multiple of {channels} channels, got {grad}")
    kernel = x.with_shape((*window, channels, results // channels))
    return _with_splits(kernel, grad, split)


def _depthwise_kernel_gradient(x: Any, grad: Any, **attrs: Any) -> Any:
    pairs = resolve_padding(
        x.shape[1:3], attrs["window"], attrs["strides"], attrs["dilation"], attrs["padding"]
    )

    def sum_(seen: Any, cotangents: Any) -> Any:
        return np.sum(
            seen[..., None]
            * cotangents.reshape(*seen.shape, cotangents.shape[3] // max(1, seen.shape[3])),
            (0, 1, 2),
        )

    return _split_sums(x, grad, pairs, attrs, sum_)


def _depthwise_second_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    x, cotangent = node.inputs
    forward = ops.depthwise_conv2d(x, grad, **_forward_attrs(node))
    by_x, _ = depthwise_gradient(forward, cotangent)
    return by_x, forward


depthwise_kernel_gradient = register(
    Op(
        "depthwise_kernel_gradient",
        _depthwise_type,
        _depthwise_kernel_gradient,
        KernelGradient("depthwise_conv2d"),
        {"window": REQUIRED, **DEPTHWISE_ATTRS, "split": None},
        _depthwise_second_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[2, 3, 4, 3]"), {"window": (3, 3)}),
            Sample(
                ("f32[1, 7, 6, 3]", "f32[1, 4, 3, 6]"),
                {"window": (3, 2), "strides": (2, 2), "padding": "same"},
            ),
            Sample(
                ("f32[3, 7, 6, 3]", "f32[3, 5, 4, 3]"),
                {"window": (2, 3), "dilation": (2, 1)},
            ),
        ),
        "From x and the gradient of depthwise_conv2d's result: the gradient of its kernel.",
        _position_orders,
    )
)
