"""Groups ops that can run as one kernel, so that what passes between them never leaves registers.

    %0 = conv2d(%x, $kernel)
    %1 = add(%0, $bias)
    %2 = relu(%1)
    %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2))
    -->
    %0 = fused conv2d+add+relu+max_pool2d(%x, $kernel, $bias) {...}

A convolution, matrix product or window takes along what follows it element by element (bias,
residual, activation, a pooling that tiles the image); what goes on from several of its values, or
from slices of its channels, joins it as a whole. Other elementwise ops, reductions and the
data movement in front of them join where they share one loop domain: a softmax is one group.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..context import Context
from ..decisions import Decision, Refusal
from ..ir.graph import Graph, Node, apply, on_operands, origin_scope, rewrite
from ..ir.kinds import Contraction, Elementwise, Reduction, Window
from ..ir.types import BOOL, FLOAT32, Size, TupleType
from ..loops.epilogues import HEAVY, can_pool, pool_of
from ..loops.gates import first_channel
from ..ops.core import ITEM, fuse_nodes
from ..ops.registry import ops
from ..prologue import fixed_nodes
from .clusters import MAX_NODES, MOVES, Cluster, goes_on, merged, shares_loops, start_cluster
from .legalize import scattered_parts
from .recompute import masks_of, recompute

# Where groups end by nature: nothing was missed, so nothing is reported.
STRUCTURAL = frozenset({"ANCHOR", "TWO_ANCHORS", "MOVES_DATA", "CYCLE"})


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
        self.updated = {value: parameter for parameter, value in graph.next_values.items()}
        self.cluster: dict[Node, Cluster] = {}
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.read_by_copies: set[Node] = set()
        self.missed: list[tuple[Cluster, Node, Decision]] = []

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.inputs and node not in self.fixed and _is_fusible(node):
                self._place(node)
        self._join_sweeps()
        self._join_followers()
        self._record_missed()
        for node in recompute(self.graph, self.cluster, self.target):
            self._recomputed(node)
        return self._rebuild()

    def _place(self, node: Node) -> None:
        """Puts ``node`` in the cluster of one of its operands, or in one of its own."""
        candidates = {self.cluster[i]: i for i in node.inputs if i in self.cluster}
        # The latest producer first: what it waits for is ready by then.
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
            self._declined(cluster, [node], *reason)
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

    def _refusal(self, cluster: Cluster, operand: Node, node: Node) -> Refusal | None:
        """Why ``node`` cannot join ``cluster``: a code and a sentence; None if it can."""
        if isinstance(node.op.lowering, MOVES):
            return "MOVES_DATA", f"{node.op.name} reads its operand elsewhere"
        if len(cluster.nodes) >= MAX_NODES:
            return "LARGE", f"the group has {MAX_NODES} ops, enough to hide its loads and stores"
        if self._would_cycle(cluster, node):
            return "CYCLE", "another operand waits for this group's result"
        if cluster.anchors:
            return self._anchored_refusal(cluster, operand, node)
        if isinstance(node.op.lowering, HEAVY):
            return "ANCHOR", f"{node.op.name} reads its operand from memory"
        if not shares_loops(node, cluster):
            return "OTHER_DOMAIN", f"its loops run over {node.shape}, the group's differ"
        return None

    def _anchored_refusal(self, cluster: Cluster, operand: Node, node: Node) -> Refusal | None:
        facet, anchor = node.op.lowering, cluster.anchors[0]
        pools = isinstance(facet, Window) and facet.combine != "dot"
        heavy = isinstance(facet, (*HEAVY, Reduction)) and not pools
        if isinstance(facet, Contraction) and isinstance(anchor.op.lowering, Contraction):
            return self.target.refusal(self._body([*cluster.nodes, node], [node], cluster.copies))
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
        assert operand is cluster.nodes[-1], "what the group has gone on from has that user alone"
        return self._kernel_refusal([node], [*cluster.nodes, node], [node], cluster)

    def _kernel_refusal(
        self, new: list[Node], nodes: list[Node], results: list[Node], cluster: Cluster
    ) -> Refusal | None:
        """Why no kernel computes ``nodes``: ``new`` ones and those of ``cluster``."""
        other = next((node for node in (*new, *results) if node.dtype not in (FLOAT32, BOOL)), None)
        other = other or next((node for node in results if node.dtype != FLOAT32), None)
        if other is not None:
            return "DTYPE", f"{other.dtype} where kernels of this kind compute float32"
        if any(not self.scattered.isdisjoint((node, *node.inputs)) for node in new):
            return "GAPS", "time as the last axis leaves gaps between the elements of a value"
        masks = [mask for node in new for mask in masks_of(node, cluster)]
        return self.target.refusal(self._body(nodes, results, [*cluster.copies, *masks]))

    def _body(self, nodes: list[Node], results: list[Node], copies: list[Node]) -> Graph:
        body: Graph = fuse_nodes([*copies, *nodes], results, "").attrs["body"]
        return body

    def _join_followers(self) -> None:
        """Puts what goes on from several values of a group with an anchor in that group."""
        self.read_by_copies = {n for c in set(self.cluster.values()) for n in _read_by_copies(c)}
        for cluster in [c for c in dict.fromkeys(self.cluster.values()) if c.anchors]:
            refused: set[Cluster] = set()
            while follower := self._follower(cluster, refused):
                reason = self._join_refusal(cluster, follower)
                if reason is None:
                    self._join(cluster, follower)
                else:
                    refused.add(follower)
                    self._declined(cluster, follower.nodes, *reason)
            self._read_slices(cluster)

    def _follower(self, cluster: Cluster, refused: set[Cluster]) -> Cluster | None:
        """A group that computes element by element what follows from values of ``cluster``."""
        users = (user for node in cluster.nodes for user in self.graph.users[node])
        others = (self.cluster[user] for user in users if user in self.cluster)
        return next((c for c in others if self._goes_on(c) and c not in refused), None)

    def _goes_on(self, cluster: Cluster) -> bool:
        """Whether a group computes element by element, and nobody else all of it again."""
        return goes_on(cluster) and bool(self._escaping(cluster))

    def _join_refusal(self, cluster: Cluster, follower: Cluster) -> Refusal | None:
        both = [*cluster.nodes, *follower.nodes]
        if len(both) > MAX_NODES:
            return "LARGE", f"both have more than {MAX_NODES} ops"
        trial = Cluster(both, cluster.anchors, cluster.domain, copies=cluster.copies)
        if self._reaches([i for node in both for i in node.inputs], trial):
            return "CYCLE", "another operand waits for this group's result"
        updated = (self.updated[node] for node in follower.nodes if node in self.updated)
        for parameter in updated:
            if parameter in trial.operands:
                name = parameter.attrs["name"]
                return "UPDATES", f"alone it writes {name} where it lies, which no product can"
        return self._kernel_refusal(follower.nodes, both, self._escaping(trial), cluster)

    def _join(self, cluster: Cluster, follower: Cluster) -> None:
        masks = [mask for node in follower.nodes for mask in masks_of(node, cluster)]
        own = {*cluster.nodes, *follower.nodes}
        cluster.nodes = sorted(own, key=lambda node: self.order[node])
        cluster.copies += [mask for mask in dict.fromkeys(masks) if mask not in own]
        self.read_by_copies |= _read_by_copies(cluster)
        self.cluster.update(dict.fromkeys(follower.nodes, cluster))

    def _read_slices(self, cluster: Cluster) -> None:
        """Lets a group with an anchor read slices of channels where they lie."""
        for operand in cluster.operands:
            if first_channel(operand) is None or operand not in self.cluster:
                continue
            if self.cluster.get(operand.inputs[0]) is self.cluster[operand]:
                continue  # it is not in memory
            copies, results = [*cluster.copies, operand], self._escaping(cluster)
            if self.target.refusal(self._body(cluster.nodes, results, copies)) is None:
                cluster.copies = copies

    def _would_cycle(self, cluster: Cluster, node: Node) -> bool:
        """Whether some other operand of ``node`` depends on the cluster, through any cluster."""
        return self._reaches(node.inputs, cluster)

    def _reaches(self, operands: Iterable[Node], cluster: Cluster) -> bool:
        """Whether ``operands`` depend on the cluster through a node outside of it."""
        members = set(cluster.nodes)
        first = min(self.order[node] for node in members)
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

    def _declined(self, cluster: Cluster, nodes: list[Node], code: str, detail: str) -> None:
        """Notes that ``nodes`` have not joined ``cluster``: they may still, in another way."""
        if code in STRUCTURAL:
            return
        decision = Decision(
            stage="fuse",
            pattern=f"{cluster.pattern} + {'+'.join(node.op.name for node in nodes)}",
            layers=_layers([*cluster.nodes, *nodes]),
            action="declined",
            reason=code,
            detail=detail,
        )
        self.missed.append((cluster, nodes[0], decision))

    def _record_missed(self) -> None:
        for cluster, node, decision in self.missed:
            if self.cluster[node] is not cluster:
                self.decisions.add(decision)

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
        new: dict[Node, Node] = {}
        clusters = {id(c): c for c in self.cluster.values() if len(c.nodes) + len(c.copies) > 1}
        last = {c.nodes[-1]: c for c in clusters.values()}
        members = {n for c in clusters.values() for n in c.nodes}
        self.read_by_copies = {n for c in clusters.values() for n in _read_by_copies(c)}
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

    def _reads(self, user: Node, node: Node) -> bool:
        """Whether ``user`` reads a value of another group from memory."""
        return user not in self.cluster or node not in self.cluster[user].copies

    def _escaping(self, cluster: Cluster) -> list[Node]:
        """What is read of a group, beside by itself and by who computes it again."""
        inside = set(cluster.nodes)
        return [
            n
            for n in cluster.nodes
            if n in self.outputs
            or n in self.read_by_copies
            or any(u not in inside and self._reads(u, n) for u in self.graph.users[n])
        ]

    def _build(self, cluster: Cluster, new: dict[Node, Node]) -> None:
        escaping = self._escaping(cluster)
        if not escaping:
            return  # all who need something of it compute it again
        members = [*cluster.copies, *cluster.nodes]
        fused = fuse_nodes(members, escaping, cluster.pattern, new)
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


def _on(node: Node, new: dict[Node, Node]) -> Node:
    with origin_scope(*node.origins):
        return on_operands(node, [new[i] for i in node.inputs])


def _is_fusible(node: Node) -> bool:
    facets = (*MOVES, *HEAVY, Elementwise, Reduction)
    return isinstance(node.op.lowering, facets) and not isinstance(node.type, TupleType)


def _layers(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer for node in nodes for layer in node.layers))


def _named(node: Node) -> str:
    return node.layers[-1] if node.layers else node.op.name


def _makes_images(node: Node) -> bool:
    return node.op in (ops.conv2d, ops.winograd_conv2d)
