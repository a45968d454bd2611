"""Groups around a heavy op take in what goes on from several of their values.

    %0 = fused matmul+add(%h, $u, %x)                 %0: f32[N, 4 * units]
    %1, %2 = fused slice+sigmoid+...+multiply(%0, %c)
    -->
    %1, %2 = fused matmul+add+slice+sigmoid+...+multiply(%h, $u, %x, %c)

What reads a group's values element by element, or slices of its channels, is a group of its own at
first. It joins, but for what waits for yet another group that needs this one: the kernel then has
several accumulators an element, or results.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..decisions import Refusal
from ..ir.graph import Node
from ..loops.gates import first_channel
from .clusters import MAX_NODES, Cluster, goes_on
from .grouping import Grouping, Missed, missed, read_by_copies
from .recompute import masks_of


def join_followers(groups: Grouping) -> Iterator[Missed]:
    """Puts what goes on from a group with an anchor in that group; gives what does not join."""
    groups.read_by_copies = {n for c in set(groups.cluster.values()) for n in read_by_copies(c)}
    for cluster in [c for c in dict.fromkeys(groups.cluster.values()) if c.anchors]:
        refused: set[Node] = set()
        while nodes := _followers(groups, cluster, refused):
            reason = _refusal(groups, cluster, nodes)
            if reason is None:
                _join(groups, cluster, nodes)
            else:
                refused.update(nodes)
                yield missed(cluster, nodes, reason)
        _read_slices(groups, cluster)


def _followers(groups: Grouping, cluster: Cluster, refused: set[Node]) -> list[Node]:
    """What may join at once: a group that goes on from values, all slices of these with it."""
    for user in (user for node in cluster.nodes for user in groups.graph.users[node]):
        if user not in refused and _goes_on(groups, user):
            nodes = groups.cluster[user].nodes
            slices = [u for v in _sliced(nodes, cluster) for u in _slices(groups, v)]
            mates = (n for u in slices if _goes_on(groups, u) for n in groups.cluster[u].nodes)
            return _ready(groups, cluster, groups.sorted({*nodes, *mates})) or nodes
    return []


def _ready(groups: Grouping, cluster: Cluster, nodes: list[Node]) -> list[Node]:
    """Those of ``nodes`` that follow from ``cluster``, and what they need, without a detour."""
    trial = Cluster(groups.sorted((*cluster.nodes, *nodes)), cluster.anchors, cluster.domain)
    own, late = set(trial.nodes), set[Node]()
    for node in nodes:
        outside = [operand for operand in node.inputs if operand not in own]
        if not late.isdisjoint(node.inputs) or groups.reaches(outside, trial):
            late.add(node)
    follows, needed = set(cluster.nodes), set[Node]()
    for node in nodes:
        if node not in late and not follows.isdisjoint(node.inputs):
            follows.add(node)
    for node in reversed(nodes):
        if node not in late and (node in follows or node in needed):
            needed.update((node, *node.inputs))
    return [node for node in nodes if node in needed and node not in late]


def _goes_on(groups: Grouping, node: Node) -> bool:
    """Whether its group computes element by element, and nobody else all of that again."""
    cluster = groups.cluster.get(node)
    return cluster is not None and goes_on(cluster) and bool(groups.escaping(cluster))


def _sliced(nodes: list[Node], cluster: Cluster) -> set[Node]:
    """The values of ``cluster`` that ``nodes`` have slices of channels of."""
    slices = (node.inputs[0] for node in nodes if first_channel(node) is not None)
    return {value for value in slices if value in cluster.nodes}


def _slices(groups: Grouping, value: Node) -> list[Node]:
    return [user for user in groups.graph.users[value] if first_channel(user) is not None]


def _refusal(groups: Grouping, cluster: Cluster, nodes: list[Node]) -> Refusal | None:
    both = groups.sorted((*cluster.nodes, *nodes))
    trial = Cluster(both, cluster.anchors, cluster.domain, copies=cluster.copies)
    if len(both) > MAX_NODES:
        return "LARGE", f"both have more than {MAX_NODES} ops"
    if groups.reaches((operand for node in both for operand in node.inputs), trial):
        return "CYCLE", "another operand waits for this group's result"
    for value in _sliced(nodes, cluster):
        if any(user not in nodes for user in _slices(groups, value)):
            return "SECOND_USER", "another slice of its channels is read from memory"
    for parameter in (groups.updated[node] for node in nodes if node in groups.updated):
        if parameter in trial.operands:
            name = parameter.attrs["name"]
            return "UPDATES", f"alone it writes {name} where it lies, which no product can"
    return groups.kernel_refusal(nodes, both, groups.escaping(trial), cluster)


def _join(groups: Grouping, cluster: Cluster, nodes: list[Node]) -> None:
    masks = [mask for node in nodes for mask in masks_of(node, cluster)]
    for other in {groups.cluster[node] for node in nodes}:
        other.nodes = [node for node in other.nodes if node not in nodes]
    cluster.nodes = groups.sorted((*cluster.nodes, *nodes))
    cluster.copies += [mask for mask in dict.fromkeys(masks) if mask not in cluster.nodes]
    groups.read_by_copies |= read_by_copies(cluster)
    groups.cluster.update(dict.fromkeys(nodes, cluster))


def _read_slices(groups: Grouping, cluster: Cluster) -> None:
    """Lets a group read slices of channels where they lie, unless they are made in registers.

    What its heavy op reads is no such slice: that reads rows of an array of its own.
    """
    heavy = {operand for anchor in cluster.anchors for operand in anchor.inputs}
    for operand in cluster.operands:
        if operand in heavy or first_channel(operand) is None or operand not in groups.cluster:
            continue
        if groups.cluster.get(operand.inputs[0]) is groups.cluster[operand]:
            continue
        copies = [*cluster.copies, operand]
        body = groups.body(cluster.nodes, groups.escaping(cluster), copies)
        if groups.refusal(body) is None:
            cluster.copies = copies
