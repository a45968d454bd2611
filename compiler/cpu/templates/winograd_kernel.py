"""Builds ``WinogradKernel`` kernels: from a transformed kernel's gradient that of the kernel."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.kinds import KernelTransform
from ...loops.anchored import Sizes, match_anchored
from ...loops.layout import Address, Launch, Placed
from ...ops.winograd import PLACES, WINDOW
from ..bodies import WinogradKernel
from .slide import strides_of
from .winograd import known_sizes, start_of


def build_winograd_kernel(
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
    sizes: Sizes = [
        ("images", grad.type.shape[0]),
        ("rows", rows),
        ("cols", columns),
        ("vectors", -(-filters // lanes)),
        ("channels", filters),
        ("run", channels),
        ("p_place", places.strides[0]),
        ("p_run", places.strides[1]),
        *strides_of("x", x),
        *strides_of("g", grad),
        *zip(("y_ky", "y_kx", "y_run"), group.result.strides, strict=False),
    ]
    starts = (places.origin, start_of(x, anchor), grad.origin)
    pointers = [
        (pointer, Address(group.slot(operand), start))
        for pointer, operand, start in zip("pxg", anchor.inputs, starts, strict=True)
    ]
    flops = channels * filters * (PLACES + WINDOW[0] * WINDOW[1])
    return group.launch_on(pointers, name, WinogradKernel(filters % lanes != 0), sizes, flops)
