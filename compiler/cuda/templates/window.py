"""Builds kernels of windows over images: depthwise convolution, pooling, and their gradients."""

from __future__ import annotations

from ...ir.graph import Graph
from ...ir.kinds import Window, WindowGradient
from ...ir.types import Size, product
from ...loops.anchored import Anchored, image_strides, match_anchored
from ...loops.arguments import ABSENT, Pointer
from ...loops.layout import Launch, Placed
from ...ops.windowing import resolve_padding
from ..arguments import (
    GridDepthwiseKernelGradientArguments,
    GridWindowArguments,
)
from ..bodies import GridDepthwiseKernelGradient, GridPoolingGradient, GridWindow
from ..grids import with_grid


def build_window(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch | None:
    """The launch for a group around one window op, or None where the kernel does not fit it."""
    group = match_anchored(body, operands, results, Window)
    if group is None or group.matched.pool is not None:
        return None
    anchor, x, combine = group.anchor, group.x, group.anchor.op.kind.combine
    is_dot, attrs = combine == "dot", group.anchor.attrs
    window = anchor.inputs[1].shape[:2] if is_dot else attrs["window"]
    kh, kw = (size for size in window if isinstance(size, int))
    strides, dilation = attrs["strides"], attrs.get("dilation", (1, 1))
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), strides, dilation, attrs["padding"])
    images, rows, cols, channels = anchor.shape
    x_image, x_line, x_pixel = image_strides(x)
    arguments: GridWindowArguments[Pointer, Size] = GridWindowArguments(
        x=group.origin(anchor.inputs[0]),
        w=group.origin(anchor.inputs[1]) if is_dot else ABSENT,
        images=images,
        rows=rows,
        cols=cols,
        channels=channels,
        stride_y=strides[0],
        stride_x=strides[1],
        step_y=dilation[0],
        step_x=dilation[1],
        top=padding[0][0],
        left=padding[1][0],
        height=x.type.shape[1],
        breadth=x.type.shape[2],
        kys=kh,
        kxs=kw,
        x_image=x_image,
        x_line=x_line,
        x_pixel=x_pixel,
        epilogue=group.epilogue(),
    )
    kernel = GridWindow(combine, group.matched.epilogue, group.matched.bias is not None)
    units = product(anchor.shape)
    flops = units * (kh * kw * (2 if is_dot else 1))
    return with_grid(group.launch(name, kernel, arguments, flops), units)


def build_pooling_gradient(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch | None:
    """The launch for a group around the gradient of one pooling, or None for another group."""
    group = match_anchored(body, operands, results, WindowGradient)
    if group is None:
        return None
    attrs, anchor = group.anchor.attrs, group.anchor
    (kh, kw), (sy, sx) = attrs["window"], attrs["strides"]
    padding = resolve_padding(anchor.shape[1:3], (kh, kw), (sy, sx), (1, 1), attrs["padding"])
    kernel = GridPoolingGradient(anchor.op.kind.combine, group.matched.epilogue)
    flops = anchor.inputs[-1].tensor_type.elements * (kh * kw)
    launch = group.launch(name, kernel, group.pooling_gradient(padding), flops)
    return with_grid(launch, product(anchor.shape))


def build_depthwise_kernel_gradient(group: Anchored, name: str) -> Launch:
    """The launch for a ``depthwise_kernel_gradient``, one filter a channel."""
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    images, lines, cols, channels = grad.type.shape
    x_image, x_line, x_pixel = image_strides(x)
    w_image, w_line, w_pixel = image_strides(grad)
    filters = GridDepthwiseKernelGradientArguments
    arguments: GridDepthwiseKernelGradientArguments[Pointer, Size] = filters(
        x=group.origin(anchor.inputs[0]),
        w=group.origin(anchor.inputs[1]),
        y=group.stored(),
        images=images,
        lines=lines,
        cols=cols,
        channels=channels,
        kys=kh,
        kxs=kw,
        stride_y=sy,
        stride_x=sx,
        step_y=dy,
        step_x=dx,
        top=padding[0][0],
        left=padding[1][0],
        height=x.type.shape[1],
        breadth=x.type.shape[2],
        x_image=x_image,
        x_line=x_line,
        x_pixel=x_pixel,
        w_image=w_image,
        w_line=w_line,
        w_pixel=w_pixel,
    )
    flops = grad.type.elements * (2 * kh * kw)
    launch = group.launch(name, GridDepthwiseKernelGradient(), arguments, flops)
    return with_grid(launch, channels * (kh * kw))
