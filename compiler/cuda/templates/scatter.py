"""Builds ``GridScatter`` kernels: rows added to the rows of a table that integers name."""

from __future__ import annotations

from ...ir.graph import Graph, Node
from ...ir.types import Size, product
from ...loops.arguments import Pointer
from ...loops.kernel import Kernel
from ...loops.layout import Address, Launch, Placed
from ...loops.scalars import sum_bytes
from ..arguments import GridScatterArguments
from ..bodies import GridScatter
from ..grids import with_grid


def build_scatter(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch:
    """The launch for a ``scatter_add`` between values without gaps."""
    (node,) = body.outputs
    rows, indices = node.inputs
    axis, rank = node.attrs["axis"], indices.tensor_type.rank
    arguments: GridScatterArguments[Pointer, Size] = GridScatterArguments(
        x=_pointer(body, rows),
        picks=_pointer(body, indices),
        y=Pointer(Address(len(operands)), node.dtype),
        tables=product(rows.shape[:axis]),
        count=indices.tensor_type.elements,
        size=node.shape[axis],
        width=product(rows.shape[axis + rank :]),
    )
    kernel = Kernel(name, arguments.params, GridScatter(node.dtype, node.attrs["from_end"]))
    flops = rows.tensor_type.elements
    launch = Launch(kernel, arguments.values, flops, sum_bytes(operands, results))
    return with_grid(launch, node.tensor_type.elements)


def _pointer(body: Graph, node: Node) -> Pointer:
    return Pointer(Address(body.inputs.index(node)), node.dtype)
