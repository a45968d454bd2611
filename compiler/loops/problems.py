"""Contractions as the ``Contract`` kernel sees them: extents, and where the operands are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..ir.graph import Node
from ..ir.types import Shape, Size, product
from ..ops.windowing import resolve_padding
from .anchored import Anchored
from .layout import Placed, are_even

Walked: TypeAlias = "tuple[int | None, int | None, int | None]"
FLAT: Walked = (None, None, -2)  # all but the last axis walked as one
PAGE_ROWS = 1024  # elements of a row: 4 KB
MANY_WEIGHTS = 2**20
USUAL_SIZE = 64  # of a size of which nothing is known


@dataclass(frozen=True)
class Rows:
    """A right operand read where it lies, rows of channels: how far apart along each loop."""

    offset: Size
    image: Size
    ky: Size
    kx: Size
    run: Size


@dataclass(frozen=True)
class Split:
    """Split-K: a loop of the sum that is split, each partial sum an image.

    ``total`` counts all steps.
    """

    loop: str  # "kys", "kxs" or "run"; the problem has the steps of one split
    total: Size


@dataclass(frozen=True)
class Clip:
    """Rows of zeros around an image that need not be read: ``above`` it, and its own ``height``."""

    above: Size
    height: Size


@dataclass(frozen=True)
class Problem:
    """A contraction as the kernel sees it: extents, and strides of the operand.

    ``walked`` are the axes of the output along which images, rows and columns follow one another.
    ``right`` is None for weights in panels. With ``transposed``, columns are neighbours in memory.
    """

    walked: Walked
    images: Size
    rows: Size
    columns: Size
    channels: Size  # per group
    groups: int
    kys: Size
    kxs: Size
    run: Size
    x_offset: Size
    x_image: Size
    x_row: Size
    x_col: Size
    x_ky: Size
    x_kx: Size
    x_run: Size = 1
    x_group: int = 0
    y_offset: Size = 0
    batch_axes: int = 0
    right: Rows | None = None
    transposed: bool = False
    splits: tuple[Split, ...] = ()
    clip: Clip | None = None

    @property
    def depth(self) -> Size:
        """Products of one sum."""
        return self.kys * self.kxs * self.run

    @property
    def steps(self) -> tuple[int, int, int]:
        """Steps of the three loops of a sum, as far as they are known."""
        return known(self.kys), known(self.kxs), known(self.run)

    @property
    def flops(self) -> Size:
        """What it computes."""
        totals = {split.loop: split.total for split in self.splits}
        outputs: Size = self.rows * self.columns * (2 * self.channels * self.groups)
        if not self.splits:
            outputs = outputs * self.images
        for loop in ("kys", "kxs", "run"):
            outputs = outputs * totals.get(loop, getattr(self, loop))
        return outputs


def matmul_problem(group: Anchored, layouts: Sequence[Placed]) -> Problem | None:
    """A matrix product; ``layouts`` are those of the operand and what has the result's shape."""
    (left, right), x = (operand.shape for operand in group.anchor.inputs), group.x
    if len(right) < 2 or len(left) < 2:
        return None
    depth, channels = right[-2:]
    if len(right) > 2 and left[:-2] != right[:-2]:
        return None
    in_place = _rows_of_matrices(group)
    if isinstance(depth, int) and (in_place is None or pays_packing(group)):
        in_place = None
    elif in_place is None:
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
        right=in_place,
    )


def pays_packing(group: Anchored) -> bool:
    """Whether a launch that packs the weights pays.

    It does where packing is done once for many calls or all steps of a loop, and where the weights
    exceed the cache and their rows, a page each, would be read in pieces repeatedly.
    """
    weights = group.layout(group.anchor.inputs[1])
    elements = weights.type.elements
    many = isinstance(elements, int) and elements > MANY_WEIGHTS
    return weights.kept or (many and _fills_pages(weights.strides[-2]))


def _fills_pages(row: Size) -> bool:
    return isinstance(row, int) and row >= PAGE_ROWS


def _rows_of_matrices(group: Anchored) -> Rows | None:
    """The right operand of a matrix product where it lies, a matrix for each of the left one."""
    placed = group.layout(group.anchor.inputs[1])
    rank = placed.type.rank
    if placed.strides[-1] != 1 or not are_even(placed, 0, rank - 3):
        return None
    image: Size = placed.strides[-3] if rank > 2 else 0
    return Rows(placed.origin, image, 0, 0, placed.strides[-2])


def _matmul_walk(
    left: Shape, batched: bool, layouts: Sequence[Placed]
) -> tuple[Walked, tuple[Size, Size, Size]] | None:
    """How to walk the rows of a product: as one if there are no gaps between them."""
    rank = len(left)
    if batched:
        even = all(are_even(layout, 0, rank - 3) for layout in layouts)
        return ((-3, None, -2), (product(left[:-2]), 1, left[-2])) if even else None
    if all(are_even(layout, 0, rank - 2) for layout in layouts):
        return FLAT, (1, 1, product(left[:-1]))
    if rank == 3:
        return (0, None, 1), (left[0], 1, left[1])
    return ((0, 1, 2), (left[0], left[1], left[2])) if rank == 4 else None


