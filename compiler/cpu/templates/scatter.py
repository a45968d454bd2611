"""Builds ``Scatter`` kernels: rows added to the rows of a table that integers name."""

from __future__ import annotations

from ....runtime.cpu.host import Host
from ...ir.graph import Graph
from ...ir.types import FLOAT32, DType, Size
from ...loops.layout import Launch, Placed
from ...loops.scatter import scatter_arguments, scatter_launch
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
    kind = _kind(node.dtype, scatter_arguments(body).width, machine)
    scatter = Scatter(node.attrs["axis"] > 0, kind, node.dtype, node.attrs["from_end"])
    return (scatter_launch(body, operands, results, name, scatter),)


def _kind(dtype: DType, width: Size, machine: Host) -> str:
    if width == 1:
        return "one"
    if dtype != FLOAT32:
        return "scalar"
    return "masked" if _is_ragged(width, machine) else "whole"


def _is_ragged(width: Size, machine: Host) -> bool:
    return not isinstance(width, int) or width % machine.lanes != 0
