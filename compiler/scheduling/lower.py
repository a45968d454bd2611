"""From a group of ops to launches, and from a graph to layouts: what a target decides."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..ir.graph import Graph, Node
from ..loops.layout import Launch, Layout, Placed


class Lowering(ABC):
    """What the schedule asks of a target."""

    @abstractmethod
    def layouts(self, graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
        """Where each value of ``graph`` lies; those in ``fixed`` are computed before all calls."""

    @abstractmethod
    def lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        """The launches that compute ``body``, a group; raises ``IRError`` if no template can."""


def kernel_name(body: Graph) -> str:
    """``conv2d_add_relu``: the ops of a group, shortened when they are many."""
    names = [node.op.name for node in body.nodes if node.inputs]
    return "_".join(names) if len(names) <= 6 else "_".join([*names[:5], f"and_{len(names) - 5}"])


def describe(body: Graph) -> str:
    """The group's ops with their operand types, for an error."""
    return "; ".join(_describe(node) for node in body.nodes if node.inputs)


def _describe(node: Node) -> str:
    types = ", ".join(str(operand.type) for operand in node.inputs)
    return f"{node.op.name}({types})"
