"""Depthwise convolution: each channel has its own filters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.graph import Node, Op, Sample
from ..ir.kinds import Window
from ..ir.types import TensorType
from .contractions import known_window, transposed_convolution
from .registry import ops, register
from .rules import same_size, want_float, want_rank, want_same_dtype
from .windowing import (
    Padding,
    kernel_positions,
    pad_image,
    read_position,
    resolve_padding,
    window_orders,
    window_output,
)

Pair = tuple[int, int]

# depthwise_conv2d


def _depthwise_type(
    x: TensorType, kernel: TensorType, *, strides: Pair, padding: Padding, dilation: Pair
) -> TensorType:
    dtype = want_same_dtype(x, kernel)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a kernel (height, width, channels, multiplier)", kernel, 4)
    window = known_window(kernel)
    channels, multiplier = kernel.shape[2:]
    if not same_size(channels, x.shape[3]):
        raise ValueError(f"the kernel takes {channels} channels, the input has {x.shape[3]}")
    spatial = window_output(x.shape[1:3], window, strides, dilation, padding)
    return TensorType(dtype, (x.shape[0], *spatial, channels * multiplier))


def _depthwise(x: Any, kernel: Any, *, strides: Pair, padding: Padding, dilation: Pair) -> Any:
    window, spatial = kernel.shape[:2], x.shape[1:3]
    pairs = resolve_padding(spatial, window, strides, dilation, padding)
    places = window_output(spatial, window, strides, dilation, padding)
    padded = pad_image(x, pairs, 0)
    result = np.zeros((x.shape[0], *places, *kernel.shape[2:]), x.dtype)
    for at in kernel_positions(window):
        seen = read_position(padded, at, strides, dilation, places)
        result += seen[..., None] * kernel[at]
    return result.reshape(*result.shape[:3], -1)


def depthwise_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """The gradients of a depthwise_conv2d by its image and its kernel."""
    x, kernel = node.inputs
    attrs = node.attrs
    window, channels = known_window(kernel.tensor_type), kernel.shape[2]
    assert isinstance(channels, int)
    pairs = resolve_padding(
        x.shape[1:3], window, attrs["strides"], attrs["dilation"], attrs["padding"]
    )
    # Channel c * multiplier + m of the result belongs to channel c: a group for each channel.
    grouped = ops.transpose(kernel, axes=(0, 1, 3, 2))
    by_x = transposed_convolution(
        grad,
        grouped,
        x.shape[1:3],
        pairs,
        attrs["strides"],
        attrs["dilation"],
        channels,
    )
    by_kernel = ops.depthwise_kernel_gradient(x, grad, window=window, **{**attrs, "padding": pairs})
    return by_x, by_kernel


DEPTHWISE_ATTRS = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1)}

depthwise_conv2d = register(
    Op(
        "depthwise_conv2d",
        _depthwise_type,
        _depthwise,
        Window("dot"),
        DEPTHWISE_ATTRS,
        depthwise_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[3, 3, 3, 1]")),
            Sample(("f32[1, 7, 6, 3]", "f32[3, 2, 3, 2]"), {"strides": (2, 2), "padding": "same"}),
            Sample(
                ("f32[1, 7, 6, 2]", "f32[3, 2, 2, 1]"),
                {"dilation": (2, 1), "padding": ((1, 0), (2, 1))},
            ),
        ),
        "Convolution of each channel with its own filters: channel c * multiplier + m is that of "
        "channel c with filter m.",
        window_orders,
    )
)
