"""Fusion: groups ops into kernels, so that values between them stay in registers.

    %0 = conv2d(%x, $kernel)
    %1 = add(%0, $bias)
    %2 = relu(%1)
    %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2))
    -->
    %0 = fused conv2d+add+relu+max_pool2d(%x, $kernel, $bias) {...}

A convolution, matrix product or window takes along what follows it element by element (bias,
residual, activation, a pooling that tiles the image); what goes on from several of its values, or
from slices of its channels, joins it as a whole (``followers``). Other elementwise ops, reductions
and data movement in front of them join where they share one loop domain: a softmax is one group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..context import Context
from ..decisions import Decision, Refusal
from ..ir.graph import Graph, Node, apply, bodies_of, on_operands, origin_scope
from ..ir.kinds import Contraction, Elementwise, Reduction, Window
from ..ir.rewrite import rebuild, rewrite
from ..ir.types import Size, TupleType
from ..loops.epilogues import HEAVY, can_pool, pool_of
from ..ops.core import FUSED, ITEM, fuse_nodes
from ..ops.registry import ops
from ..weight_preprocessing import fixed_nodes
from .clusters import MAX_NODES, MOVES, Cluster, merged, shares_loops, start_cluster
from .followers import join_followers
from .grouping import Grouping, Missed, cluster_order, layers_of, missed, read_by_copies
from .legalize import scattered_values
from .recompute import masks_of, recompute

# Reasons that are expected: no fusion was missed, so they are not reported.
STRUCTURAL = frozenset({"ANCHOR", "TWO_ANCHORS", "MOVES_DATA", "CYCLE"})


def fuse(graph: Graph, context: Context[Any]) -> Graph:
    """Replaces groups of ops by ``fused`` nodes; see the module's docstring."""
    return _fuse(graph, context, frozenset())


def _fuse(graph: Graph, context: Context[Any], scattered: frozenset[Node]) -> Graph:
    """``graph`` fused, the steps of its loops and its branches first."""

    def fuse_bodies(node: Node) -> Node | None:
        bodies = bodies_of(node)
        if not bodies or node.op is FUSED:
            return None
        inside = scattered_values(node)
        fused = {key: _fuse(body, context, inside) for key, body in bodies}
        return apply(node.op, node.inputs, node.attrs | fused)

    return _Fuser(rewrite(graph, fuse_bodies), context, scattered).run()


