"""Groups compute a value again where reading it back would cost more.

    %0, %1 = fused subtract+square+sum(%x, %mean)      %0 = subtract(%x, %mean), also read by
    %2 = fused multiply+sum(%g, %0)
    -->
    %1 = fused subtract+square+sum(%x, %mean)
    %2 = fused subtract+multiply+sum(%x, %mean, %g)

What one group computes element by element, in a step or two from one large operand, is not stored
for others: they read that operand, and what follows from it costs nothing beside the memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import Graph, Node
from ..lowering import Elementwise, Reduction
from .clusters import MAX_NODES, Cluster

STEPS = 3  # ops that are cheaper than storing a value and reading it back


def recompute(graph: Graph, cluster: Mapping[Node, Cluster]) -> int:
    """Gives groups copies of what is cheap; how many values need not be stored for it."""
    saved = 0
    for node in graph.nodes:
        if node not in cluster or node in graph.outputs or not _is_simple(node):
            continue
        home = cluster[node]
        users = [user for user in graph.users[node] if cluster.get(user) is not home]
        if not users or not all(_takes(node, user, cluster) for user in users):
            continue
        recipe = _recipe(node, home)
        takers = {id(cluster[user]): cluster[user] for user in users}.values()
        if recipe and all(_is_worth(recipe, taker) for taker in takers):
            saved += 1
            for taker in takers:
                taker.copies += [n for n in recipe if n not in taker.copies]
    return saved


def _is_simple(node: Node) -> bool:
    return isinstance(node.op.lowering, Elementwise)


def _takes(node: Node, user: Node, cluster: Mapping[Node, Cluster]) -> bool:
    """Whether ``user`` computes in registers, in loops over all of ``node``."""
    taker = cluster.get(user)
    computes = isinstance(user.op.lowering, (Elementwise, Reduction))
    return computes and taker is not None and not taker.anchor and taker.domain.shape == node.shape


def _recipe(node: Node, home: Cluster) -> list[Node]:
    """The ops of a group that lead to ``node``; none where they are many or more than simple."""
    members = {*home.nodes, *home.copies}
    found: list[Node] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found or current not in members:
            continue
        if not _is_simple(current) or current.shape != node.shape or len(found) == STEPS:
            return []
        found.append(current)
        stack.extend(current.inputs)
    return found[::-1]


def _is_worth(recipe: list[Node], taker: Cluster) -> bool:
    """Whether at most one large value more is read for the one that is not."""
    if len(taker.nodes) + len(taker.copies) + len(recipe) > MAX_NODES:
        return False
    own = {*taker.nodes, *taker.copies, *recipe}
    read = {operand for node in taker.nodes for operand in node.inputs}
    more = {i for node in recipe for i in node.inputs if i not in own and i not in read}
    return sum(operand.shape == recipe[0].shape for operand in more) <= 1
