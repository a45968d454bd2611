"""Builds ``WindowSum`` kernels: gradients of depthwise filters, in parts."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.types import Size
from ...loops.anchored import Anchored, image_strides
from ...loops.arguments import Pointer
from ...loops.layout import Launch
from ...loops.problems import first_seen
from ...ops.kernel_gradients import part_counts
from ...ops.windowing import resolve_padding
from ..arguments import WindowSumArguments
from ..bodies import WindowSum

WINDOW_REGISTERS = 25  # of 32: a window of so many places is summed at once
MOST_COLUMNS = 8


def build_window_sum(group: Anchored, name: str, machine: Host) -> Launch:
    """The launch for a ``depthwise_kernel_gradient`` in parts, one filter a channel."""
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    images, lines, cols, channels = grad.type.shape
    image_parts, line_parts = part_counts(grad.type.shape, attrs["part"])
    assert isinstance(channels, int), "kernels have known channels"
    w_image, w_row, w_col = image_strides(grad)
    arguments: WindowSumArguments[Pointer, Size] = WindowSumArguments(
        x=group.pointer(anchor.inputs[0], first_seen(x, padding)),
        w=group.origin(anchor.inputs[1]),
        y=group.stored(),
        images=images,
        lines=lines,
        cols=cols,
        channels=channels,
        kys=kh,
        images_part=attrs["part"][0],
        lines_part=attrs["part"][1],
        image_parts=image_parts,
        line_parts=line_parts,
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
    kernel = WindowSum(channels % machine.lanes != 0, rows, columns, kw, sx, dx)
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
