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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.graph import Graph, Node, apply, on_operands, origin_scope
from ..ir.kinds import Elementwise, Reduction, Window
from ..ir.rewrite import rebuild, rewrite
from ..ir.types import FLOAT32, Size, TupleType
from ..loops.epilogues import can_pool, match_epilogue, pool_of
from ..ops.core import ITEM, fuse_nodes
from ..ops.registry import ops
from ..prologue import fixed_nodes
from .clusters import ANCHORS, MAX_NODES, MOVES, Cluster, merged, shares_loops, start_cluster
from .legalize import scattered_parts
from .recompute import masks_of, recompute

# Where groups end by nature: nothing was missed, so nothing is reported.
STRUCTURAL = frozenset({"ANCHOR", "MOVES_DATA", "CYCLE"})


def fuse(graph: Graph, context: Context[Any]) -> Graph:
    """Replaces groups of ops by ``fused`` nodes; see the module's docstring."""
    return _fuse(graph, context, frozenset())


def _fuse(graph: Graph, context: Context[Any], scattered: frozenset[Node]) -> Graph:
    """``graph`` fused, the steps of its loops first."""

    def fuse_step(node: Node) -> Node | None:
        if node.op is not ops.scan:
            return None
        body = _fuse(node.attrs["body"], context, scattered_parts(node))
        return apply(node.op, node.inputs, node.attrs | {"body": body})

    return _Fuser(rewrite(graph, fuse_step), context, scattered).run()


