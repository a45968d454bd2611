"""Groups ops that can run as one kernel, so that what passes between them never leaves registers.

    %0 = conv2d(%x, $kernel)
    %1 = add(%0, $bias)
    %2 = relu(%1)
    %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2))
    -->
    %0 = fused conv2d+add+relu+max_pool2d(%x, $kernel, $bias) {...}

A convolution, matrix product or window takes along what follows it element by element (bias,
residual, activation, a pooling that tiles the image). Other elementwise ops, reductions and the
data movement in front of them join where they share one loop domain: a softmax is one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..decisions import Decision, Decisions
from ..ir import Graph, Node, apply, origin_scope, rewrite
from ..lowering import Contraction, Elementwise, Gather, Movement, Reduction, Window
from ..ops.core import ITEM, fuse_nodes
from ..ops.registry import ops
from ..prologue import fixed_nodes
from ..templates.domain import Domain, reduced_axes
from ..templates.epilogues import match_epilogue, pool_of
from ..types import FLOAT32, Size, TupleType
from .legalize import scattered_parts

MAX_NODES = 48  # of one group: longer kernels compile slowly and run out of registers
# Where groups end by nature: nothing was missed, so nothing is reported.
STRUCTURAL = frozenset({"ANCHOR", "MOVES_DATA", "CYCLE"})


@dataclass(eq=False)
class Cluster:
    """Nodes that will be one kernel; ``anchor`` is its contraction or window, if any.

    Without an anchor the nodes share the loops of ``domain``. A value is compact if it comes from
    a reduction that dropped its axes: it has the kept axes alone.
    """

    nodes: list[Node]
    anchor: Node | None
    domain: Domain
    compact: set[Node] = field(default_factory=set)

    @property
    def pattern(self) -> str:
        return "+".join(node.op.name for node in self.nodes)

    def add(self, node: Node) -> None:
        self.nodes.append(node)
        if isinstance(node.op.lowering, Reduction):
            self.domain = Domain(node.inputs[0].shape, reduced_axes(node))
        if is_compact(node, self):
            self.compact.add(node)


def merged(one: Cluster, other: Cluster, order: Mapping[Node, int]) -> Cluster | None:
    """The group of both, or None where one kernel cannot compute them in the same loops."""
    domains = one.domain, other.domain
    reduced = max((domain.reduced for domain in domains), key=len)
    same = domains[0].shape == domains[1].shape
    if one.anchor or other.anchor or not same or len(one.nodes) + len(other.nodes) > MAX_NODES:
        return None
    nodes = sorted((*one.nodes, *other.nodes), key=lambda node: order[node])
    cluster = Cluster([], None, Domain(domains[0].shape, reduced))
    for node in nodes:
        moves = isinstance(node.op.lowering, (Movement, Gather))
        reads_memory = moves and any(operand in cluster.nodes for operand in node.inputs)
        if reads_memory or not shares_loops(node, cluster):
            return None
        cluster.nodes.append(node)
        if is_compact(node, cluster):
            cluster.compact.add(node)
    return cluster


def start_cluster(node: Node) -> Cluster:
    """A group of one."""
    anchor = node if isinstance(node.op.lowering, (Contraction, Window)) else None
    cluster = Cluster([], anchor, Domain(node.shape))
    cluster.add(node)
    return cluster


def is_compact(node: Node, cluster: Cluster) -> bool:
    """Whether ``node`` would have the kept axes alone in this group."""
    if isinstance(node.op.lowering, Reduction):
        return not node.attrs["keepdims"]
    return any(operand in cluster.compact for operand in node.inputs)


def shares_loops(node: Node, cluster: Cluster) -> bool:
    """Whether ``node`` can be computed inside the loops of a group without an anchor."""
    domain = cluster.domain
    if isinstance(node.op.lowering, Reduction):
        same = node.inputs[0].shape == domain.shape and node.inputs[0] not in cluster.compact
        return same and domain.reduced in (frozenset(), reduced_axes(node))
    if is_compact(node, cluster):
        return node.shape == tuple(domain.shape[axis] for axis in domain.kept)
    if node.shape == domain.shape:
        return True
    kept = tuple(1 if axis in domain.reduced else n for axis, n in enumerate(domain.shape))
    return bool(domain.reduced) and node.shape == kept


def fuse(graph: Graph, decisions: Decisions) -> Graph:
    """Replaces groups of ops by ``fused`` nodes; see the module's docstring."""
    return _fuse(graph, decisions, frozenset())


