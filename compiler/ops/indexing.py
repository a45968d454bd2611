"""Ops that join values, pick rows by index, and count."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir import REQUIRED, Node, Op, Sample
from ..lowering import Composite, Concatenation, Gather, Iota, NoGrad, ScatterAdd
from ..types import FLOAT32, DType, Shape, TensorType, dtype_of, product
from .building import number, pieces, reshaped
from .reductions import EXACT
from .registry import TypedOp, ops, register
from .rules import normal_axis, same_size, want_integer, want_same_dtype

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


def _gather_type(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    want_integer(indices)
    place = normal_axis(axis, x.rank)
    return x.with_shape((*x.shape[:place], *indices.shape, *x.shape[place + 1 :]))


def _gather(x: Any, indices: Any, *, axis: int) -> Any:
    return np.take(x, indices, axis, mode="clip")


def _gather_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    x, indices = node.inputs
    place = normal_axis(node.attrs["axis"], x.tensor_type.rank)
    return ops.scatter_add(grad, indices, axis=place, size=x.shape[place]), None


gather = register(
    Op(
        "gather",
        _gather_type,
        _gather,
        Gather(),
        {"axis": 0},
        _gather_gradient,
        (
            Sample(("f32[5, 3]", "i32[2, 4]"), {"axis": 0}, 0, 4),
            Sample(("f32[2, 5, 3]", "i32[4]"), {"axis": 1}, 0, 4),
        ),
        "Rows of x picked by integers along one axis; integers outside are clamped.",
    )
)


def _scatter_type(x: TensorType, indices: TensorType, *, axis: int, size: Size) -> TensorType:
    want_integer(indices)
    if not isinstance(axis, int) or axis < 0 or axis + indices.rank > x.rank:
        raise ValueError(f"expected {indices.rank} axes from axis {axis} on, got {x}")
    window = x.shape[axis : axis + indices.rank]
    if not all(map(same_size, window, indices.shape)):
        raise ValueError(f"expected axes of {indices} from axis {axis} on, got {x}")
    return x.with_shape((*x.shape[:axis], size, *x.shape[axis + indices.rank :]))


def _scatter_add(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    lead, tail = x.shape[:axis], x.shape[axis + indices.ndim :]
    rows = np.moveaxis(x.reshape(*lead, indices.size, *tail), axis, 0)
    result = np.zeros((size, *lead, *tail), x.dtype)
    np.add.at(result, np.clip(indices.reshape(-1), 0, size - 1), rows)
    return np.moveaxis(result, 0, axis)


def _scatter_expand(node: Node) -> Node:
    """As a product with the matrix that is 1 where a row has the wanted index."""
    x, indices = node.inputs
    axis, size = node.attrs["axis"], node.attrs["size"]
    lead, tail = x.shape[:axis], x.shape[axis + indices.tensor_type.rank :]
    picked: Size = indices.tensor_type.elements
    last = ops.subtract(_size_number(size, indices), number(1, indices))
    clamped = ops.maximum(ops.minimum(indices, last), number(0, indices))
    hot = ops.one_hot(reshaped(clamped, (picked,)), depth=size, dtype=x.dtype)
    rank = len(lead) + 1 + len(tail)
    order = (*range(axis), *range(axis + 1, rank), axis)
    rows = ops.transpose(reshaped(x, (*lead, picked, *tail)), axes=order)
    summed = ops.matmul(reshaped(rows, (product((*lead, *tail)), picked)), hot)
    back = (*range(axis), rank - 1, *range(axis, rank - 1))
    return ops.transpose(reshaped(summed, (*lead, *tail, size)), axes=back)


def _size_number(size: Size, like: Node) -> Node:
    if isinstance(size, int):
        return number(size, like)
    steps = ops.iota(shape=(size,), axis=0, dtype=like.dtype)
    return ops.add(ops.max(steps, axes=(0,)), number(1, like))


def _scatter_gradient(node: Node, grad: Node) -> tuple[Node | None, ...]:
    return ops.gather(grad, node.inputs[1], axis=node.attrs["axis"]), None


scatter_add = register(
    Op(
        "scatter_add",
        _scatter_type,
        _scatter_add,
        ScatterAdd(_scatter_expand),
        {"axis": 0, "size": REQUIRED},
        _scatter_gradient,
        (
            Sample(("f32[2, 4, 3]", "i32[2, 4]"), {"axis": 0, "size": 5}, 0, 4),
            Sample(("f32[2, 4, 3]", "i32[4]"), {"axis": 1, "size": 6}, 0, 4),
        ),
        "``size`` rows of zeros along one axis, to which rows of x are added at integers: what "
        "gather reads, written back.",
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
    steps = np.arange(depth, dtype=indices.dtype)
    return (indices[..., None] == steps).astype(dtype_of(dtype).numpy)


def _one_hot_expand(node: Node) -> Node:
    (indices,) = node.inputs
    depth = node.attrs["depth"]
    if isinstance(depth, int) and depth <= EXACT:
        # Kernels compare floats in vectors. An integer beyond these rounds to none of them.
        indices = ops.cast(indices, dtype=FLOAT32)
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
        NoGrad("integers have no slope"),
        (Sample(("i32[2, 4]",), {"depth": 5}, -1, 6),),
        "1 at the index that an integer names along a new last axis, else 0.",
    )
)
