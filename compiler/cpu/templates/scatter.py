"""Builds ``Scatter`` kernels: rows added to the rows of a table that integers name."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph, Node
from ...ir.types import FLOAT32, DType, Size, product
from ...loops.arguments import Pointer
from ...loops.kernel import Kernel
from ...loops.layout import Address, Launch, Placed
from ...loops.scalars import sum_bytes
from ..arguments import ScatterArguments
from ..bodies import Scatter


def build_scatter(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    machine: Host,
) -> tuple[Launch, ...]:
    """The launch for a ``scatter_add`` between values without gaps."""
    (node,) = body.outputs
    rows, indices = node.inputs
    axis, rank = node.attrs["axis"], indices.tensor_type.rank
    tail = product(rows.shape[axis + rank :])
    scatter = Scatter(
        axis > 0, _kind(node.dtype, tail, machine), node.dtype, node.attrs["from_end"]
    )
    arguments: ScatterArguments[Pointer, Size] = ScatterArguments(
        x=_pointer(body, rows),
        picks=_pointer(body, indices),
        y=Pointer(Address(len(operands)), node.dtype),
        tables=product(rows.shape[:axis]),
        count=indices.tensor_type.elements,
        size=node.shape[axis],
        width=tail,
    )
    kernel = Kernel(name, arguments.params, scatter)
    flops = rows.tensor_type.elements
    return (Launch(kernel, arguments.values, flops, sum_bytes(operands, results)),)


def _kind(dtype: DType, width: Size, machine: Host) -> str:
    if width == 1:
        return "one"
    if dtype != FLOAT32:
        return "scalar"
    return "masked" if _is_ragged(width, machine) else "whole"


def _pointer(body: Graph, node: Node) -> Pointer:
    return Pointer(Address(body.inputs.index(node)), node.dtype)


def _is_ragged(width: Size, machine: Host) -> bool:
    return not isinstance(width, int) or width % machine.lanes != 0
