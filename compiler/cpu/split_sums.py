"""Split-K: sums over all samples become partial sums, which are then added up.

    %0 = conv2d_kernel_gradient(%x, %g, window=(3, 3))               %0 : f32[3, 3, 32, 64]
    -->
    %0 = conv2d_kernel_gradient(%x, %g, window=(3, 3), split=(16, 9)) %0 : f32[(N + 15)//16, ... %1
    = sum(%0, axes=(0,))

The gradient of a weight has few elements, and each is a sum over all positions of all images. The
operands of one partial sum stay in a core's cache for all elements, threads share the partial sums,
and sums of sums round less. Splits depend on shapes alone, and partial sums are added in order: the
bits are the same for any number of threads.
"""

from __future__ import annotations

from ...runtime.cpu.host import Host
from ..ir.graph import Node, apply
from ..ir.kinds import KernelGradient
from ..ir.types import Shape, Size
from ..ops.building import sum_of_parts
from ..ops.registry import ops

# Products of a partial sum: enough to pay for its memory, and few enough for parallel work.
FEWEST, MOST = 1024, 4096
USUAL_SIZE = 64  # of an image of unknown size
MANY_OUTPUTS = 2**16  # so many are enough parallel work, and too much memory for each partial sum
LONG = 4096  # rows of matrices that are worth splitting
# Rows that a core's cache holds count for more than products: from further away comes one line of
# each operand a step, and 128 x 512 sums of 1792 products take 1.7 times as long. So few still pay.
FEWEST_ROWS = 128


def split_sum(node: Node, machine: Host) -> Node | None:
    """A sum over all samples as one of partial sums; None for other nodes and partial sums."""
    if isinstance(node.op.kind, KernelGradient):
        return _kernel_gradient(node, machine)
    return _product(node, machine) if node.op is ops.transposed_matmul else None


def _kernel_gradient(node: Node, machine: Host) -> Node | None:
    """A gradient of a kernel as the sum of partial sums; None if it is split already."""
    if node.attrs["split"] is not None:
        return None
    if node.op is ops.winograd_kernel_gradient:
        return _split_images(node)
    x, grad = node.inputs
    lines, width = (_known(size) for size in grad.shape[1:3])
    image_bytes = (_elements(x.shape[1:]) + _elements(grad.shape[1:])) * x.dtype.itemsize
    line_bytes = max(1, image_bytes // max(1, lines))
    split_lines = _lines(_elements(node.shape), line_bytes, max(1, width), machine)
    split = (-(-split_lines // max(1, lines)), max(1, min(lines, split_lines)))
    return sum_of_parts(apply(node.op, node.inputs, node.attrs | {"split": split}), node.shape)


def _split_images(node: Node) -> Node:
    """Splits into whole images: the kernel has as many tiles at a time as a cache holds anyway."""
    positions = _elements(node.inputs[1].shape[1:3])
    split = -(-_wanted(_elements(node.shape)) // max(1, positions))
    return sum_of_parts(apply(node.op, node.inputs, node.attrs | {"split": split}), node.shape)


def _wanted(outputs: int) -> int:
    """Products in a partial sum: few outputs need many of these for all threads."""
    return max(FEWEST, min(MOST, outputs // 2))


def _lines(outputs: int, line_bytes: int, width: int, machine: Host) -> int:
    """Lines of positions in a partial sum: as many as a cache holds, within limits."""
    fitting = machine.l2_bytes // line_bytes
    return max(-(-FEWEST // width), min(fitting, -(-_wanted(outputs) // width)))


def _product(node: Node, machine: Host) -> Node | None:
    """A ``transposed_matmul`` of long matrices as the sum of partial sums; None if it is short."""
    x, y = node.inputs
    if node.tensor_type.rank != 2 or node.attrs["split"] is not None:
        return None
    outputs = _elements(node.shape)
    if not _is_long(x.shape[0]) or outputs > MANY_OUTPUTS:
        return None
    row_bytes = (_elements(x.shape[1:]) + _elements(y.shape[1:])) * x.dtype.itemsize
    split = max(FEWEST_ROWS, min(machine.l2_bytes // max(1, row_bytes), _wanted(outputs)))
    return sum_of_parts(apply(node.op, node.inputs, node.attrs | {"split": split}), node.shape)


def _is_long(size: Size) -> bool:
    """Whether rows are many: more than those of a batch, one a sample."""
    if isinstance(size, int):
        return size > LONG
    return len(size.terms) > 1 or size.terms[0][1] > 1 or len(size.terms[0][0]) > 1


def _known(size: Size) -> int:
    return size if isinstance(size, int) else USUAL_SIZE


def _elements(shape: Shape) -> int:
    total = 1
    for size in shape:
        total *= _known(size)
    return total
