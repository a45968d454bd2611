"""Builds ``PoolingGradient`` kernels: gradients of pooling, with their epilogues."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph, Node
from ...ir.kinds import WindowGradient
from ...ir.types import Size
from ...loops.anchored import Anchored, image_arguments, image_strides, match_anchored
from ...loops.arguments import ABSENT, ImageArguments, Pointer
from ...loops.layout import Launch, Placed
from ...ops.windowing import Pairs, resolve_padding
from ..arguments import PoolingGradientArguments
from ..bodies import PoolingGradient
from .window import epilogue_of, is_masked

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
    unpool = PoolingGradient(combine, masked, epilogue_of(group), rows, columns)
    images, image_rows, image_cols, channels = anchor.shape
    arguments: PoolingGradientArguments[Pointer, Size] = PoolingGradientArguments(
        images=images,
        rows=image_rows,
        cols=image_cols,
        channels=channels,
        window_rows=anchor.inputs[-1].shape[1],
        window_cols=anchor.inputs[-1].shape[2],
        stride_y=sy,
        stride_x=sx,
        pad_y=padding[0][0],
        pad_x=padding[1][0],
        kys=kh,
        kxs=kw,
        x=_image(group, anchor.inputs[0]) if combine == "maximum" else ABSENT,
        pooled=_image(group, anchor.inputs[1]) if combine == "maximum" else ABSENT,
        grad=_image(group, anchor.inputs[-1]),
        epilogue=group.epilogue(),
    )
    flops = anchor.inputs[-1].tensor_type.elements * (kh * kw)
    return group.launch(name, unpool, arguments, flops)


def _image(group: Anchored, operand: Node) -> ImageArguments[Pointer, Size]:
    return image_arguments(group.origin(operand), image_strides(group.layout(operand)))


def _tiles(group: Anchored, padding: Pairs) -> bool:
    """Whether windows lie side by side, all of them inside the image."""
    attrs = group.anchor.attrs
    side_by_side = tuple(attrs["window"]) == tuple(attrs["strides"])
    return side_by_side and max(attrs["window"]) <= LARGEST and padding == ((0, 0), (0, 0))