def _fuse(graph: Graph, decisions: Decisions, scattered: frozenset[Node]) -> Graph:
    """``graph`` fused, the steps of its loops first."""

    def fuse_step(node: Node) -> Node | None:
        if node.op is not ops.scan:
            return None
        body = _fuse(node.attrs["body"], decisions, scattered_parts(node))
        return apply(node.op, node.inputs, node.attrs | {"body": body})

    return _Fuser(rewrite(graph, fuse_step), decisions, scattered).run()


class _Fuser:
    """Fuses one graph. Between the elements of ``scattered`` values there are gaps."""

    def __init__(self, graph: Graph, decisions: Decisions, scattered: frozenset[Node]) -> None:
        self.graph = graph
        self.decisions = decisions
        self.scattered = scattered
        self.fixed = fixed_nodes(graph)
        self.outputs = set(graph.outputs)
        self.cluster: dict[Node, Cluster] = {}
        self.order = {node: i for i, node in enumerate(graph.nodes)}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.inputs and node not in self.fixed and _is_fusible(node):
                self._place(node)
        return self._rebuild()

    def _place(self, node: Node) -> None:
        """Puts ``node`` in the cluster of one of its operands, or in one of its own."""
        candidates = {self.cluster[i]: i for i in node.inputs if i in self.cluster}
        # The latest producer first: what it waits for is ready by then.
        ordered = sorted(candidates.items(), key=lambda c: -self.order[c[1]])
        for cluster, operand in sorted(ordered, key=lambda c: c[0].anchor is None):
            reason = self._refusal(cluster, operand, node)
            if reason is None:
                cluster.add(node)
                self.cluster[node] = cluster
                self._absorb(cluster, [other for other in candidates if other is not cluster])
                return
            self._declined(cluster, node, *reason)
        self.cluster[node] = start_cluster(node)

    def _absorb(self, cluster: Cluster, others: list[Cluster]) -> None:
        """Takes in the groups of the other operands of a node that has joined ``cluster``."""
        for other in others:
            both = merged(cluster, other, self.order)
            if both is None or self._reaches([i for n in both.nodes for i in n.inputs], both):
                continue
            cluster.nodes, cluster.domain, cluster.compact = both.nodes, both.domain, both.compact
            self.cluster.update(dict.fromkeys(other.nodes, cluster))

    def _refusal(self, cluster: Cluster, operand: Node, node: Node) -> tuple[str, str] | None:
        """Why ``node`` cannot join ``cluster``: a code and a sentence; None if it can."""
        if isinstance(node.op.lowering, (Movement, Gather)):
            return "MOVES_DATA", f"{node.op.name} reads its operand elsewhere"
        if len(cluster.nodes) >= MAX_NODES:
            return "LARGE", f"the group has {MAX_NODES} ops, enough to hide its loads and stores"
        if self._would_cycle(cluster, node):
            return "CYCLE", "another operand waits for this group's result"
        if cluster.anchor is not None:
            return self._anchored_refusal(cluster, operand, node)
        if isinstance(node.op.lowering, (Contraction, Window)):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if not shares_loops(node, cluster):
            return "OTHER_DOMAIN", f"its loops run over {node.shape}, the group's differ"
        return None

    def _anchored_refusal(
        self, cluster: Cluster, operand: Node, node: Node
    ) -> tuple[str, str] | None:
        facet = node.op.lowering
        pools = isinstance(facet, Window) and facet.combine != "dot"
        heavy = isinstance(facet, (Contraction, Reduction, Window)) and not pools
        if heavy or (pools and cluster.nodes[0].op.name != "conv2d"):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if pools and pool_of(node) is None:
            return "OVERLAPPING_WINDOW", "pooling in registers needs strides equal to the window"
        if operand is not cluster.nodes[-1]:
            return "NOT_LAST", "the group has gone on from this value"
        if operand in self.outputs:
            return "GRAPH_OUTPUT", "its operand is a result of the model"
        others = [u for u in self.graph.users[operand] if u is not node]
        if others:
            return "SECOND_USER", f"its operand also feeds {_named(others[0])}"
        if node.dtype != FLOAT32:
            return "DTYPE", f"{node.dtype} where kernels of this kind compute float32"
        if not self.scattered.isdisjoint((node, *node.inputs)):
            return "GAPS", "time as the last axis leaves gaps between the elements of a value"
        body = self._body(cluster, node)
        anchor = next(n for n in body.nodes if isinstance(n.op.lowering, (Contraction, Window)))
        if match_epilogue(body, anchor) is None:
            return (
                "OPERAND_SHAPE",
                "an operand is neither one value, one a channel nor one an element",
            )
        return None

    def _body(self, cluster: Cluster, node: Node) -> Graph:
        members = [*cluster.nodes, node]
        fused = fuse_nodes(members, (node,), "")
        body: Graph = fused.attrs["body"]
        return body

    def _would_cycle(self, cluster: Cluster, node: Node) -> bool:
        """Whether some other operand of ``node`` depends on the cluster, through any cluster."""
        return self._reaches(node.inputs, cluster)

    def _reaches(self, operands: Iterable[Node], cluster: Cluster) -> bool:
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

    def _declined(self, cluster: Cluster, node: Node, code: str, detail: str) -> None:
        if code in STRUCTURAL:
            return
        self.decisions.add(
            Decision(
                stage="fuse",
                pattern=f"{cluster.pattern} + {node.op.name}",
                layers=_layers([*cluster.nodes, node]),
                action="declined",
                reason=code,
                detail=detail,
            )
        )

    def _rebuild(self) -> Graph:
        new: dict[Node, Node] = {}
        clusters = {id(c): c for c in self.cluster.values() if len(c.nodes) > 1}
        last = {c.nodes[-1]: c for c in clusters.values()}
        members = {n for c in clusters.values() for n in c.nodes}
        pending = list(self.graph.nodes)
        done: set[Node] = set()
        # A cluster is built when its last node comes up; its operands may come later in the order.
        order = _cluster_order(pending, self.cluster, members)
        for node in order:
            if node in done:
                continue
            if node in members and node in last:
                self._build(last[node], new)
            elif node not in members:
                new[node] = _on(node, new)
            done.add(node)
        return self.graph.with_outputs(new[node] for node in self.graph.outputs)

    def _build(self, cluster: Cluster, new: dict[Node, Node]) -> None:
        inside = set(cluster.nodes)
        escaping = [
            n
            for n in cluster.nodes
            if n in self.outputs or any(u not in inside for u in self.graph.users[n])
        ]
        fused = fuse_nodes(cluster.nodes, escaping, cluster.pattern, new)
        if isinstance(fused.type, TupleType):
            for i, node in enumerate(escaping):
                new[node] = apply(ITEM, (fused,), {"index": i})
        else:
            new[escaping[0]] = fused
        saved: Size = 0
        for node in cluster.nodes:
            if node not in escaping:
                saved = saved + node.tensor_type.bytes
        self.decisions.add(
            Decision(
                stage="fuse",
                pattern=cluster.pattern,
                layers=_layers(cluster.nodes),
                action="fused",
                reason="FUSED",
                detail="",
                kernels_saved=len(cluster.nodes) - 1,
                bytes_saved=saved * 2,
            )
        )


