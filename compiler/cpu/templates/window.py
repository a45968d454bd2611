"""Builds ``SlidingWindow`` kernels: depthwise convolution and pooling, with their epilogues."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.kinds import Window
from ...ir.types import Size
from ...loops.anchored import Anchored, match_anchored
from ...loops.arguments import Pointer
from ...loops.layout import Launch, Placed
from ...loops.problems import first_seen
from ...ops.windowing import resolve_padding
from ..arguments import DepthwiseArguments, PoolArguments
from ..bodies import SlidingWindow

MAX_WIDTH = 15  # the row of a window is unrolled
ROW_REGISTERS = 8  # outputs of a row in registers at a time


def build_window(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    machine: Host,
) -> Launch | None:
    """The launch for a group around one window op, or None where the kernel does not fit it."""
    group = match_anchored(body, operands, results, Window)
    if group is None or group.matched.pool is not None:
        return None
    if not isinstance(group.anchor.shape[-1], int):
        return None
    if group.anchor.op.kind.combine == "dot":
        return _depthwise(name, group, machine)
    return _pooling(name, group, machine)


def _depthwise(name: str, group: Anchored, machine: Host) -> Launch | None:
    anchor, x = group.anchor, group.x
    kh, kw, _, multiplier = anchor.inputs[1].shape
    if multiplier != 1 or not isinstance(kw, int) or kw > MAX_WIDTH or not isinstance(kh, int):
        return None
    attrs = anchor.attrs
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    slide = SlidingWindow(
        combine="dot",
        masked=is_masked(group, machine),
        epilogue=group.matched.epilogue,
        bias=group.matched.bias is not None,
        columns=_columns(anchor.shape[2]),
        width=kw,
        stride=sx,
        dilation=dx,
    )
    images, rows, cols, channels = anchor.shape
    arguments: DepthwiseArguments[Pointer, Size] = DepthwiseArguments(
        x=group.pointer(anchor.inputs[0], first_seen(x, padding)),
        w=group.pointer(anchor.inputs[1]),
        images=images,
        rows=rows,
        cols=cols,
        channels=channels,
        x_row=row * sy,
        x_col=pixel * sx,
        x_ky=row * dy,
        x_pixel=pixel,
        kys=kh,
        x_image=image,
        epilogue=group.epilogue(),
    )
    flops = anchor.tensor_type.elements * (2 * kh * kw)
    return group.launch(name, slide, arguments, flops)


def _pooling(name: str, group: Anchored, machine: Host) -> Launch:
    attrs, x = group.anchor.attrs, group.x
    (kh, kw), (sy, sx) = attrs["window"], attrs["strides"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (1, 1), attrs["padding"])
    image, row, pixel, _ = x.strides
    slide = SlidingWindow(
        combine=group.anchor.op.kind.combine,
        masked=is_masked(group, machine),
        epilogue=group.matched.epilogue,
        bias=group.matched.bias is not None,
    )
    images, rows, cols, channels = group.anchor.shape
    arguments: PoolArguments[Pointer, Size] = PoolArguments(
        x=group.origin(group.anchor.inputs[0]),
        images=images,
        rows=rows,
        cols=cols,
        channels=channels,
        stride_y=sy,
        stride_x=sx,
        pad_y=padding[0][0],
        pad_x=padding[1][0],
        height=x.type.shape[1],
        breadth=x.type.shape[2],
        kys=kh,
        kxs=kw,
        x_image=image,
        x_line=row,
        x_pixel=pixel,
        epilogue=group.epilogue(),
    )
    flops = group.anchor.tensor_type.elements * (kh * kw)
    return group.launch(name, slide, arguments, flops)


def is_masked(group: Anchored, machine: Host) -> bool:
    return group.anchor.shape[-1] % machine.lanes != 0


def _columns(size: Size) -> int:
    """Outputs of a row in registers: as many as fit, without much overlap at the row's end."""
    if not isinstance(size, int):
        return 1
    fitting = range(1, min(size, ROW_REGISTERS) + 1)
    return min(fitting, key=lambda p: (-(-size // p) * (p + 1.5), -p))
