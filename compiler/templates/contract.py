"""Builds ``Contract`` kernels: conv2d and matmul, with what follows them in the same registers.

The operand is read in place (a border of zeros stands around images where the padding asks for
one), the weights in packed panels. A 1x1 convolution over contiguous images is a matrix product of
all their pixels, so images too small for a block do not waste it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...runtime.host import host
from ..ir import Graph, Node
from ..kernels import Contract, Epilogue, RegisterBlock
from ..layout import Launch, Packing, Placed, are_even
from ..lowering import Contraction
from ..ops.windowing import resolve_padding
from ..types import FLOAT32, Shape, Size
from .anchored import Anchored, Sizes, match_anchored
from .blocking import Extent, choose_block, is_short

LONG_DEPTH = 640  # products from which rounding calls for a sum of sums
STREAMED_BYTES = 2**20
STREAMED_PIXELS = 64
CHUNK_BYTES = 256 * 1024  # operand bytes that stay in a core's cache while the weights pass over

Walked: TypeAlias = "tuple[int | None, int | None, int | None]"
FLAT: Walked = (None, None, -2)  # all but the last axis walked as one


@dataclass(frozen=True)
class Problem:
    """A contraction as the kernel sees it: extents, and strides of the operand.

    ``walked`` are the axes of the output along which images, rows and columns follow one another.
    """

    walked: Walked
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
    x_group: int = 0
    batch_axes: int = 0

    @property
    def depth(self) -> int:
        return self.kys * self.kxs * self.run


def build_contract(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch | None:
    """The launch for a group around one contraction, or None where the kernel does not fit it."""
    group = match_anchored(body, operands, results, Contraction)
    problem = None if group is None else _problem(group)
    if group is None or problem is None:
        return None
    rows, columns = _computed(group, problem)
    extent = _extent(group, problem, rows, columns)
    machine = host()
    block = choose_block(extent, machine.lanes, machine.vector_registers)
    width = block.vectors * machine.lanes
    fixed = _fixed_sizes(problem) if is_short(extent) else ()
    contract = _contract(group, problem, extent, block, width, fixed)
    sizes = _sizes(problem, rows, columns, width, block.rows * block.columns)
    for pointer, layout in _results(group):
        sizes += _result_strides(pointer, layout, problem)
    sizes = [(size, value) for size, value in sizes if size not in dict(fixed)]
    outputs: Size = problem.images * problem.rows * problem.columns
    flops = outputs * (2 * problem.channels * problem.groups * problem.depth)
    packing = Packing(width, problem.groups, problem.batch_axes)
    return group.launch(name, contract, problem.x_offset, packing, sizes, flops)


def _problem(group: Anchored) -> Problem | None:
    layouts = (group.x, group.result, *group.element_layouts)
    if any(layout.strides[-1] != 1 for layout in layouts):
        return None
    if group.anchor.op.lowering.kind == "matmul":
        return _matmul_problem(group.anchor, group.x, layouts)
    even = all(are_even(layout, 0, 2) for layout in layouts)
    return _conv_problem(group.anchor, group.x, flat=even and group.parts.pool is None)


def _matmul_problem(anchor: Node, x: Placed, layouts: Sequence[Placed]) -> Problem | None:
    left, right = anchor.inputs[0].shape, anchor.inputs[1].shape
    if len(right) < 2 or len(left) < 2:
        return None
    depth, channels = right[-2:]
    if not isinstance(depth, int) or not isinstance(channels, int):
        return None
    if len(right) > 2 and left[:-2] != right[:-2]:
        return None
    walk = _matmul_walk(left, len(right) > 2, layouts)
    if walk is None:
        return None
    walked, (images, rows, columns) = walk
    x_image, x_row, x_col = (0 if axis is None else x.strides[axis] for axis in walked)
    return Problem(
        walked=walked,
        images=images,
        rows=rows,
        columns=columns,
        channels=channels,
        groups=1,
        kys=1,
        kxs=1,
        run=depth,
        x_offset=x.origin,
        x_image=x_image,
        x_row=x_row,
        x_col=x_col,
        x_ky=0,
        x_kx=0,
        batch_axes=len(right) - 2,
    )


def _matmul_walk(
    left: Shape, batched: bool, layouts: Sequence[Placed]
) -> tuple[Walked, tuple[Size, Size, Size]] | None:
    """How to walk the rows of a product: as one if there are no gaps between them."""
    rank = len(left)
    if batched:
        even = all(are_even(layout, 0, rank - 3) for layout in layouts)
        return ((-3, None, -2), (_product(left[:-2]), 1, left[-2])) if even else None
    if all(are_even(layout, 0, rank - 2) for layout in layouts):
        return FLAT, (1, 1, _product(left[:-1]))
    if rank == 3:
        return (0, None, 1), (left[0], 1, left[1])
    return ((0, 1, 2), (left[0], left[1], left[2])) if rank == 4 else None


def _conv_problem(anchor: Node, x: Placed, flat: bool) -> Problem | None:
    if any(not isinstance(size, int) for size in anchor.inputs[1].shape):
        return None
    kh, kw, cin, cout = (size for size in anchor.inputs[1].shape if isinstance(size, int))
    attrs = anchor.attrs
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    image, row, pixel, _ = x.strides
    images, rows, cols = anchor.shape[:3]
    # Without gaps between pixels a row of the window is one run of memory.
    whole = dx == 1 and groups == 1 and pixel == cin
    plain = (kh, kw, sy, sx) == (1, 1, 1, 1) and all(pair == (0, 0) for pair in padding)
    walked: Walked = (0, 1, 2)
    if flat and plain:
        walked, images, rows, cols = FLAT, 1, 1, images * rows * cols
    return Problem(
        walked=walked,
        images=images,
        rows=rows,
        columns=cols,
        channels=cout // groups,
        groups=groups,
        kys=kh,
        kxs=1 if whole else kw,
        run=kw * cin if whole else cin,
        x_offset=x.origin - padding[0][0] * row - padding[1][0] * pixel,
        x_image=image,
        x_row=row * sy,
        x_col=pixel * sx,
        x_ky=row * dy,
        x_kx=pixel * dx,
        x_group=cin,
    )


def _computed(group: Anchored, problem: Problem) -> tuple[Size, Size]:
    """The rows and columns to compute: not those that no pooling window covers."""
    pool = group.parts.pool
    if pool is None:
        return problem.rows, problem.columns
    rows = problem.rows // pool.rows * pool.rows
    return rows, problem.columns // pool.columns * pool.columns


def _extent(group: Anchored, problem: Problem, rows: Size, columns: Size) -> Extent:
    pool = group.parts.pool
    return Extent(
        rows=rows if isinstance(rows, int) else None,
        columns=_least(columns),
        channels=problem.channels,
        depth=problem.depth,
        sweeps=problem.kys * problem.kxs,
        row_unit=pool.rows if pool else 1,
        column_unit=pool.columns if pool else 1,
    )


def _contract(
    group: Anchored,
    problem: Problem,
    extent: Extent,
    block: RegisterBlock,
    width: int,
    fixed: tuple[tuple[str, int], ...],
) -> Contract:
    parts = group.parts
    return Contract(
        block=block,
        tail="single" if extent.columns is None else "overlap",
        masked=problem.channels % width != 0,
        epilogue=Epilogue(
            parts.loads, parts.block, parts.pooled, parts.pool, parts.after, parts.result
        ),
        bias=parts.bias is not None,
        fixed=fixed,
        stretched=problem.depth > LONG_DEPTH,
        streamed=_is_streamed(problem, extent),
    )


def _is_streamed(problem: Problem, extent: Extent) -> bool:
    """Whether the weights are read from memory rather than a cache: many, for few pixels."""
    if extent.rows is None or extent.columns is None:
        return False
    few = extent.rows * extent.columns <= STREAMED_PIXELS
    weights = problem.depth * problem.channels * problem.groups * FLOAT32.itemsize
    return few and weights >= STREAMED_BYTES


def _fixed_sizes(problem: Problem) -> tuple[tuple[str, int], ...]:
    """The sizes of a sum so short that its loops cost more than its products."""
    x_col, x_kx = problem.x_col, problem.x_kx
    if not isinstance(x_col, int) or not isinstance(x_kx, int):
        return ()
    sums = (("kys", problem.kys), ("kxs", problem.kxs), ("run", problem.run))
    return (*sums, ("x_col", x_col), ("x_kx", x_kx))


def _sizes(problem: Problem, rows: Size, columns: Size, width: int, pixels: int) -> Sizes:
    panels = -(-problem.channels // width)
    return [
        ("images", problem.images),
        ("rows", rows),
        ("cols", columns),
        ("panels", panels * problem.groups),
        ("group_panels", panels),
        ("channels", problem.channels),
        ("kys", problem.kys),
        ("kxs", problem.kxs),
        ("run", problem.run),
        ("chunk", _chunk(problem, pixels)),
        ("x_image", problem.x_image),
        ("x_row", problem.x_row),
        ("x_col", problem.x_col),
        ("x_ky", problem.x_ky),
        ("x_kx", problem.x_kx),
        ("x_group", problem.x_group),
        ("w_image", problem.depth * panels * width if problem.batch_axes else 0),
    ]


def _results(group: Anchored) -> list[tuple[str, Placed]]:
    """The arrays with the shape of the output: the result, and full-size epilogue operands."""
    loads = [(load.pointer, group.layout(load.node)) for load in group.parts.element_loads]
    return [("y", group.result), *loads]


def _result_strides(name: str, layout: Placed, problem: Problem) -> Sizes:
    """(image, row, column) strides of an array with the shape of the output."""
    strides = (0 if axis is None else layout.strides[axis] for axis in problem.walked)
    return [(f"{name}_{what}", s) for what, s in zip(("image", "row", "col"), strides, strict=True)]


def _chunk(problem: Problem, pixels: int) -> int:
    """Blocks whose operand stays in a core's cache."""
    block_bytes = pixels * problem.run * problem.kys * FLOAT32.itemsize
    return max(1, CHUNK_BYTES // max(1, block_bytes))


def _product(sizes: tuple[Size, ...]) -> Size:
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def _least(size: Size) -> int | None:
    """What is known of a column count: all pixels of ``N`` images are at least one image's."""
    if isinstance(size, int):
        return size
    if len(size.terms) == 1 and size.terms[0][0] == ("N",) and size.terms[0][1] > 1:
        return size.terms[0][1]
    return None