def _cluster_order(
    nodes: list[Node], cluster: dict[Node, Cluster], members: set[Node]
) -> list[Node]:
    """All nodes with each cluster's members together, operands of a whole cluster before it."""
    order: list[Node] = []
    seen: set[Node] = set()

    def unit(node: Node) -> list[Node]:
        return cluster[node].nodes if node in members else [node]

    for root in nodes:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            group = unit(node)
            if ready:
                order.extend(group)
                continue
            if group[0] in seen:
                continue
            seen.update(group)
            stack.append((node, True))
            operands = [i for n in group for i in n.inputs if i not in seen]
            stack.extend((i, False) for i in reversed(operands))
    return order


def _on(node: Node, new: dict[Node, Node]) -> Node:
    inputs = tuple(new[i] for i in node.inputs)
    if inputs == node.inputs:
        return node
    with origin_scope(*node.origins):
        return apply(node.op, inputs, node.attrs)


def _is_fusible(node: Node) -> bool:
    facets = (Elementwise, Reduction, Movement, Gather, Contraction, Window)
    return isinstance(node.op.lowering, facets) and not isinstance(node.type, TupleType)


def _layers(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer for node in nodes for layer in node.layers))


def _named(node: Node) -> str:
    return node.layers[-1] if node.layers else node.op.name
