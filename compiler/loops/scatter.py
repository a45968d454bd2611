"""Kernels that add rows to the rows of a table which integers name, as targets share them."""

from __future__ import annotations

from ..ir.graph import Graph, Node
from ..ir.types import Size, product
from .arguments import Pointer, ScatterArguments
from .kernel import Body, Kernel
from .layout import Address, Launch, Placed
from .scalars import sum_bytes


def scatter_arguments(body: Graph) -> ScatterArguments[Pointer, Size]:
    """The arguments of a kernel for a ``scatter_add`` between values without gaps."""
    (node,) = body.outputs
    rows, indices = node.inputs
    axis, rank = node.attrs["axis"], indices.tensor_type.rank
    return ScatterArguments(
        x=_pointer(body, rows),
        picks=_pointer(body, indices),
        y=Pointer(Address(len(body.inputs)), node.dtype),
        tables=product(rows.shape[:axis]),
        count=indices.tensor_type.elements,
        size=node.shape[axis],
        width=product(rows.shape[axis + rank :]),
    )


def scatter_launch(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str, kernel: Body
) -> Launch:
    """The launch of ``kernel`` with these arguments."""
    arguments, rows = scatter_arguments(body), body.outputs[0].inputs[0]
    flops, total = rows.tensor_type.elements, sum_bytes(operands, results)
    return Launch(Kernel(name, arguments.params, kernel), arguments.values, flops, total)


def _pointer(body: Graph, node: Node) -> Pointer:
    return Pointer(Address(body.inputs.index(node)), node.dtype)
