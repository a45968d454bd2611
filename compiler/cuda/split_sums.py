"""Sums over all samples as sums of partial sums: work for many more blocks, and less rounding.

    %0 = sum(%x, axes=(0, 1, 2))                   %x : f32[N, 28, 28, 64]
    -->
    %0 = sum(%x, axes=(1, 2))                      %0 : f32[N, 64]
    %1 = sum(%0, axes=(0,))

The gradient of a weight has few elements, each a sum over all positions of all images: few threads
would add up long. Splits depend on shapes alone and are added in order: the bits stay the same.
"""

from __future__ import annotations

from ..durations import size_of
from ..ir.graph import Node, apply
from ..ir.kinds import KernelGradient
from ..ir.types import FLOAT32, Shape, Size, product
from ..ops.building import reshaped, sum_of_parts
from ..ops.registry import ops
from .machine import SAMPLES

PRODUCTS = 2048  # of a partial sum: enough to pay for its memory
LONG = 4096  # rows of matrices that are worth splitting
MANY_OUTPUTS = 2**18  # so many are enough work for a GPU
LEAST_TERMS = 64  # of a partial sum over a sample
LEAST_SAMPLES = 8


def split_sum(node: Node) -> Node | None:
    """A sum over all samples as one of partial sums; None for other nodes and partial sums."""
    if node.op is ops.conv2d_kernel_gradient:
        return _kernel_gradient(node)
    if node.op is ops.transposed_matmul:
        return _product(node)
    return _by_samples(node) if node.op is ops.sum else None


def _kernel_gradient(node: Node) -> Node | None:
    """A gradient of a kernel as the sum of those of some images each."""
    assert isinstance(node.op.kind, KernelGradient)
    lines, cols = node.inputs[1].shape[1:3]
    if node.attrs["split"] is not None or not isinstance(lines, int) or lines < 1:
        return None
    images = -(-PRODUCTS // max(1, lines * _known(cols)))
    parts = apply(node.op, node.inputs, node.attrs | {"split": (images, lines)})
    return sum_of_parts(parts, node.shape)


def _product(node: Node) -> Node | None:
    """A ``transposed_matmul`` of long matrices as the sum of partial sums; None if it is short."""
    x = node.inputs[0]
    rows, few = _known(x.shape[0]), _elements(node.shape) <= MANY_OUTPUTS
    if node.tensor_type.rank != 2 or node.attrs["split"] is not None or rows <= LONG or not few:
        return None
    parts = apply(node.op, node.inputs, node.attrs | {"split": PRODUCTS})
    return sum_of_parts(parts, node.shape)


def _by_samples(node: Node) -> Node | None:
    """A sum over the first axis and others as one over the others, and then the first."""
    x = node.inputs[0]
    rank = x.tensor_type.rank
    axes = sorted(axis % rank for axis in node.attrs["axes"])
    if node.dtype != FLOAT32 or len(axes) < 2 or axes[0] != 0:
        return None
    if _known(x.shape[0]) < LEAST_SAMPLES:
        return None
    if _elements(tuple(x.shape[axis] for axis in axes[1:])) < LEAST_TERMS:
        return None
    inner = ops.sum(x, axes=tuple(axes[1:]), keepdims=False)
    return reshaped(ops.sum(inner, axes=(0,), keepdims=False), node.shape)


def _known(size: Size) -> int:
    """What is usual where a call tells."""
    return size_of(size, SAMPLES)


def _elements(shape: Shape) -> int:
    return _known(product(shape))
