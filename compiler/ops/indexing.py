"""Ops that join values, pick rows by index, and count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import REQUIRED, Node, Op, Order, Sample
from ..ir.kinds import Composite, Concatenation, Gather, Iota, NoGrad, ScatterAdd
from ..ir.types import FLOAT32, INT32, DType, Shape, TensorType, dtype_of
from .building import pieces, reshaped
from .reductions import EXACT
from .registry import TypedOp, ops, register
from .rules import equal_sizes, normal_axis, same_size, want_integer, want_number, want_same_dtype

# concatenate


def _concatenate_type(*types: TensorType, axis: int) -> TensorType:
    if not types:
        raise ValueError("expected at least one operand")
    want_same_dtype(*types)
    place = normal_axis(axis, types[0].rank)
    for other in types[1:]:
        if not _alike(types[0], other, place):
            raise ValueError(
                f"expected operands that differ along axis {axis} only, got {types[0]} and {other}"
            )
    total: Size = 0
    for type_ in types:
        total = total + type_.shape[place]
    shape = types[0].shape
    return types[0].with_shape((*shape[:place], total, *shape[place + 1 :]))


def _alike(left: TensorType, right: TensorType, place: int) -> bool:
    if left.rank != right.rank:
        return False
    pairs = enumerate(zip(left.shape, right.shape, strict=True))
    return all(axis == place or a == b for axis, (a, b) in pairs)


def _concatenate(*arrays: Any, axis: int) -> Any:
    return np.concatenate(arrays, axis)


def _concatenate_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    place = normal_axis(node.attrs["axis"], node.tensor_type.rank)
    return tuple(pieces(grad, place, [operand.shape[place] for operand in node.inputs]))


concatenate = register(
    Op(
        "concatenate",
        _concatenate_type,
        _concatenate,
        Concatenation(),
        {"axis": REQUIRED},
        _concatenate_gradient,
        (
            Sample(("f32[2, 3]", "f32[2, 1]", "f32[2, 4]"), {"axis": 1}),
            Sample(("f32[2, 3]", "f32[1, 3]"), {"axis": -2}),
        ),
        "Operands side by side along one axis.",
    )
)


# gather and its gradient


def _gather_type(x: TensorType, indices: TensorType, *, axis: int, **_: Any) -> TensorType:
    want_integer(indices)
    place = normal_axis(axis, x.rank)
    return x.with_shape((*x.shape[:place], *indices.shape, *x.shape[place + 1 :]))


def _gather(x: Any, indices: Any, *, axis: int, from_end: bool, fill: float | None) -> Any:
    place = normal_axis(axis, x.ndim)
    rows, inside = _rows_named(indices, x.shape[place], from_end)
    value = np.asarray(gather_fill(dtype_of(x.dtype), fill)).astype(x.dtype)
    if not x.shape[place]:
        shape = (*x.shape[:place], *np.shape(rows), *x.shape[place + 1 :])
        return np.full(shape, value)
    picked = np.take(x, rows, place)
    tail = (1,) * (x.ndim - 1 - place)
    return np.where(np.reshape(inside, (*np.shape(inside), *tail)), picked, value)


def gather_fill(dtype: DType, fill: float | None) -> float:
    """What stands where an integer names no row: NaN, of integers the least (uint8: the most)."""
    if fill is not None:
        return fill
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        return int(limits.min or limits.max)
    return math.nan


def _rows_named(indices: Any, size: int, from_end: bool) -> tuple[Any, Any]:
    """The rows that integers name, 0 for those which name none, and whether they name one."""
    rows = np.asarray(indices, "int64")
    rows = np.where(rows < 0, rows + size, rows) if from_end else rows
    inside = (rows >= 0) & (rows < size)
    return np.where(inside, rows, 0), inside


def _gather_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    x, indices = node.inputs
    place = normal_axis(node.attrs["axis"], x.tensor_type.rank)
    from_end = node.attrs["from_end"]
    back = ops.scatter_add(grad, indices, axis=place, size=x.shape[place], from_end=from_end)
    return back, None


gather = register(
    Op(
        "gather",
        _gather_type,
        _gather,
        Gather(),
        {"axis": 0, "from_end": True, "fill": None},
        _gather_gradient,
        (
            Sample(("f32[5, 3]", "i32[2, 4]"), {"axis": 0}, -5, 4),
            Sample(("f32[2, 5, 3]", "i32[4]"), {"axis": 1}, -5, 4),
            Sample(("f32[5, 3]", "i64[9]"), {"from_end": False, "fill": 2.5}, -3, 7),
        ),
        "Rows of x picked by integers along one axis; those below 0 count from the end, unless "
        "``from_end`` is False. Where there is no such row stands ``fill``: NaN, of integers the "
        "least, unless given.",
    )
)


def _scatter_type(
    x: TensorType, indices: TensorType, *, axis: int, size: Size, **_: Any
) -> TensorType:
    want_number(x)
    want_integer(indices)
    if not isinstance(axis, int) or axis < 0 or axis + indices.rank > x.rank:
        raise ValueError(f"expected {indices.rank} axes from axis {axis} on, got {x}")
    window = x.shape[axis : axis + indices.rank]
    if not all(map(same_size, window, indices.shape)):
        raise ValueError(f"expected axes of {indices} from axis {axis} on, got {x}")
    return x.with_shape((*x.shape[:axis], size, *x.shape[axis + indices.rank :]))


def _scatter_add(x: Any, indices: Any, *, axis: int, size: int, from_end: bool) -> Any:
    lead, tail = x.shape[:axis], x.shape[axis + indices.ndim :]
    rows = np.moveaxis(x.reshape(*lead, indices.size, *tail), axis, 0)
    wide = "float64" if x.dtype.kind == "f" else x.dtype  # rows are added one by one
    result = np.zeros((size, *lead, *tail), wide)
    named, inside = _rows_named(indices.reshape(-1), size, from_end)
    np.add.at(result, named[inside], rows[inside])
    return np.moveaxis(result, 0, axis).astype(x.dtype)


def _scatter_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    axis, from_end = node.attrs["axis"], node.attrs["from_end"]
    return ops.gather(grad, node.inputs[1], axis=axis, from_end=from_end, fill=0), None


def _scatter_orders(node: Node) -> Iterator[Order]:
    """An integer for each row."""
    rows, indices = (operand.shape for operand in node.inputs)
    return equal_sizes(rows[node.attrs["axis"] :], indices)


scatter_add = register(
    Op(
        "scatter_add",
        _scatter_type,
        _scatter_add,
        ScatterAdd(),
        {"axis": 0, "size": REQUIRED, "from_end": True},
        _scatter_gradient,
        (
            Sample(("f32[2, 4, 3]", "i32[2, 4]"), {"axis": 0, "size": 5}, -7, 6),
            Sample(("f32[2, 4, 3]", "i32[4]"), {"axis": 1, "size": 6}, -6, 5),
            Sample(("f64[4, 3]", "i32[4]"), {"size": 3, "from_end": False}, -2, 4),
        ),
        "``size`` rows of zeros along one axis, to which rows of x are added at integers: what "
        "gather reads, written back. Rows for which there is no place are left out.",
        _scatter_orders,
    )
)


# iota and one_hot


def _iota_type(*, shape: Shape, axis: int, dtype: DType | str) -> TensorType:
    normal_axis(axis, len(shape))
    return TensorType(dtype_of(dtype), tuple(shape))


def _iota(*, shape: tuple[int, ...], axis: int, dtype: DType | str) -> Any:
    place = normal_axis(axis, len(shape))
    steps = np.arange(shape[place], dtype=dtype_of(dtype).numpy)
    column = steps.reshape(-1, *(1,) * (len(shape) - 1 - place))
    return np.broadcast_to(column, shape)


iota = register(
    TypedOp(
        "iota",
        _iota_type,
        _iota,
        Iota(),
        {"shape": REQUIRED, "axis": 0, "dtype": "int32"},
        NoGrad("counting does not vary"),
        (Sample((), {"shape": (2, 3, 4), "axis": 1, "dtype": "int32"}),),
        "Each element is its own index along one axis.",
    )
)


def _one_hot_type(indices: TensorType, *, depth: Size, dtype: DType | str) -> TensorType:
    want_integer(indices)
    return TensorType(dtype_of(dtype), (*indices.shape, depth))


def _one_hot(indices: Any, *, depth: int, dtype: DType | str) -> Any:
    return (indices[..., None] == np.arange(depth, dtype="int64")).astype(dtype_of(dtype).numpy)


def _one_hot_expand(node: Node) -> Node:
    (indices,) = node.inputs
    depth = node.attrs["depth"]
    if isinstance(depth, int) and depth <= EXACT:
        # Kernels compare floats in vectors. An integer beyond these rounds to none of them.
        indices = ops.cast(indices, dtype=FLOAT32)
    elif indices.dtype.itemsize < INT32.itemsize:
        indices = ops.cast(indices, dtype=INT32)  # which counts as far as the classes go
    steps = ops.iota(shape=(depth,), axis=0, dtype=indices.dtype)
    hit = ops.equal(reshaped(indices, (*indices.shape, 1)), steps)
    return hit if node.dtype.name == "bool" else ops.cast(hit, dtype=node.dtype)


one_hot = register(
    TypedOp(
        "one_hot",
        _one_hot_type,
        _one_hot,
        Composite(_one_hot_expand),
        {"depth": REQUIRED, "dtype": "float32"},
        NoGrad("integers have no derivative"),
        (Sample(("i32[2, 4]",), {"depth": 5}, -1, 6),),
        "1 at the index that an integer names along a new last axis, else 0.",
    )
)
