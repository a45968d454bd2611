"""Fusion groups under construction: ops that share loops, or that follow one heavy op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..ir.graph import Node
from ..ir.kinds import Elementwise, FromIndex, Gather, Movement, Reduction
from ..loops.domain import Domain, reduced_axes
from ..loops.epilogues import HEAVY
from ..loops.gates import first_channel

MAX_NODES = 48  # of one group: longer kernels compile slowly and run out of registers
# These ops read their operands elsewhere than at their own index.
MOVES = (FromIndex, Gather, Movement)


@dataclass(eq=False)
class Cluster:
    """Nodes that will be one kernel; ``anchors`` are its contractions or windows, if any.

    Without anchors the nodes share the loops of ``domain``. A value is compact if it comes from
    a reduction that dropped its axes: it has the kept axes alone.
    """

    nodes: list[Node]
    anchors: tuple[Node, ...]
    domain: Domain
    compact: set[Node] = field(default_factory=set)
    copies: list[Node] = field(default_factory=list)

    @property
    def pattern(self) -> str:
        return "+".join(node.op.name for node in self.nodes)

    @property
    def operands(self) -> tuple[Node, ...]:
        """What the group reads."""
        own = {*self.nodes, *self.copies}
        all_ = (i for node in (*self.copies, *self.nodes) for i in node.inputs)
        return tuple(dict.fromkeys(operand for operand in all_ if operand not in own))

    def add(self, node: Node) -> None:
        self.nodes.append(node)
        if isinstance(node.op.kind, Reduction):
            self.domain = Domain(node.inputs[0].shape, reduced_axes(node))
        if is_compact(node, self):
            self.compact.add(node)


def merged(one: Cluster, other: Cluster, order: Mapping[Node, int]) -> Cluster | None:
    """The union of two groups, or None where they cannot share the loops of one kernel."""
    domains = one.domain, other.domain
    reduced = max((domain.reduced for domain in domains), key=len)
    same = domains[0].shape == domains[1].shape
    if one.anchors or other.anchors or not same or len(one.nodes) + len(other.nodes) > MAX_NODES:
        return None
    nodes = sorted((*one.nodes, *other.nodes), key=lambda node: order[node])
    cluster = Cluster([], (), Domain(domains[0].shape, reduced))
    for node in nodes:
        moves = isinstance(node.op.kind, MOVES)
        reads_memory = moves and any(operand in cluster.nodes for operand in node.inputs)
        if reads_memory or not shares_loops(node, cluster):
            return None
        cluster.nodes.append(node)
        if is_compact(node, cluster):
            cluster.compact.add(node)
    return cluster


def start_cluster(node: Node) -> Cluster:
    """A group of one."""
    anchors = (node,) if isinstance(node.op.kind, HEAVY) else ()
    cluster = Cluster([], anchors, Domain(node.shape))
    cluster.add(node)
    return cluster


def is_compact(node: Node, cluster: Cluster) -> bool:
    """Whether ``node`` would have only the kept axes in this group."""
    if isinstance(node.op.kind, Reduction):
        return not node.attrs["keepdims"]
    return any(operand in cluster.compact for operand in node.inputs)


def goes_on(cluster: Cluster) -> bool:
    """Whether a group computes element by element, from slices of channels at most."""
    steps = (
        isinstance(n.op.kind, Elementwise) or first_channel(n) is not None for n in cluster.nodes
    )
    return not cluster.anchors and all(steps)


def shares_loops(node: Node, cluster: Cluster) -> bool:
    """Whether ``node`` can be computed inside the loops of a group without an anchor."""
    domain = cluster.domain
    if isinstance(node.op.kind, Reduction):
        same = node.inputs[0].shape == domain.shape and node.inputs[0] not in cluster.compact
        return same and domain.reduced in (frozenset(), reduced_axes(node))
    if is_compact(node, cluster):
        return node.shape == tuple(domain.shape[axis] for axis in domain.kept)
    if node.shape == domain.shape:
        return True
    kept = tuple(1 if axis in domain.reduced else n for axis, n in enumerate(domain.shape))
    return bool(domain.reduced) and node.shape == kept
