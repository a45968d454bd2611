"""Builds ``DepthwiseKernelGradient`` kernels: partial sums of depthwise filters' gradients."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.types import Size
from ...loops.anchored import Anchored, image_strides
from ...loops.arguments import Pointer
from ...loops.layout import Launch
from ...loops.problems import first_seen
from ...ops.kernel_gradients import split_counts
from ...ops.windowing import resolve_padding
from ..arguments import DepthwiseKernelGradientArguments
from ..bodies import DepthwiseKernelGradient

WINDOW_REGISTERS = 25  # of 32: a window of so many places is summed at once
MOST_COLUMNS = 8


def build_depthwise_kernel_gradient(group: Anchored, name: str, machine: Host) -> Launch:
    """The launch for a split ``depthwise_kernel_gradient``, one filter a channel."""
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    images, lines, cols, channels = grad.type.shape
    image_splits, line_splits = split_counts(grad.type.shape, attrs["split"])
    assert isinstance(channels, int), "kernels have known channels"
    w_image, w_row, w_col = image_strides(grad)
    arguments: DepthwiseKernelGradientArguments[Pointer, Size] = DepthwiseKernelGradientArguments(
        x=group.pointer(anchor.inputs[0], first_seen(x, padding)),
        w=group.origin(anchor.inputs[1]),
        y=group.stored(),
        images=images,
        lines=lines,
        cols=cols,
        channels=channels,
        kys=kh,
        split_images=attrs["split"][0],
        split_lines=attrs["split"][1],
        image_splits=image_splits,
        line_splits=line_splits,
        x_image=image,
        x_row=row * sy,
        x_col=pixel * sx,
        x_ky=row * dy,
        x_pixel=pixel,
        w_image=w_image,
        w_row=w_row,
        w_col=w_col,
    )
    rows, columns = _block(kh, kw, cols, machine)
    kernel = DepthwiseKernelGradient(channels % machine.lanes != 0, rows, columns, kw, sx, dx)
    flops = grad.type.elements * (2 * kh * kw)
    return group.launch(name, kernel, arguments, flops)


def _block(height: int, width: int, cols: Size, machine: Host) -> tuple[int, int]:
    """Rows of the window at once, and positions of a line: each kept in registers.

    What is left of a line goes position by position, each about as long as loading three vectors.
    """
    registers = machine.vector_registers
    fitting = registers * WINDOW_REGISTERS // 32
    rows = height if height * width <= fitting else 1
    most = max(1, min(MOST_COLUMNS, registers - 3 - rows * width))
    if not isinstance(cols, int):
        return rows, most
    return rows, min(range(1, most + 1), key=lambda p: cols // p * (p + 2) + cols % p * 3)
