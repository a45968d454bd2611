"""A graph on its way into groups: which node is in which, what depends on one, what it gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from ..context import Costs
from ..decisions import Decision, Refusal
from ..engine import multiplied
from ..ir.graph import Graph, Node
from ..ir.types import BOOL
from ..ops.core import fuse_nodes
from .clusters import Cluster
from .recompute import masks_of


class Missed(NamedTuple):
    """A decision that ``node`` does not join ``cluster``; it still may, in another way."""

    cluster: Cluster
    node: Node
    decision: Decision


def missed(cluster: Cluster, nodes: list[Node], reason: Refusal) -> Missed:
    """Notes why ``nodes`` have not joined ``cluster``."""
    code, detail = reason
    decision = Decision(
        stage="fuse",
        pattern=f"{cluster.pattern} + {'+'.join(node.op.name for node in nodes)}",
        layers=layers_of([*cluster.nodes, *nodes]),
        action="declined",
        reason=code,
        detail=detail,
    )
    return Missed(cluster, nodes[0], decision)


class Grouping:
    """The groups of a graph. Between the elements of ``scattered`` values there are gaps."""

    def __init__(self, graph: Graph, target: Costs[Any], scattered: frozenset[Node]) -> None:
        self.graph = graph
        self.target = target
        self.multiplied = multiplied(target.engines)
        self.scattered = scattered
        self.outputs = set(graph.outputs)
        self.updated = {value: parameter for parameter, value in graph.next_values.items()}
        self.cluster: dict[Node, Cluster] = {}
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.read_by_copies: set[Node] = set()
        self.bodies: dict[object, Graph] = {}
        self.refusal = cache(target.refusal)

    def kernel_refusal(
        self, new: list[Node], nodes: list[Node], results: list[Node], cluster: Cluster
    ) -> Refusal | None:
        """Why no kernel computes ``nodes``: ``new`` ones and those of ``cluster``."""
        inside = {*self.multiplied, BOOL}
        other = next((node for node in (*new, *results) if node.dtype not in inside), None)
        other = other or next((node for node in results if node.dtype not in self.multiplied), None)
        if other is not None:
            computed = " or ".join(sorted(dtype.name for dtype in self.multiplied))
            return "DTYPE", f"{other.dtype} where kernels of this kind compute {computed}"
        if any(not self.scattered.isdisjoint((node, *node.inputs)) for node in new):
            return "GAPS", "time as the last axis leaves gaps between the elements of a value"
        masks = [mask for node in new for mask in masks_of(node, cluster)]
        return self.refusal(self.body(nodes, results, [*cluster.copies, *masks]))

    def body(self, nodes: list[Node], results: list[Node], copies: list[Node]) -> Graph:
        body: Graph = fuse_nodes([*copies, *nodes], results, "", bodies=self.bodies).attrs["body"]
        return body

    def reaches(self, operands: Iterable[Node], cluster: Cluster) -> bool:
        """Whether ``operands`` depend on the cluster through a node outside of it."""
        members = set(cluster.nodes)
        first = self.order[cluster.nodes[0]]
        stack = [operand for operand in operands if operand not in members]
        seen: set[Node] = set()
        while stack:
            current = stack.pop()
            if current in members:
                return True
            if current in seen:
                continue
            mates = self.cluster[current].nodes if current in self.cluster else [current]
            seen.update(mates)
            # What comes before the cluster's first node cannot depend on it.
            if self.order[mates[-1]] > first:
                stack.extend(i for mate in mates for i in mate.inputs if i not in seen)
        return False

    def sorted(self, nodes: Iterable[Node]) -> list[Node]:
        """``nodes`` in the order of the graph."""
        return sorted(nodes, key=lambda node: self.order[node])

    def reads(self, user: Node, node: Node) -> bool:
        """Whether ``user`` reads a value of another group from memory."""
        return user not in self.cluster or node not in self.cluster[user].copies

    def escaping(self, cluster: Cluster) -> list[Node]:
        """What is read of a group, beside by itself and by who computes it again."""
        inside = set(cluster.nodes)
        return [
            n
            for n in cluster.nodes
            if n in self.outputs
            or n in self.read_by_copies
            or any(u not in inside and self.reads(u, n) for u in self.graph.users[n])
        ]


def layers_of(nodes: list[Node]) -> tuple[str, ...]:
    """The layers that nodes stem from, each once."""
    return tuple(dict.fromkeys(layer for node in nodes for layer in node.layers))


def cluster_order(
    nodes: Sequence[Node], cluster: dict[Node, Cluster], members: set[Node]
) -> list[Node]:
    """All nodes with each cluster's members together, operands of a whole cluster before it."""
    order: list[Node] = []
    seen: set[Node] = set()

    def unit(node: Node) -> tuple[list[Node], tuple[Node, ...]]:
        """What is ordered together with ``node``, and what that reads."""
        if node not in members:
            return [node], node.inputs
        return cluster[node].nodes, cluster[node].operands

    for root in nodes:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            group, operands = unit(node)
            if ready:
                order.extend(group)
                continue
            if group[0] in seen:
                continue
            seen.update(group)
            stack.append((node, True))
            stack.extend((i, False) for i in reversed(operands) if i not in seen)
    return order


def read_by_copies(cluster: Cluster) -> set[Node]:
    """What a group reads of others to compute again what follows from it."""
    return {i for n in cluster.copies for i in n.inputs} - {*cluster.copies, *cluster.nodes}