class _Fuser:
    """Fuses one graph. Between the elements of ``scattered`` values there are gaps."""

    def __init__(self, graph: Graph, context: Context[Any], scattered: frozenset[Node]) -> None:
        self.graph = graph
        self.target = context.target
        self.decisions = context.decisions
        self.scattered = scattered
        self.fixed = fixed_nodes(graph)
        self.outputs = set(graph.outputs)
        self.cluster: dict[Node, Cluster] = {}
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.read_by_copies: set[Node] = set()

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.inputs and node not in self.fixed and _is_fusible(node):
                self._place(node)
        self._join_sweeps()
        for node in recompute(self.graph, self.cluster, self.target):
            self._recomputed(node)
        return self._rebuild()

    def _place(self, node: Node) -> None:
        """Puts ``node`` in the cluster of one of its operands, or in one of its own."""
        candidates = {self.cluster[i]: i for i in node.inputs if i in self.cluster}
        # The latest producer first: what it waits for is ready by then.
        ordered = sorted(candidates.items(), key=lambda c: -self.order[c[1]])
        for cluster, operand in sorted(ordered, key=lambda c: c[0].anchor is None):
            reason = self._refusal(cluster, operand, node)
            if reason is None:
                if cluster.anchor is not None:
                    cluster.copies += masks_of(node, cluster)
                cluster.add(node)
                self.cluster[node] = cluster
                self._absorb(cluster, [other for other in candidates if other is not cluster])
                return
            self._declined(cluster, node, *reason)
        self.cluster[node] = start_cluster(node)

    def _absorb(self, cluster: Cluster, others: list[Cluster]) -> None:
        """Takes in the groups of the other operands of a node that has joined ``cluster``."""
        for other in others:
            self._merge(cluster, other)

    def _merge(self, cluster: Cluster, other: Cluster) -> bool:
        both = merged(cluster, other, self.order)
        if both is None or self._reaches([i for n in both.nodes for i in n.inputs], both):
            return False
        cluster.nodes, cluster.domain, cluster.compact = both.nodes, both.domain, both.compact
        self.cluster.update(dict.fromkeys(other.nodes, cluster))
        return True

    def _join_sweeps(self) -> None:
        """Puts together groups that reduce the same values: they are read once for all."""
        readers: dict[Node, Cluster] = {}
        for cluster in dict.fromkeys(self.cluster.values()):
            if not cluster.domain.reduced:
                continue
            for operand in cluster.operands:
                other = readers.get(operand)
                if other is not None and other is not cluster and self._merge(other, cluster):
                    cluster = other
            large = (n for n in cluster.operands if n.shape == cluster.domain.shape)
            readers.update(dict.fromkeys(large, cluster))

    def _refusal(self, cluster: Cluster, operand: Node, node: Node) -> tuple[str, str] | None:
        """Why ``node`` cannot join ``cluster``: a code and a sentence; None if it can."""
        if isinstance(node.op.lowering, MOVES):
            return "MOVES_DATA", f"{node.op.name} reads its operand elsewhere"
        if len(cluster.nodes) >= MAX_NODES:
            return "LARGE", f"the group has {MAX_NODES} ops, enough to hide its loads and stores"
        if self._would_cycle(cluster, node):
            return "CYCLE", "another operand waits for this group's result"
        if cluster.anchor is not None:
            return self._anchored_refusal(cluster, operand, node)
        if isinstance(node.op.lowering, ANCHORS):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if not shares_loops(node, cluster):
            return "OTHER_DOMAIN", f"its loops run over {node.shape}, the group's differ"
        return None

    def _anchored_refusal(
        self, cluster: Cluster, operand: Node, node: Node
    ) -> tuple[str, str] | None:
        facet = node.op.lowering
        pools = isinstance(facet, Window) and facet.combine != "dot"
        heavy = isinstance(facet, (*ANCHORS, Reduction)) and not pools
        if heavy or (pools and not _makes_images(cluster.nodes[0])):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if pools and pool_of(node) is None:
            return "OVERLAPPING_WINDOW", "pooling in registers needs strides equal to the window"
        if pools and not can_pool(cluster.nodes[0], node):
            return "TILES", "the windows of this pooling do not tile the 2 x 2 results in registers"
        if operand in self.outputs:
            return "GRAPH_OUTPUT", "its operand is a result of the model"
        others = [u for u in self.graph.users[operand] if u is not node]
        if others:
            return "SECOND_USER", f"its operand also feeds {_named(others[0])}"
        assert operand is cluster.nodes[-1], "what the group has gone on from has that user alone"
        if node.dtype != FLOAT32:
            return "DTYPE", f"{node.dtype} where kernels of this kind compute float32"
        if not self.scattered.isdisjoint((node, *node.inputs)):
            return "GAPS", "time as the last axis leaves gaps between the elements of a value"
        body = self._body(cluster, node)
        anchor = next(n for n in body.nodes if isinstance(n.op.lowering, ANCHORS))
        if match_epilogue(body, anchor) is None:
            return (
                "OPERAND_SHAPE",
                "an operand is neither one value, one a channel nor one an element",
            )
        return None

    def _body(self, cluster: Cluster, node: Node) -> Graph:
        members = [*cluster.copies, *masks_of(node, cluster), *cluster.nodes, node]
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

    def _recomputed(self, node: Node) -> None:
        self.decisions.add(
            Decision(
                stage="fuse",
                pattern=node.op.name,
                layers=node.layers,
                action="recomputed",
                reason="CHEAP",
                detail="it is computed where it is needed, rather than stored and read back",
                bytes_saved=node.tensor_type.bytes,
            )
        )

    def _rebuild(self) -> Graph:
        clusters = {id(c): c for c in self.cluster.values() if len(c.nodes) + len(c.copies) > 1}
        last = {c.nodes[-1]: c for c in clusters.values()}
        members = {n for c in clusters.values() for n in c.nodes}
        self.read_by_copies = {n for c in clusters.values() for n in _read_by_copies(c)}
        new: dict[Node, Node] = {}

        def make(node: Node, operands: Sequence[Node]) -> Node:
            if node not in members:
                return on_operands(node, operands)
            if node in last:  # all of a cluster is built when its last node comes up
                new.update(self._build(last[node], new))
            return new.get(node, node)

        rebuild(_cluster_order(self.graph.nodes, self.cluster, members), new, make)
        return self.graph.with_outputs(new[node] for node in self.graph.outputs)

    def _reads(self, user: Node, node: Node) -> bool:
        """Whether ``user`` reads a value of another group from memory."""
        return user not in self.cluster or node not in self.cluster[user].copies

    def _build(self, cluster: Cluster, new: Mapping[Node, Node]) -> dict[Node, Node]:
        """The values of ``cluster`` that are read outside, as the results of one node."""
        inside = set(cluster.nodes)
        escaping = [
            n
            for n in cluster.nodes
            if n in self.outputs
            or n in self.read_by_copies
            or any(u not in inside and self._reads(u, n) for u in self.graph.users[n])
        ]
        if not escaping:
            return {}  # all who need something of it compute it again
        members = [*cluster.copies, *cluster.nodes]
        fused = fuse_nodes(members, escaping, cluster.pattern, new)
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
        if not isinstance(fused.type, TupleType):
            return {escaping[0]: fused}
        with origin_scope():
            items = [apply(ITEM, (fused,), {"index": i}) for i in range(len(escaping))]
        return dict(zip(escaping, items, strict=True))


def _cluster_order(
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


def _read_by_copies(cluster: Cluster) -> set[Node]:
    """What a group reads of others to compute again what follows from it."""
    return {i for n in cluster.copies for i in n.inputs} - {*cluster.copies, *cluster.nodes}


def _is_fusible(node: Node) -> bool:
    facets = (*MOVES, *ANCHORS, Elementwise, Reduction)
    return isinstance(node.op.lowering, facets) and not isinstance(node.type, TupleType)


def _layers(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer for node in nodes for layer in node.layers))


def _named(node: Node) -> str:
    return node.layers[-1] if node.layers else node.op.name


def _makes_images(node: Node) -> bool:
    return node.op in (ops.conv2d, ops.winograd_conv2d)