def transposed_problem(group: Anchored, layouts: Sequence[Placed]) -> Problem | None:
    """Rows of the left operand times those of the right one: both lie as the kernel reads them."""
    anchor, x, right = group.anchor, group.x, _rows_of_matrices(group)
    steps, channels = anchor.inputs[1].shape[-2:]
    if right is None:
        return None
    if not all(are_even(layout, 0, layout.type.rank - 3) for layout in layouts):
        return None
    batched, split = x.type.rank > 2, anchor.attrs["split"]
    return Problem(
        walked=(None if not (batched or split) else -3, None, -2),
        images=product(anchor.shape[:-2]),
        rows=1,
        columns=anchor.shape[-2],
        channels=channels,
        groups=1,
        kys=1,
        kxs=1,
        run=split or steps,
        x_offset=x.origin,
        x_image=x.strides[-3] if batched else 0,
        x_row=0,
        x_col=1,
        x_ky=0,
        x_kx=0,
        x_run=x.strides[-2],
        batch_axes=x.type.rank - 2,
        right=None if not split and _fills_pages(right.run) else right,
        transposed=True,
        splits=(Split("run", steps),) if split else (),
    )


def conv_problem(group: Anchored, layouts: Sequence[Placed]) -> Problem | None:
    """A convolution: images in place, with a halo around them where the padding asks for one."""
    anchor, x = group.anchor, group.x
    flat = all(are_even(layout, 0, 2) for layout in layouts) and group.matched.pool is None
    kh, kw, cin, cout = (size for size in anchor.inputs[1].shape if isinstance(size, int))
    attrs = anchor.attrs
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    image, row, pixel, _ = x.strides
    images, rows, cols = anchor.shape[:3]
    # Without gaps between pixels a row of the window is one run of memory.
    whole = dx == 1 and groups == 1 and pixel == cin
    padding = _padding(anchor, x, (kh, kw))
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
        x_offset=first_seen(x, padding),
        x_image=image,
        x_row=row * sy,
        x_col=pixel * sx,
        x_ky=row * dy,
        x_kx=pixel * dx,
        x_group=cin,
        right=None if pays_packing(group) else _rows_of_kernel(group),
        clip=_clip(padding[0], (sy, dy), x.type.shape[1]),
    )


def _clip(padding: tuple[Size, Size], steps: tuple[int, int], height: Size) -> Clip | None:
    """What can be left out of a window that moves by single rows."""
    if steps != (1, 1) or padding == (0, 0):
        return None
    return Clip(padding[0], height)


def _rows_of_kernel(group: Anchored) -> Rows:
    """The kernel of a convolution where it lies."""
    placed = group.layout(group.anchor.inputs[1])
    return Rows(placed.origin, 0, *placed.strides[:3])


def kernel_gradient_problems(group: Anchored) -> tuple[Problem, ...]:
    """The gradient of a convolution's kernel: its elements are the outputs, positions are summed.

    A row of the window is one run of memory, as in ``conv_problem``; else there is a problem for
    each place in it.
    """
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    image, row, pixel, _ = x.strides
    images, lines, run, filters = grad.type.shape
    cin = anchor.shape[-2]
    assert isinstance(cin, int) and isinstance(filters, int), "kernels have known channels"
    split_images, split_lines = attrs["split"]
    whole_lines = isinstance(lines, int) and lines <= split_lines
    splits = [Split("kys", images)] + ([] if whole_lines else [Split("kxs", lines)])
    whole = dx == 1 and groups == 1 and pixel == cin
    first = first_seen(x, _padding(anchor, x, (kh, kw)))
    return tuple(
        Problem(
            walked=(0, 1, 3),
            images=anchor.shape[0],
            rows=kh,
            columns=kw * cin if whole else cin,
            channels=filters // groups,
            groups=groups,
            kys=split_images,
            kxs=lines if whole_lines else split_lines,
            run=run,
            x_offset=first + pixel * (kx * dx),
            x_image=0,
            x_row=row * dy,
            x_col=1,
            x_ky=image,
            x_kx=row * sy,
            x_run=pixel * sx,
            x_group=cin,
            y_offset=group.result.strides[2] * kx,
            right=Rows(grad.origin, 0, *grad.strides[:3]),
            transposed=True,
            splits=tuple(splits),
        )
        for kx in range(1 if whole else kw)
    )


Padding: TypeAlias = "Sequence[tuple[Size, Size]]"


def _padding(anchor: Node, x: Placed, window: tuple[int, int]) -> Padding:
    attrs = anchor.attrs
    return resolve_padding(
        x.type.shape[1:3], window, attrs["strides"], attrs["dilation"], attrs["padding"]
    )


def first_seen(x: Placed, padding: Padding) -> Size:
    """Where the first window starts: in the halo, if there is padding."""
    return x.origin - padding[0][0] * x.strides[1] - padding[1][0] * x.strides[2]


def known(size: Size) -> int:
    """``size``, or what is usual where a call tells."""
    return size if isinstance(size, int) else USUAL_SIZE
