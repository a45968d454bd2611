"""Builds ``Contract`` kernels: conv2d and matmul, with what follows them in the same registers.

The operand is read in place (a border of zeros stands around images where the padding asks for
one), the weights in packed panels. A 1x1 convolution over contiguous images is a matrix product of
all their pixels, so images too small for a block do not waste it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...runtime.host import host
from ..ir import Graph, Node
from ..kernels import Contract, Epilogue, Kernel, Param
from ..layout import Address, Launch, Layout, Packing
from ..lowering import Contraction
from ..ops.windowing import resolve_padding
from ..types import FLOAT32, Size
from .blocking import Extent, choose_block, is_short
from .epilogues import EpilogueParts, match_epilogue
from .scalars import sum_bytes

CHUNK_BYTES = 256 * 1024  # operand bytes that stay in a core's cache while the weights pass over


@dataclass(frozen=True)
class Problem:
    """A contraction as the kernel sees it: extents, strides of the operand, weights."""

    images: Size
    rows: Size
    columns: Size
    channels: int  # per group
    groups: int
    kys: int
    kxs: int
    run: int
    x_offset: Size
    x_image: Size
    x_row: Size
    x_col: Size
    x_ky: Size
    x_kx: Size
    x_group: int
    batched: bool = False

    @property
    def depth(self) -> int:
        return self.kys * self.kxs * self.run


def build_contract(
    body: Graph, operands: tuple[Layout, ...], results: tuple[Layout, ...], name: str
) -> Launch | None:
    """The launch for a group around one contraction, or None where the kernel does not fit it."""
    anchors = [n for n in body.nodes if isinstance(n.op.lowering, Contraction)]
    if len(anchors) != 1 or len(body.outputs) != 1:
        return None
    anchor = anchors[0]
    parts = match_epilogue(body, anchor)
    if parts is None or any(n.dtype != FLOAT32 for n in (*anchor.inputs, *body.outputs)):
        return None
    if any(i not in body.inputs for i in anchor.inputs):
        return None
    layouts = {node: operands[i] for i, node in enumerate(body.inputs)}
    problem = _problem(anchor, layouts, parts, results[0])
    if problem is None:
        return None
    return _launch(name, body, anchor, problem, parts, operands, results)


def _problem(
    anchor: Node, layouts: dict[Node, Layout], parts: EpilogueParts, result: Layout
) -> Problem | None:
    x = layouts[anchor.inputs[0]]
    if anchor.op.lowering.kind == "matmul":
        return _matmul_problem(anchor, x)
    others = (layouts[load.node] for load in parts.element_loads)
    bordered = any(layout.has_border for layout in (x, result, *others))
    return _conv_problem(anchor, x, flat=not bordered and parts.pool is None)


def _matmul_problem(anchor: Node, x: Layout) -> Problem | None:
    left, right = anchor.inputs[0].shape, anchor.inputs[1].shape
    if len(right) < 2 or len(left) < 2 or not x.is_dense:
        return None
    depth, channels = right[-2:]
    if not isinstance(depth, int) or not isinstance(channels, int):
        return None
    batch: Size = 1
    for size in right[:-2]:
        batch = batch * size
    if batch != 1 and left[:-2] != right[:-2]:
        return None
    rows: Size = 1
    for size in left[:-1] if batch == 1 else left[-2:-1]:
        rows = rows * size
    return Problem(
        batch, 1, rows, channels, 1, 1, 1, depth, 0, rows * depth, 0, depth, 0, 0, 0, batch != 1
    )


def _conv_problem(anchor: Node, x: Layout, flat: bool) -> Problem | None:
    kernel_shape = anchor.inputs[1].shape
    if any(not isinstance(size, int) for size in kernel_shape):
        return None
    kh, kw, cin, cout = (int(size) for size in kernel_shape)
    attrs, shape = anchor.attrs, x.type.shape
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    spatial = shape[1:3]
    padding = resolve_padding(spatial, (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    images, rows, cols = anchor.shape[:3]
    channels = cout // groups
    whole = dx == 1 and groups == 1 and pixel == cin
    offset = x.origin - padding[0][0] * row - padding[1][0] * pixel
    if flat and (kh, kw, sy, sx) == (1, 1, 1, 1) and all(p == (0, 0) for p in padding):
        images, rows, cols = 1, 1, images * rows * cols
    return Problem(
        images,
        rows,
        cols,
        channels,
        groups,
        kh,
        1 if whole else kw,
        kw * cin if whole else cin,
        offset,
        image,
        row * sy,
        pixel * sx,
        row * dy,
        pixel * dx,
        cin,
    )


def _launch(
    name: str,
    body: Graph,
    anchor: Node,
    problem: Problem,
    parts: EpilogueParts,
    operands: tuple[Layout, ...],
    results: tuple[Layout, ...],
) -> Launch:
    machine, pool = host(), parts.pool
    rows, cols = problem.rows, problem.columns
    if pool is not None:  # outputs that no window covers are not computed
        rows, cols = rows // pool.rows * pool.rows, cols // pool.columns * pool.columns
    extent = Extent(
        _known(rows),
        _least(cols),
        problem.channels,
        problem.depth,
        problem.kys * problem.kxs,
        pool.rows if pool else 1,
        pool.columns if pool else 1,
    )
    block = choose_block(extent, machine.lanes, machine.vector_registers)
    width = block.vectors * machine.lanes
    group_panels = -(-problem.channels // width)
    tail = "overlap" if extent.columns is not None else "single"
    fixed = _fixed_sizes(problem) if is_short(extent) else ()
    epilogue = Epilogue(
        parts.loads, parts.block, parts.pooled, pool, parts.after, parts.result
    )
    contract = Contract(
        block, tail, problem.channels % width != 0, epilogue, parts.bias is not None, fixed
    )
    slots = {node: i for i, node in enumerate(body.inputs)}
    params: list[tuple[str, Address]] = [
        ("x", Address(slots[anchor.inputs[0]], problem.x_offset)),
        ("w", Address(slots[anchor.inputs[1]], 0, _packing(anchor, problem, width))),
        ("y", Address(len(operands), results[0].origin)),
    ]
    if parts.bias is not None:
        params.append(("bias", Address(slots[parts.bias], operands[slots[parts.bias]].origin)))
    for load in parts.operands:
        slot = slots[load.node]
        params.append((load.pointer, Address(slot, operands[slot].origin)))
    sizes: list[tuple[str, Size]] = [
        ("images", problem.images),
        ("rows", rows),
        ("cols", cols),
        ("panels", group_panels * problem.groups),
        ("group_panels", group_panels),
        ("channels", problem.channels),
        ("kys", problem.kys),
        ("kxs", problem.kxs),
        ("run", problem.run),
        ("chunk", _chunk(problem, block.rows * block.columns)),
        ("x_image", problem.x_image),
        ("x_row", problem.x_row),
        ("x_col", problem.x_col),
        ("x_ky", problem.x_ky),
        ("x_kx", problem.x_kx),
        ("x_group", problem.x_group),
        ("w_image", problem.depth * group_panels * width if problem.batched else 0),
        *_result_strides("y", results[0], problem),
    ]
    for load in parts.element_loads:
        sizes += _result_strides(load.pointer, operands[slots[load.node]], problem)
    sizes = [(size_name, size) for size_name, size in sizes if size_name not in dict(fixed)]
    kernel = Kernel(
        name,
        (*(Param(n, FLOAT32) for n, _ in params), *(Param(n) for n, _ in sizes)),
        contract,
    )
    outputs: Size = problem.images * problem.rows * problem.columns
    flops = outputs * (2 * problem.channels * problem.groups * problem.depth)
    values = (*(address for _, address in params), *(size for _, size in sizes))
    return Launch(kernel, values, flops, sum_bytes(operands, results))


def _fixed_sizes(problem: Problem) -> tuple[tuple[str, int], ...]:
    """The sizes of a sum so short that its loops cost more than its products."""
    if not isinstance(problem.x_col, int):
        return ()
    x_kx = problem.x_kx if isinstance(problem.x_kx, int) else 0
    return (
        ("kys", problem.kys),
        ("kxs", problem.kxs),
        ("run", problem.run),
        ("x_col", problem.x_col),
        ("x_kx", x_kx),
    )


def _packing(anchor: Node, problem: Problem, width: int) -> Packing:
    return Packing(width, problem.groups, anchor.inputs[1].tensor_type.rank - 2 if problem.batched else 0)


def _result_strides(name: str, layout: Layout, problem: Problem) -> list[tuple[str, Size]]:
    """(image, row, column) strides of an array with the shape of the output."""
    strides = _three(layout.strides, problem, layout)
    return [(f"{name}_{axis}", s) for axis, s in zip(("image", "row", "col"), strides, strict=True)]


def _three(strides: Sequence[Size], problem: Problem, layout: Layout) -> tuple[Size, Size, Size]:
    if problem.batched:
        return layout.type.shape[-2] * strides[-2], 0, strides[-2]
    if len(strides) == 4 and problem.rows != 1:
        return strides[0], strides[1], strides[2]
    if len(strides) == 4 and problem.images != 1:
        return strides[0], strides[1], strides[2]
    return 0, 0, strides[-2]


def _chunk(problem: Problem, pixels: int) -> int:
    block_bytes = pixels * problem.run * problem.kys * FLOAT32.itemsize
    return max(1, CHUNK_BYTES // max(1, block_bytes))


def _known(size: Size) -> int | None:
    return size if isinstance(size, int) else None


def _least(size: Size) -> int | None:
    """What is known of a column count: all pixels of ``N`` images are at least one image's."""
    if isinstance(size, int):
        return size
    if len(size.terms) == 1 and size.terms[0][0] == ("N",) and size.terms[0][1] > 1:
        return size.terms[0][1]
    return None
