"""Recomputation (rematerialization): groups recompute values that cost more to store and read back.

    %0, %1 = fused subtract+square+sum(%x, %mean)      %0 = subtract(%x, %mean), also read by
    %2 = fused multiply+sum(%g, %0)
    -->
    %1 = fused subtract+square+sum(%x, %mean)
    %2 = fused subtract+multiply+sum(%x, %mean, %g)

A value that a group computes elementwise, in an op or two from one large operand, is not stored for
other groups. They read that operand instead, and the recomputation costs nothing compared with
memory traffic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..context import Costs
from ..ir.graph import Graph, Node
from ..ir.kinds import Elementwise, Reduction
from ..ir.types import BOOL
from .clusters import MAX_NODES, Cluster

STEPS = 3  # ops that are cheaper than storing a value and reading it back


def recompute(
    graph: Graph, cluster: Mapping[Node, Cluster], target: Costs[Any]
) -> tuple[Node, ...]:
    """Adds copies of cheap nodes to groups that read them; gives the values to store no more."""
    saved: dict[Node, None] = {}
    for node in graph.nodes:
        if node not in cluster or node in graph.results or not is_simple(node):
            continue
        source = cluster[node]
        users = [u for u in graph.users[node] if not _has(cluster.get(u), node)]
        if not users or not all(_takes(node, user, cluster) for user in users):
            continue
        stored = {n for n in source.nodes if n in graph.results or _is_read(n, graph, cluster)} - {
            node
        }
        recipe = (
            masks_leading_to(node) if node.dtype == BOOL else _recipe(node, source, stored, target)
        )
        takers = {id(cluster[user]): cluster[user] for user in users}.values()
        if recipe and all(_is_worth(recipe, taker) for taker in takers):
            saved[node] = None
            for taker in takers:
                taker.copies += [n for n in recipe if n not in taker.copies]
    return tuple(saved)


def is_simple(node: Node) -> bool:
    """Whether ``node`` is computed element by element."""
    return isinstance(node.op.kind, Elementwise)


def _is_read(node: Node, graph: Graph, cluster: Mapping[Node, Cluster]) -> bool:
    """Whether another group currently reads ``node`` from memory."""
    return not all(_has(cluster.get(user), node) for user in graph.users[node])


def _has(cluster: Cluster | None, node: Node) -> bool:
    return cluster is not None and (node in cluster.nodes or node in cluster.copies)


def masks_of(node: Node, cluster: Cluster) -> list[Node]:
    """The conditions that ``node`` reads and the ops that compute them, for a group to recompute.

    A stored mask takes a byte an element, a mask in registers a bit: groups read the compared
    values instead.
    """
    masks = [i for i in node.inputs if i.dtype == BOOL and is_simple(i)]
    found = dict.fromkeys(n for mask in masks for n in masks_leading_to(mask))
    return [n for n in found if not _has(cluster, n)]


def masks_leading_to(mask: Node) -> list[Node]:
    """``mask`` and the conditions it is made of, those first."""
    before = (
        n for i in mask.inputs if i.dtype == BOOL and is_simple(i) for n in masks_leading_to(i)
    )
    return [*dict.fromkeys(before), mask]


def _takes(node: Node, user: Node, cluster: Mapping[Node, Cluster]) -> bool:
    """Whether ``user`` computes in registers, in loops over all of ``node``."""
    taker = cluster.get(user)
    computes = isinstance(user.op.kind, (Elementwise, Reduction))
    return computes and taker is not None and not taker.anchors and taker.domain.shape == node.shape


def _recipe(
    node: Node, source: Cluster, stored: Collection[Node], target: Costs[Any]
) -> list[Node]:
    """The ops of a group that lead to ``node`` from what lies in memory, or is small.

    Empty where they are many, or cost more than reading the value.
    """
    members = {*source.nodes, *source.copies}.difference(stored)
    found: list[Node] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found or current not in members or current.shape != node.shape:
            continue
        if not is_simple(current) or target.is_expensive(current.op.name) or len(found) == STEPS:
            return []
        found.append(current)
        stack.extend(current.inputs)
    return found[::-1]


def _is_worth(recipe: list[Node], taker: Cluster) -> bool:
    """Whether the group then reads at most one additional large value."""
    if len(taker.nodes) + len(taker.copies) + len(recipe) > MAX_NODES:
        return False
    own = {*taker.nodes, *taker.copies, *recipe}
    read = {operand for node in (*taker.nodes, *taker.copies) for operand in node.inputs}
    more = {i for node in recipe for i in node.inputs if i not in own and i not in read}
    return sum(operand.shape == recipe[0].shape for operand in more) <= 1
