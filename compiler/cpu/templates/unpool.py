"""Builds ``Unpool`` kernels: gradients of pooling by the image, with what follows them."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph, Node
from ...ir.kinds import WindowGradient
from ...loops.anchored import Anchored, Sizes, match_anchored
from ...loops.layout import Address, Launch, Placed
from ...ops.windowing import Pairs, resolve_padding
from ..bodies import Unpool
from .slide import all_strides, epilogue_of, is_masked, strides_of

LARGEST = 4  # places in a window that tiles, along each axis: its elements lie in registers


def build_unpool(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    machine: Host,
) -> Launch | None:
    """The launch for a group around the gradient of one pooling, or None for another group."""
    group = match_anchored(body, operands, results, WindowGradient)
    if group is None:
        return None
    attrs, anchor = group.anchor.attrs, group.anchor
    (kh, kw), (sy, sx) = attrs["window"], attrs["strides"]
    padding = resolve_padding(anchor.shape[1:3], (kh, kw), (sy, sx), (1, 1), attrs["padding"])
    rows, columns = (kh, kw) if _tiles(group, padding) else (0, 0)
    combine, masked = anchor.op.lowering.combine, is_masked(group, machine)
    unpool = Unpool(combine, masked, epilogue_of(group), rows, columns)
    sizes: Sizes = [
        *zip(("images", "rows", "cols", "channels"), anchor.shape, strict=True),
        *zip(("window_rows", "window_cols"), anchor.inputs[-1].shape[1:3], strict=True),
        ("stride_y", sy),
        ("stride_x", sx),
        ("pad_y", padding[0][0]),
        ("pad_x", padding[1][0]),
        ("kys", kh),
        ("kxs", kw),
    ]
    pointers: list[tuple[str, Address]] = []
    for role, operand in zip(_roles(anchor), anchor.inputs, strict=True):
        pointers.append((role, group.origin(operand)))
        sizes += strides_of(role, group.layout(operand))
    sizes += all_strides(group)
    flops = anchor.inputs[-1].tensor_type.elements * (kh * kw)
    return group.launch_on(pointers, name, unpool, sizes, flops)


def _roles(anchor: Node) -> tuple[str, ...]:
    return ("x", "pooled", "grad") if anchor.op.lowering.combine == "maximum" else ("grad",)


def _tiles(group: Anchored, padding: Pairs) -> bool:
    """Whether windows lie side by side, all of them inside the image."""
    attrs = group.anchor.attrs
    side_by_side = tuple(attrs["window"]) == tuple(attrs["strides"])
    return side_by_side and max(attrs["window"]) <= LARGEST and padding == ((0, 0), (0, 0))
