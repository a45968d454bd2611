"""Builds ``GridContract`` kernels: products of matrices, convolutions, gradients of kernels.

Operands are read where they lie; around images nothing does, for loads outside are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from ...ir.graph import Graph
from ...ir.kinds import Contraction, KernelGradient
from ...ir.types import Size, product
from ...loops.anchored import Anchored, Strides, match_anchored
from ...loops.arguments import ABSENT, Pointer
from ...loops.layout import Launch, Placed, are_even
from ...ops.windowing import Pairs, resolve_padding
from ..arguments import GridContractArguments
from ..bodies import GridContract
from ..grids import with_grid
from ..tiling import choose_tile

LONG_DEPTH = 640  # products from which a sum is blocked, for less rounding
Arguments: TypeAlias = GridContractArguments[Pointer, Size]
# Axes of the result along which images, rows and columns follow one another.
Walked: TypeAlias = "tuple[int | None, int | None, int | None]"
FLAT: Walked = (None, None, -2)  # all but the last axis walked as one
PLAIN: dict[str, Size] = {
    **dict.fromkeys(("kys", "kxs", "stride_y", "stride_x", "step_y", "step_x"), 1),
    **dict.fromkeys(("x_line", "w_ky", "w_kx"), 0),
}


@dataclass(frozen=True)
class _Problem:
    """A contraction as the kernel sees it.

    Attributes:
        sizes: its arguments but pointers and the epilogue's.
        walked: see ``Walked``.
        padding: of images; empty where there are none.
        image: rows and columns of those.
        gradient: whether it is one of a kernel.
    """

    sizes: dict[str, Size]
    walked: Walked
    padding: Pairs = ()
    image: tuple[Size, ...] = ()
    gradient: bool = False

    @property
    def is_padded(self) -> bool:
        return any(side != 0 for pair in self.padding for side in pair)

    def extent(self, *names: str) -> Size:
        sizes = PLAIN | self.sizes
        return product(sizes[name] for name in names)


def build_contract(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch | None:
    """The launch for a group around one contraction, or None where the kernel does not fit it."""
    group = match_anchored(body, operands, results, Contraction)
    if group is None:
        return None
    layouts = (group.x, *group.results, *group.element_layouts)
    right = group.layout(group.anchor.inputs[1])
    if any(layout.strides[-1] != 1 for layout in (*layouts, right)):
        return None
    problems: dict[str, Callable[[Anchored, Sequence[Placed]], _Problem | None]] = {
        "matmul": _matmul,
        "transposed_matmul": _transposed,
        "conv2d": _convolution,
    }
    kind = group.anchor.op.kind.form
    problem = problems[kind](group, layouts) if kind in problems else None
    return None if problem is None else _launch(group, problem, name)


def build_kernel_gradient(group: Anchored, name: str) -> Launch:
    """The launch for a ``conv2d_kernel_gradient``."""
    return _launch(group, _kernel_gradient(group), name)


def _launch(group: Anchored, problem: _Problem, name: str) -> Launch:
    depth = problem.extent("kys", "kxs", "total" if "total" in problem.sizes else "run")
    contract = _contract(group, problem, depth)
    left, right = group.anchor.inputs
    border: dict[str, Size] = {}
    if problem.is_padded:
        (top, _), (before, _) = problem.padding
        height, breadth = problem.image
        border = {"top": top, "left": before, "height": height, "breadth": breadth}
    arguments: Arguments = GridContractArguments(
        x=group.origin(left),
        w=group.origin(right),
        **(PLAIN | problem.sizes | border),
        epilogue=group.epilogue(partial(_walked, problem.walked)),
    )
    rows = problem.extent("images", "rows", "cols") * _window(group)
    channels, batches = problem.extent("groups", "channels"), problem.sizes["batches"]
    flops = rows * channels * depth * 2 * (1 if contract.split else batches)
    launch = group.launch(name, contract, arguments, flops)
    if contract.tile is None:
        units = problem.extent("batches", "images", "rows", "cols", "groups", "channels")
        return with_grid(launch, units)
    tiles = _tiles(rows, contract.tile.rows) * _tiles(
        problem.sizes["channels"], contract.tile.columns
    )
    return with_grid(launch, tiles * batches * problem.sizes["groups"], "block")


def _contract(group: Anchored, problem: _Problem, depth: Size) -> GridContract:
    run, split = problem.sizes["run"], "total" in problem.sizes
    rows = problem.extent("images", "rows", "cols") * _window(group)
    is_long = not isinstance(depth, int) or depth > LONG_DEPTH
    return GridContract(
        epilogue=group.matched.epilogue,
        bias=group.matched.bias is not None,
        padded=problem.is_padded,
        split=split,
        blocked_sum=is_long,
        tile=choose_tile(rows, problem.sizes["channels"], depth, _window(group)),
        gradient=problem.gradient,
        taps=problem.extent("kys", "kxs") != 1,
        fours=isinstance(run, int) and run % 4 == 0 and not split,
        across=problem.sizes["x_run"] != 1,
    )


def _window(group: Anchored) -> int:
    """Places of a pooling window: so many rows of the product make one result."""
    pool = group.matched.pool
    return pool.rows * pool.columns if pool else 1


def _tiles(size: Size, tile: int) -> Size:
    return (size + (tile - 1)) // tile


def _walked(walked: Walked, layout: Placed) -> Strides:
    """(image, row, column) strides of an array with the shape of the output."""
    image, row, col = (0 if axis is None else layout.strides[axis] for axis in walked)
    return image, row, col


# Products of matrices


def _matmul(group: Anchored, layouts: Sequence[Placed]) -> _Problem | None:
    x, w = group.x, group.layout(group.anchor.inputs[1])
    rank, batched = x.type.rank, w.type.rank > 2
    if min(rank, w.type.rank) < 2 or (batched and x.type.shape[:-2] != w.type.shape[:-2]):
        return None
    walked: Walked
    extents: tuple[Size, Size, Size]
    if batched:
        if not all(are_even(layout, 0, layout.type.rank - 3) for layout in (*layouts, w)):
            return None
        walked, extents = (-3, None, -2), (1, 1, x.type.shape[-2])
    elif all(are_even(layout, 0, rank - 2) for layout in layouts):
        walked, extents = FLAT, (1, 1, product(x.type.shape[:-1]))
    elif rank in (3, 4):
        walked = (0, None, 1) if rank == 3 else (0, 1, 2)
        extents = _extents(walked, x)
    else:
        return None
    image, line, pixel = (0 if axis is None else x.strides[axis] for axis in walked)
    return _Problem(
        _matrices(group, extents, x.type.shape[-1])
        | {
            "batches": product(x.type.shape[:-2]) if batched else 1,
            "x_batch": x.strides[-3] if batched else 0,
            "x_image": 0 if batched else image,
            "x_line": line,
            "x_pixel": pixel,
            "x_run": 1,
            "w_batch": w.strides[-3] if batched else 0,
        },
        walked,
    )


def _extents(walked: Walked, x: Placed) -> tuple[Size, Size, Size]:
    images, rows, cols = (1 if axis is None else x.type.shape[axis] for axis in walked)
    return images, rows, cols


def _matrices(group: Anchored, extents: tuple[Size, Size, Size], run: Size) -> dict[str, Size]:
    """What all products of matrices have in common."""
    images, rows, cols = extents
    right = group.layout(group.anchor.inputs[1])
    return {
        "images": images,
        "rows": rows,
        "cols": cols,
        "groups": 1,
        "channels": right.type.shape[-1],
        "run": run,
        "w_run": right.strides[-2],
        "x_group": 0,
        "y_batch": ABSENT,
    }


def _transposed(group: Anchored, layouts: Sequence[Placed]) -> _Problem | None:
    x, w, anchor = group.x, group.layout(group.anchor.inputs[1]), group.anchor
    if not all(are_even(layout, 0, layout.type.rank - 3) for layout in (*layouts, w)):
        return None
    steps, split, batched = x.type.shape[-2], anchor.attrs["split"], x.type.rank > 2
    sizes = _matrices(group, (1, 1, anchor.shape[-2]), split or steps) | {
        "batches": product(anchor.shape[:-2]),
        "x_batch": x.strides[-3] if batched else 0,
        "x_image": 0,
        "x_pixel": 1,
        "x_run": x.strides[-2],
        "w_batch": w.strides[-3] if batched else 0,
    }
    if not split:
        return _Problem(sizes, (-3 if batched else None, None, -2))
    parts = {
        "x_batch": split * x.strides[-2],
        "w_batch": split * w.strides[-2],
        "y_batch": group.result.strides[-3],
        "total": steps,
    }
    return _Problem(sizes | parts, FLAT)


# Convolutions


def _convolution(group: Anchored, layouts: Sequence[Placed]) -> _Problem:
    anchor, x = group.anchor, group.x
    kernel, attrs = group.layout(anchor.inputs[1]), anchor.attrs
    kh, kw, cin, cout = (size for size in kernel.type.shape if isinstance(size, int))
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    image, line, pixel, _ = x.strides
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    pool = group.matched.pool
    rows, cols = anchor.shape[1:3]
    if pool is not None:
        rows, cols = rows // pool.rows, cols // pool.columns
    plain = (kh, kw, sy, sx) == (1, 1, 1, 1) and all(pair == (0, 0) for pair in padding)
    flat = plain and pool is None and all(are_even(layout, 0, 2) for layout in layouts)
    images = anchor.shape[0]
    sizes: dict[str, Size] = {
        "batches": 1,
        "images": 1 if flat else images,
        "rows": 1 if flat else rows,
        "cols": images * rows * cols if flat else cols,
        "groups": groups,
        "channels": cout // groups,
        "kys": kh,
        "kxs": kw,
        "run": cin,
        "x_batch": 0,
        "x_image": 0 if flat else image,
        "x_line": 0 if flat else line,
        "x_pixel": pixel,
        "x_run": 1,
        "x_group": cin,
        "w_batch": 0,
        "w_ky": kernel.strides[0],
        "w_kx": kernel.strides[1],
        "w_run": kernel.strides[2],
        "y_batch": ABSENT,
        "stride_y": sy,
        "stride_x": sx,
        "step_y": dy,
        "step_x": dx,
    }
    return _Problem(sizes, FLAT if flat else (0, 1, 2), padding, x.type.shape[1:3])


def _kernel_gradient(group: Anchored) -> _Problem:
    """Places of the window are rows and columns, channels are images; images are summed over."""
    anchor, x, grad = group.anchor, group.x, group.layout(group.anchor.inputs[1])
    attrs, (kh, kw) = anchor.attrs, anchor.attrs["window"]
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    image, line, pixel, _ = x.strides
    images, lines, cols, filters = grad.type.shape
    cin, split = anchor.shape[-2], attrs["split"]
    assert split is None or split[1] >= lines, "splits are of whole images"
    sizes: dict[str, Size] = {
        "batches": 1 if split is None else anchor.shape[0],
        "images": cin,
        "rows": kh,
        "cols": kw,
        "groups": groups,
        "channels": filters // groups,
        "kys": lines,
        "kxs": cols,
        "run": images if split is None else split[0],
        "x_batch": 0 if split is None else split[0] * image,
        "x_image": 1,
        "x_line": line,
        "x_pixel": pixel,
        "x_run": image,
        "x_group": cin,
        "w_batch": 0 if split is None else split[0] * grad.strides[0],
        "w_ky": grad.strides[1],
        "w_kx": grad.strides[2],
        "w_run": grad.strides[0],
        "y_batch": ABSENT if split is None else group.result.strides[0],
        "stride_y": dy,
        "stride_x": dx,
        "step_y": sy,
        "step_x": sx,
    }
    if split is not None:
        sizes["total"] = images
    padding = resolve_padding(x.type.shape[1:3], (kh, kw), (sy, sx), (dy, dx), attrs["padding"])
    return _Problem(sizes, (-2, -4, -3), padding, x.type.shape[1:3], gradient=True)


def match_kernel_gradient(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> Anchored:
    """The group of a gradient of a kernel."""
    group = match_anchored(body, operands, results, KernelGradient)
    assert group is not None, "kernel gradients of float32 are groups of their own"
    return group
