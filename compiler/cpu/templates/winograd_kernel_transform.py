"""Builds ``WinogradKernelTransform`` kernels: a kernel's gradient from that of its transform."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.kinds import KernelTransform
from ...ir.types import Size
from ...loops.anchored import image_strides, match_anchored
from ...loops.arguments import Pointer
from ...loops.layout import Launch, Placed
from ...ops.winograd import PLACES, WINDOW
from ..arguments import WinogradKernelTransformArguments
from ..bodies import WinogradKernelTransform
from .winograd import known_sizes, start_of


def build_winograd_kernel_transform(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    machine: Host,
) -> Launch | None:
    """The launch for a ``winograd_kernel``, or None where the group is none."""
    group = match_anchored(body, operands, results, KernelTransform)
    if group is None:
        return None
    anchor = group.anchor
    places, x, grad = (group.layout(operand) for operand in anchor.inputs)
    rows, columns, filters = known_sizes(grad.type.shape[1:])
    (channels,) = known_sizes(x.type.shape[3:])
    lanes = machine.lanes
    x_image, x_row, x_col = image_strides(x)
    g_image, g_row, g_col = image_strides(grad)
    y_ky, y_kx, y_run, _ = group.result.strides
    arguments: WinogradKernelTransformArguments[Pointer, Size] = WinogradKernelTransformArguments(
        p=group.origin(anchor.inputs[0]),
        x=group.pointer(anchor.inputs[1], start_of(x, anchor)),
        g=group.origin(anchor.inputs[2]),
        y=group.stored(),
        images=grad.type.shape[0],
        rows=rows,
        cols=columns,
        vectors=-(-filters // lanes),
        channels=filters,
        run=channels,
        p_place=places.strides[0],
        p_run=places.strides[1],
        x_image=x_image,
        x_row=x_row,
        x_col=x_col,
        g_image=g_image,
        g_row=g_row,
        g_col=g_col,
        y_ky=y_ky,
        y_kx=y_kx,
        y_run=y_run,
    )
    flops = channels * filters * (PLACES + WINDOW[0] * WINDOW[1])
    return group.launch(name, WinogradKernelTransform(filters % lanes != 0), arguments, flops)
