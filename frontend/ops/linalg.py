"""Products of matrices and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ...compiler.ir.types import product
from ..accepted import Axes, NonNegative, is_int
from ..dtypes import INT64
from ..errors import UsageError, shown
from ..tensor import KerasTensor
from .core import (
    as_node,
    cast_node,
    constant,
    floating,
    ir,
    listed_axes,
    normal_axes,
    normal_axis,
    operation,
    promoted,
    tensor,
)
from .elementwise import absolute, maximum, multiply, sqrt, square
from .reductions import max as max_
from .reductions import sum as sum_
from .shaping import expand_dims, permuted
from .slicing import larger, smaller


@operation
def matmul(x1: Any, x2: Any) -> KerasTensor:
    """The matrix product over the last two axes, by numpy's rules."""
    return tensor(ir.matmul(*promoted(x1, x2)))


@operation
def dot(x1: Any, x2: Any) -> KerasTensor:
    """Sums over the last axis of x1 and the last but one of x2; a scalar multiplies."""
    left, right = promoted(x1, x2)
    ranks = left.tensor_type.rank, right.tensor_type.rank
    if 0 in ranks:
        return tensor(ir.multiply(left, right))
    if ranks[1] <= 2:
        return tensor(ir.matmul(left, right))
    return tensordot(tensor(left), tensor(right), ([-1], [-2]))


@operation
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> KerasTensor:
    """Sums over some axes of x1 and as many of x2; the others stay, in order."""
    left, right = promoted(x1, x2)
    first, second = _paired_axes(axes, left.tensor_type.rank, right.tensor_type.rank)
    kept_left = [i for i in range(left.tensor_type.rank) if i not in first]
    kept_right = [i for i in range(right.tensor_type.rank) if i not in second]
    outer = [left.shape[i] for i in kept_left], [right.shape[i] for i in kept_right]
    inner = product(left.shape[i] for i in first), product(right.shape[i] for i in second)
    rows = ir.reshape(permuted(left, (*kept_left, *first)), shape=(product(outer[0]), inner[0]))
    columns = ir.reshape(
        permuted(right, (*second, *kept_right)), shape=(inner[1], product(outer[1]))
    )
    return tensor(ir.reshape(ir.matmul(rows, columns), shape=(*outer[0], *outer[1])))


def _paired_axes(axes: Any, left: int, right: int) -> tuple[list[int], list[int]]:
    if is_int(axes):
        if not 0 <= axes <= min(left, right):
            raise UsageError(
                f"tensordot: expected 0 to {min(left, right)} axes of tensors with {left} and "
                f"{right}; received {axes}"
            )
        return list(range(left - int(axes), left)), list(range(int(axes)))
    if not isinstance(axes, (list, tuple)) or len(axes) != 2:
        raise UsageError(
            f"tensordot: expected axes as an int, or as those of x1 and those of x2; received "
            f"{shown(axes)}"
        )
    first, second = (listed_axes(each) for each in axes)
    if len(first) != len(second):
        raise UsageError(f"tensordot: expected as many axes of x1 as of x2; received {axes}")
    return [normal_axis(e, left) for e in first], [normal_axis(e, right) for e in second]


@operation
def einsum(subscripts: str, *operands: Any) -> KerasTensor:
    """Einstein's summation: ``einsum("bij,bjk->bik", x, y)``."""
    return tensor(ir.einsum(*promoted(*operands), equation=subscripts.replace(" ", "")))


@operation
def outer(x1: Any, x2: Any) -> KerasTensor:
    """All products of an element of x1 and one of x2."""
    left, right = (_flat(node) for node in promoted(x1, x2))
    return multiply(expand_dims(tensor(left), 1), expand_dims(tensor(right), 0))


def _flat(node: Node) -> Node:
    return ir.reshape(node, shape=(node.tensor_type.elements,))


@operation
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> KerasTensor:
    """The diagonals of matrices along two axes, as a new last axis.

    ``offset`` above 0 means that many columns further right, below 0 that many rows further down.
    """
    node = as_node(x)
    rank = node.tensor_type.rank
    axes = normal_axis(axis1, rank), normal_axis(axis2, rank)
    if axes[0] == axes[1]:
        raise UsageError(f"diagonal: expected two axes; received {axis1} and {axis2}")
    rest = [axis for axis in range(rank) if axis not in axes]
    rows, columns = (node.shape[axis] for axis in axes)
    down, right = max(-offset, 0), max(offset, 0)
    step = ir.iota(shape=(larger(smaller(rows - down, columns - right), 0),), axis=0, dtype="int64")
    lead = tuple(node.shape[axis] for axis in rest)
    flat = ir.reshape(permuted(node, (*rest, *axes)), shape=(*lead, rows * columns))
    first = ir.add(step, constant(down, INT64)), ir.add(step, constant(right, INT64))
    place = ir.add(ir.multiply(first[0], cast_node(as_node(columns), INT64)), first[1])
    return tensor(ir.gather(flat, place, axis=len(lead)))


@operation
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> KerasTensor:
    """The sum of each of the diagonals that ``diagonal`` gives."""
    return sum_(diagonal(x, offset, axis1, axis2), -1)


@operation
def norm(x: Any, ord: Any = None, axis: Axes | None = None, keepdims: bool = False) -> KerasTensor:
    """The length of vectors: ``ord`` 2 (also "fro" or None), 1 or infinity."""
    node = floating(x)
    axes = normal_axes(axis, node.tensor_type.rank)
    value = tensor(node)
    if not isinstance(ord, (str, int, float, type(None))):
        raise UsageError(f"norm: expected ord 1, 2, 'fro' or infinity; received {shown(ord)}")
    if ord in (None, 2, "fro", "euclidean"):
        return sqrt(sum_(square(value), axes, keepdims))
    if ord == 1:
        return sum_(absolute(value), axes, keepdims)
    if ord == np.inf:
        return max_(absolute(value), axes, keepdims)
    raise UsageError(f"norm: expected ord 1, 2, 'fro' or infinity; received {ord!r}")


@operation
def normalize(
    x: Any, axis: int = -1, order: Any = 2, epsilon: NonNegative | None = None
) -> KerasTensor:
    """x divided by its length along ``axis``, which is taken as ``epsilon`` or more."""
    value = tensor(floating(x))
    floor = 1e-7 if epsilon is None else epsilon
    return value / maximum(norm(value, order, axis, True), floor)