class _Fuser(Grouping):
    """Fuses one graph. Elements of ``scattered`` values are not contiguous in memory."""

    def __init__(self, graph: Graph, context: Context[Any], scattered: frozenset[Node]) -> None:
        super().__init__(graph, context.target, scattered)
        self.decisions = context.decisions
        self.fixed = fixed_nodes(graph)
        self.missed: list[Missed] = []

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.inputs and node not in self.fixed and _is_fusible(node):
                self._place(node)
        self._join_sweeps()
        self.missed.extend(join_followers(self))
        self._record_missed()
        for node in recompute(self.graph, self.cluster, self.target):
            self._recomputed(node)
        return self._rebuild()

    def _place(self, node: Node) -> None:
        """Adds ``node`` to the cluster of one of its operands, or to a new one."""
        candidates = {self.cluster[i]: i for i in node.inputs if i in self.cluster}
        # The latest producer first: its own operands are computed by then.
        ordered = sorted(candidates.items(), key=lambda c: -self.order[c[1]])
        for cluster, operand in sorted(ordered, key=lambda c: not c[0].anchors):
            reason = self._refusal(cluster, operand, node)
            if reason is None:
                if cluster.anchors:
                    cluster.copies += masks_of(node, cluster)
                cluster.add(node)
                self.cluster[node] = cluster
                self._absorb(cluster, [other for other in candidates if other is not cluster])
                return
            self.missed.append(missed(cluster, [node], reason))
        self.cluster[node] = start_cluster(node)

    def _absorb(self, cluster: Cluster, others: list[Cluster]) -> None:
        """Merges the groups of the other operands of a node that has joined ``cluster``."""
        for other in others:
            self._merge(cluster, other)

    def _merge(self, cluster: Cluster, other: Cluster) -> bool:
        both = merged(cluster, other, self.order)
        if both is None or self.reaches([i for n in both.nodes for i in n.inputs], both):
            return False
        cluster.nodes, cluster.domain, cluster.compact = both.nodes, both.domain, both.compact
        self.cluster.update(dict.fromkeys(other.nodes, cluster))
        return True

    def _join_sweeps(self) -> None:
        """Merges groups that reduce the same values, so that these are read once."""
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

    def _refusal(self, cluster: Cluster, operand: Node, node: Node) -> Refusal | None:
        """Why ``node`` cannot join ``cluster``: a code and a sentence; None if it can."""
        if isinstance(node.op.kind, MOVES):
            return "MOVES_DATA", f"{node.op.name} reads its operand at other indices"
        if len(cluster.nodes) >= MAX_NODES:
            return "LARGE", f"the group has {MAX_NODES} ops, enough to hide its loads and stores"
        if self._would_cycle(cluster, node):
            return "CYCLE", "another operand waits for this group's result"
        if cluster.anchors:
            return self._anchored_refusal(cluster, operand, node)
        if isinstance(node.op.kind, HEAVY):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if not shares_loops(node, cluster):
            return "OTHER_DOMAIN", f"its loops run over {node.shape}, the group's differ"
        return None

    def _anchored_refusal(self, cluster: Cluster, operand: Node, node: Node) -> Refusal | None:
        kind, anchor = node.op.kind, cluster.anchors[0]
        pools = isinstance(kind, Window) and kind.combine != "dot"
        heavy = isinstance(kind, (*HEAVY, Reduction)) and not pools
        if isinstance(kind, Contraction) and isinstance(anchor.op.kind, Contraction):
            return self.refusal(self.body([*cluster.nodes, node], [node], cluster.copies))
        if heavy or (pools and not _makes_images(anchor)):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if pools and pool_of(node) is None:
            return "OVERLAPPING_WINDOW", "pooling in registers needs strides equal to the window"
        if pools and not can_pool(anchor, node):
            return "TILES", "the windows of this pooling do not tile the 2 x 2 results in registers"
        if operand in self.outputs:
            return "GRAPH_OUTPUT", "its operand is a result of the model"
        others = [u for u in self.graph.users[operand] if u is not node]
        if others:
            return "SECOND_USER", f"its operand also feeds {_named(others[0])}"
        assert operand is cluster.nodes[-1], "a value in the middle of the group has another user"
        return self.kernel_refusal([node], [*cluster.nodes, node], [node], cluster)

    def _would_cycle(self, cluster: Cluster, node: Node) -> bool:
        """Whether some other operand of ``node`` depends on the cluster, through any cluster."""
        return self.reaches(node.inputs, cluster)

    def _record_missed(self) -> None:
        """Records what has not joined a group, nor come into it in another way."""
        for cluster, node, decision in self.missed:
            if decision.reason not in STRUCTURAL and self.cluster[node] is not cluster:
                self.decisions.add(decision)

    def _recomputed(self, node: Node) -> None:
        self.decisions.add(
            Decision(
                stage="fuse",
                pattern=node.op.name,
                layers=node.layers,
                action="recomputed",
                reason="CHEAP",
                detail="recomputed where it is needed, instead of stored and read back",
                bytes_saved=node.tensor_type.bytes,
            )
        )

    def _rebuild(self) -> Graph:
        clusters = {id(c): c for c in self.cluster.values() if len(c.nodes) + len(c.copies) > 1}
        last = {c.nodes[-1]: c for c in clusters.values()}
        members = {n for c in clusters.values() for n in c.nodes}
        self.read_by_copies = {n for c in clusters.values() for n in read_by_copies(c)}
        new: dict[Node, Node] = {}

        def make(node: Node, operands: Sequence[Node]) -> Node:
            if node not in members:
                return on_operands(node, operands)
            if node in last:  # all of a cluster is built when its last node comes up
                new.update(self._build(last[node], new))
            return new.get(node, node)

        rebuild(cluster_order(self.graph.nodes, self.cluster, members), new, make)
        return self.graph.with_outputs(new[node] for node in self.graph.outputs)

    def _build(self, cluster: Cluster, new: Mapping[Node, Node]) -> dict[Node, Node]:
        """The values of ``cluster`` that are read outside, as the results of one node."""
        escaping = self.escaping(cluster)
        if not escaping:
            return {}  # every user recomputes it
        members = [*cluster.copies, *cluster.nodes]
        fused = fuse_nodes(members, escaping, cluster.pattern, new, self.bodies)
        saved: Size = 0
        for node in cluster.nodes:
            if node not in escaping:
                saved = saved + node.tensor_type.bytes
        self.decisions.add(
            Decision(
                stage="fuse",
                pattern=cluster.pattern,
                layers=layers_of(cluster.nodes),
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


def _is_fusible(node: Node) -> bool:
    kinds = (*MOVES, *HEAVY, Elementwise, Reduction)
    return isinstance(node.op.kind, kinds) and not isinstance(node.type, TupleType)


def _named(node: Node) -> str:
    return node.layers[-1] if node.layers else node.op.name


def _makes_images(node: Node) -> bool:
    return node.op in (ops.conv2d, ops.winograd_conv2d)
