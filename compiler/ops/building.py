"""What gradients and expansions are built with: constants, sizes as numbers, sums, windows."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.dim import Size
from ..ir.graph import Node
from ..ir.types import DType, Shape
from .core import constant
from .registry import ops


def number(value: float, like: Node) -> Node:
    """``value`` as a constant of the dtype of ``like``."""
    return constant(value, like.dtype)


def full(value: float, shape: Shape, dtype: DType) -> Node:
    """``value`` in every element."""
    scalar = constant(value, dtype)
    return ops.broadcast_to(scalar, shape=shape) if shape else scalar


def broadcast(node: Node, shape: Shape) -> Node:
    """``node`` repeated to ``shape``; itself where it has that shape."""
    return node if node.shape == tuple(shape) else ops.broadcast_to(node, shape=tuple(shape))


def reshaped(node: Node, shape: Sequence[Size]) -> Node:
    """``node`` under another shape; itself where it has that shape."""
    return node if node.shape == tuple(shape) else ops.reshape(node, shape=tuple(shape))


def count(sizes: Sequence[Size], dtype: DType) -> Node:
    """The product of ``sizes`` as a number; a symbolic size is counted by summing ones."""
    fixed = 1
    total: Node | None = None
    for size in sizes:
        if isinstance(size, int):
            fixed *= size
            continue
        ones = ops.sum(full(1, (size,), dtype), axes=(0,))
        total = ones if total is None else ops.multiply(total, ones)
    if total is None:
        return constant(fixed, dtype)
    return total if fixed == 1 else ops.multiply(total, number(fixed, total))


def sum_to(node: Node, shape: Shape) -> Node:
    """``node`` summed over what broadcasting from ``shape`` repeated: the gradient of that."""
    if node.shape == tuple(shape):
        return node
    extra = node.tensor_type.rank - len(shape)
    repeated = [
        extra + axis
        for axis, size in enumerate(shape)
        if size == 1 and node.shape[extra + axis] != 1
    ]
    axes = (*range(extra), *repeated)
    return reshaped(ops.sum(node, axes=axes) if axes else node, shape)


def expanded(node: Node, axes: Sequence[int]) -> Node:
    """``node`` with axes of size 1 put back at the (normal) ``axes`` that a reduction dropped."""
    kept = iter(node.shape)
    rank = node.tensor_type.rank + len(axes)
    return reshaped(node, tuple(1 if axis in axes else next(kept) for axis in range(rank)))


def zero_gradient(node: Node, grad: Node) -> tuple[None, ...]:
    """The gradient of a function whose derivative is 0 wherever it exists."""
    return (None,) * len(node.inputs)


def sliced(node: Node, axis: int, start: Size, stop: Size) -> Node:
    """What lies from ``start`` to before ``stop`` along ``axis``; all of it is ``node`` itself."""
    if start == 0 and stop == node.shape[axis]:
        return node
    rank = node.tensor_type.rank
    low: list[Size] = [0] * rank
    high: list[Size] = list(node.shape)
    low[axis], high[axis] = start, stop
    return ops.slice(node, start=tuple(low), stop=tuple(high), step=(1,) * rank)


def sum_of_parts(parts: Node, shape: Shape) -> Node:
    """The sum of partial sums, which follow one another along the first axis, in ``shape``."""
    if parts.shape[0] == 1:
        return reshaped(parts, shape)
    return ops.sum(parts, axes=(0,))


def pieces(node: Node, axis: int, sizes: Sequence[Size]) -> list[Node]:
    """``node`` cut along ``axis`` into neighbours of these sizes."""
    start: Size = 0
    found: list[Node] = []
    for size in sizes:
        found.append(sliced(node, axis, start, start + size))
        start = start + size
    return found
