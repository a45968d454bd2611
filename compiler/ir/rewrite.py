"""Graphs made anew: whatever changes one does it by ``rebuild``, and keeps the nodes that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from .graph import Graph, Node, apply, bodies_of, on_operands, origin_scope, post_order, set_origins

Nodes: TypeAlias = tuple[Node, ...]
Make: TypeAlias = Callable[[Node, Nodes], Node]
Rule: TypeAlias = Callable[[Node], "Node | None"]


def rebuild(
    nodes: Iterable[Node], new: dict[Node, Node], make: Make = on_operands
) -> dict[Node, Node]:
    """Fills ``new`` with what stands for each of ``nodes``, operands first, and gives it back.

    What is in it stays. Of every other node, ``make`` gets it and what stands for its operands:
    these themselves where ``new`` has nothing. What it builds takes over the node's origins.
    """
    with origin_scope():
        for node in nodes:
            if node not in new:
                set_origins(node.origins)
                new[node] = make(node, tuple(map(new.get, node.inputs, node.inputs)))
    return new


def remade(graph: Graph, make: Make) -> Graph:
    """``graph`` of the nodes that ``make`` gives; see ``rebuild``."""
    new = rebuild(graph.nodes, {}, make)
    return graph.with_outputs(new[node] for node in graph.outputs)


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """``graph`` with each node rebuilt on its rewritten operands, then passed through ``rule``.

    ``rule`` gets every non-leaf node, operands first, and gives a replacement or None to keep it.
    New nodes take over the origins of the node they replace.
    """

    def make(node: Node, operands: Nodes) -> Node:
        if not operands:
            return node
        same = on_operands(node, operands)
        changed = rule(same)
        return same if changed is None else changed

    return remade(graph, make)


def rewrite_chosen(graph: Graph, chosen: Mapping[Node, Callable[[Node], Node]]) -> Graph:
    """``graph`` with each node of ``chosen`` replaced by what its function makes of it.

    The function gets the node rebuilt on its new operands. Unlike with ``rewrite`` the choice is
    made on the graph as it was: on its users, say.
    """

    def make(node: Node, operands: Nodes) -> Node:
        same = on_operands(node, operands)
        return chosen[node](same) if node in chosen else same

    return remade(graph, make)


def rewrite_everywhere(graph: Graph, rule: Rule) -> Graph:
    """``rewrite`` that also reaches into the bodies of regions, those first."""

    def descend(node: Node) -> Node | None:
        inner = _with_bodies(node, lambda body: rewrite_everywhere(body, rule))
        return rule(inner) or (inner if inner is not node else None)

    return rewrite(graph, descend)


def change_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """``graph`` with ``change`` applied to the bodies of its regions."""
    return rewrite(graph, lambda node: _with_bodies(node, change))


def _with_bodies(node: Node, change: Callable[[Graph], Graph]) -> Node:
    bodies = bodies_of(node)
    changed = {key: new for key, body in bodies if (new := change(body)) is not body}
    return apply(node.op, node.inputs, node.attrs | changed) if changed else node


def substitute_nodes(graph: Graph, replacements: Mapping[Node, Node]) -> Graph:
    """``graph`` with some nodes (leaves included) replaced by others of the same type."""
    new = rebuild(graph.nodes, dict(replacements))
    inputs = tuple(new[node] for node in graph.inputs if new[node].op.name == "input")
    outputs, updates = (tuple(new[n] for n in end) for end in (graph.outputs, graph.updates))
    if (inputs, outputs, updates) == (graph.inputs, graph.outputs, graph.updates):
        return graph
    return Graph(graph.name, inputs, outputs, updates)


def substituted(outputs: Sequence[Node], known: Mapping[Node, Node]) -> Nodes:
    """``outputs`` computed from other nodes in place of the keys of ``known``."""
    new = rebuild(post_order(outputs), dict(known))
    return tuple(new[node] for node in outputs)


def applied(body: Graph, arguments: Sequence[Node]) -> Nodes:
    """What ``body`` gives for these nodes as its inputs: its ops, built on them."""
    return substituted(body.outputs, dict(zip(body.inputs, arguments, strict=True)))


def all_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes of ``graph`` and of the bodies within."""
    found: list[Node] = []
    for node in graph.nodes:
        for _, body in bodies_of(node):
            found += all_nodes(body)
        found.append(node)
    return tuple(found)
