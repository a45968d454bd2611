"""Builds ``WindowSum`` kernels: gradients of depthwise filters, in parts."""

from __future__ import annotations

from ...runtime.host import host
from ..ir import Graph
from ..kernels import WindowSum
from ..layout import Launch, Placed
from ..lowering import KernelGradient
from ..ops.kernel_gradients import part_counts
from ..ops.windowing import resolve_padding
from .anchored import Sizes, match_anchored

ACCUMULATORS = 20  # beside them the registers hold what is read
MOST_COLUMNS = 4


def build_window_sum(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> tuple[Launch, ...]:
    """The launch for a ``depthwise_kernel_gradient`` in parts, one filter a channel."""
    group = match_anchored(body, operands, results, KernelGradient)
    assert group is not None, "kernel gradients of float32 are groups of their own"
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    images, lines, cols, channels = grad.type.shape
    image_parts, line_parts = part_counts(grad.type.shape, attrs["part"])
    assert isinstance(channels, int), "kernels have known channels"
    sizes: Sizes = [
        ("images", images),
        ("lines", lines),
        ("cols", cols),
        ("channels", channels),
        ("kys", kh),
        ("images_part", attrs["part"][0]),
        ("lines_part", attrs["part"][1]),
        ("image_parts", image_parts),
        ("line_parts", line_parts),
        ("x_image", image),
        ("x_row", row * sy),
        ("x_col", pixel * sx),
        ("x_ky", row * dy),
        ("x_pixel", pixel),
        *zip(("w_image", "w_row", "w_col"), grad.strides, strict=False),
    ]
    columns = max(1, min(MOST_COLUMNS, ACCUMULATORS // kw))
    kernel = WindowSum(channels % host().lanes != 0, columns, kw, sx, dx)
    first = x.origin - padding[0][0] * row - padding[1][0] * pixel
    flops = grad.type.elements * (2 * kh * kw)
    return (group.launch(name, kernel, {"x": first, "w": grad.origin}, None, sizes, flops),)
