"""Builds ``GridScatter`` kernels: rows added to the rows of a table that integers name."""

from __future__ import annotations

from ...ir.graph import Graph
from ...loops.layout import Launch, Placed
from ...loops.scatter import scatter_launch
from ..bodies import GridScatter
from ..grids import with_grid


def build_scatter(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], name: str
) -> Launch:
    """The launch for a ``scatter_add`` between values without gaps."""
    (node,) = body.outputs
    kernel = GridScatter(node.dtype, node.attrs["from_end"])
    launch = scatter_launch(body, operands, results, name, kernel)
    return with_grid(launch, node.tensor_type.elements)
