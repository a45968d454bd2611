"""Builds ``PoolingGradient`` kernels: gradients of pooling, with their epilogues."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.kinds import WindowGradient
from ...loops.anchored import Anchored, match_anchored
from ...loops.layout import Launch, Placed
from ...ops.windowing import Pairs, resolve_padding
from ..bodies import PoolingGradient
from .window import is_masked

LARGEST = 4  # places in a window that tiles, along each axis: its elements lie in registers


def build_pooling_gradient(
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
    combine, masked = anchor.op.kind.combine, is_masked(group, machine)
    unpool = PoolingGradient(combine, masked, group.matched.epilogue, rows, columns)
    flops = anchor.inputs[-1].tensor_type.elements * (kh * kw)
    return group.launch(name, unpool, group.pooling_gradient(padding), flops)


def _tiles(group: Anchored, padding: Pairs) -> bool:
    """Whether windows lie side by side, all of them inside the image."""
    attrs = group.anchor.attrs
    side_by_side = tuple(attrs["window"]) == tuple(attrs["strides"])
    return side_by_side and max(attrs["window"]) <= LARGEST and padding == ((0, 0), (0, 0))
