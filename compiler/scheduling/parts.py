"""Concatenations that are written once: what they join is computed where it ends up.

The values of a loop's step are strided views anyway, and so the kernels there write a part of a
wider value as they write a slice of a stacked one: the gradient of gates is such a concatenation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..ir.graph import Graph, Node
from ..ir.kinds import Concatenation, Contraction, Elementwise, Movement, Projection, Reduction
from ..ir.types import Size
from ..loops.layout import Placed, StridedView
from ..ops.core import FUSED
from ..ops.rules import normal_axis

Parts = Mapping[Node, Mapping[Node, Placed]]


def parts_in_place(graph: Graph, layouts: Mapping[Node, Placed], fixed: frozenset[Node]) -> Parts:
    """Of each concatenation that is written in parts the operands, and where each of them lies."""
    return {
        node: dict(_parts(node, layouts[node]))
        for node in graph.nodes
        if isinstance(node.op.kind, Concatenation)
        and node not in fixed
        and _is_written_in_parts(node, graph, layouts[node])
    }


def _is_written_in_parts(node: Node, graph: Graph, place: Placed) -> bool:
    """Whether each operand is computed for ``node`` alone, by a kernel that can write it there."""
    distinct = len(set(node.inputs)) == len(node.inputs)
    dense = place.strides[-1] == 1
    return distinct and all(
        graph.users[operand] == (node,)
        and operand not in graph.outputs
        and _writes_parts(operand, dense)
        for operand in node.inputs
    )


def _writes_parts(value: Node, dense: bool) -> bool:
    """Whether a kernel makes ``value``, and may leave gaps between its rows.

    Between elements, too, where the concatenation is not ``dense``.
    """
    maker = value.inputs[0] if isinstance(value.op.kind, Projection) else value
    nodes = maker.attrs["body"].nodes if maker.op is FUSED else (maker,)
    kinds = (Elementwise, Movement, Reduction, *((Contraction,) if dense else ()))
    plain = (isinstance(node.op.kind, kinds) for node in nodes if node.inputs)
    return bool(maker.inputs) and all(plain)


def _parts(node: Node, place: Placed) -> Iterator[tuple[Node, Placed]]:
    axis = normal_axis(node.attrs["axis"], node.tensor_type.rank)
    start: Size = 0
    for operand in node.inputs:
        origin = place.origin + start * place.strides[axis]
        yield operand, StridedView(operand.tensor_type, place.strides, origin)
        start = start + operand.shape[axis]
