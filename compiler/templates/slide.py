"""Builds ``Slide`` kernels: depthwise convolution and pooling, with what follows them."""

from __future__ import annotations

from ...runtime.host import host
from ..ir import Graph, Node
from ..kernels import Epilogue, Kernel, Param, Slide
from ..layout import Address, Launch, Layout
from ..lowering import Window
from ..ops.windowing import resolve_padding
from ..types import FLOAT32, Size
from .epilogues import EpilogueParts, match_epilogue
from .scalars import sum_bytes

MAX_WIDTH = 15  # the row of a window is unrolled
ROW_REGISTERS = 8  # outputs of a row in registers at a time


def build_slide(
    body: Graph, operands: tuple[Layout, ...], results: tuple[Layout, ...], name: str
) -> Launch | None:
    """The launch for a group around one window op, or None where the kernel does not fit it."""
    anchors = [n for n in body.nodes if isinstance(n.op.lowering, Window)]
    if len(anchors) != 1 or len(body.outputs) != 1:
        return None
    anchor = anchors[0]
    parts = match_epilogue(body, anchor)
    if parts is None or parts.pool is not None or not isinstance(anchor.shape[-1], int):
        return None
    if any(n.dtype != FLOAT32 for n in (*anchor.inputs, *body.outputs)):
        return None
    if any(i not in body.inputs for i in anchor.inputs):
        return None
    if anchor.op.lowering.combine == "dot":
        return _depthwise(name, body, anchor, parts, operands, results)
    return _pooling(name, body, anchor, parts, operands, results)


def _depthwise(
    name: str,
    body: Graph,
    anchor: Node,
    parts: EpilogueParts,
    operands: tuple[Layout, ...],
    results: tuple[Layout, ...],
) -> Launch | None:
    kh, kw, _, multiplier = anchor.inputs[1].shape
    if multiplier != 1 or not isinstance(kw, int) or kw > MAX_WIDTH or not isinstance(kh, int):
        return None
    attrs = anchor.attrs
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    x = operands[body.inputs.index(anchor.inputs[0])]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    columns = _columns(anchor.shape[2])
    slide = Slide(
        "dot",
        int(anchor.shape[-1]) % host().lanes != 0,
        _epilogue(parts),
        parts.bias is not None,
        columns,
        kw,
        sx,
        dx,
    )
    offset = x.origin - padding[0][0] * row - padding[1][0] * pixel
    sizes = [
        ("x_row", row * sy),
        ("x_col", pixel * sx),
        ("x_ky", row * dy),
        ("x_pixel", pixel),
        ("kys", kh),
        ("x_image", image),
    ]
    taps = 2 * kh * kw
    return _launch(name, body, anchor, slide, parts, operands, results, offset, sizes, taps)


def _pooling(
    name: str,
    body: Graph,
    anchor: Node,
    parts: EpilogueParts,
    operands: tuple[Layout, ...],
    results: tuple[Layout, ...],
) -> Launch:
    attrs = anchor.attrs
    (kh, kw), (sy, sx) = attrs["window"], attrs["strides"]
    x = operands[body.inputs.index(anchor.inputs[0])]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (1, 1), attrs["padding"])
    image, row, pixel, _ = x.strides
    slide = Slide(
        anchor.op.lowering.combine,
        int(anchor.shape[-1]) % host().lanes != 0,
        _epilogue(parts),
        parts.bias is not None,
    )
    sizes: list[tuple[str, Size]] = [
        ("stride_y", sy),
        ("stride_x", sx),
        ("pad_y", padding[0][0]),
        ("pad_x", padding[1][0]),
        ("height", x.type.shape[1]),
        ("breadth", x.type.shape[2]),
        ("kys", kh),
        ("kxs", kw),
        ("x_image", image),
        ("x_line", row),
        ("x_pixel", pixel),
    ]
    return _launch(name, body, anchor, slide, parts, operands, results, x.origin, sizes, kh * kw)


def _columns(size: Size) -> int:
    """Outputs of a row in registers: as many as fit, without much overlap at the row's end."""
    if not isinstance(size, int):
        return 1
    fitting = range(1, min(size, ROW_REGISTERS) + 1)
    return min(fitting, key=lambda p: (-(-size // p) * (p + 1.5), -p))


def _epilogue(parts: EpilogueParts) -> Epilogue:
    return Epilogue(parts.loads, parts.block, parts.pooled, None, (), parts.result)


def _launch(
    name: str,
    body: Graph,
    anchor: Node,
    slide: Slide,
    parts: EpilogueParts,
    operands: tuple[Layout, ...],
    results: tuple[Layout, ...],
    x_offset: Size,
    own_sizes: list[tuple[str, Size]],
    taps: int,
) -> Launch:
    slots = {node: i for i, node in enumerate(body.inputs)}
    pointers = [("x", Address(slots[anchor.inputs[0]], x_offset))]
    if slide.combine == "dot":
        pointers.append(("w", Address(slots[anchor.inputs[1]])))
    pointers.append(("y", Address(len(operands), results[0].origin)))
    if parts.bias is not None:
        pointers.append(("bias", Address(slots[parts.bias], operands[slots[parts.bias]].origin)))
    for load in parts.operands:
        slot = slots[load.node]
        pointers.append((load.pointer, Address(slot, operands[slot].origin)))
    images, rows, cols, channels = anchor.shape
    sizes = [("images", images), ("rows", rows), ("cols", cols), ("channels", channels), *own_sizes]
    sizes += _strides("y", results[0])
    for load in parts.element_loads:
        sizes += _strides(load.pointer, operands[slots[load.node]])
    params = (*(Param(n, FLOAT32) for n, _ in pointers), *(Param(n) for n, _ in sizes))
    values = (*(address for _, address in pointers), *(size for _, size in sizes))
    flops = anchor.tensor_type.elements * taps
    return Launch(Kernel(name, params, slide), values, flops, sum_bytes(operands, results))


def _strides(name: str, layout: Layout) -> list[tuple[str, Size]]:
    named = zip(("image", "row", "col"), layout.strides, strict=False)
    return [(f"{name}_{axis}", stride) for axis, stride in named]
