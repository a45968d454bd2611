"""What the passes share: rewriting inside bodies, values of constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Rule, apply, bodies_of, on_operands, origin_scope, rewrite
from ..ops.core import CONSTANT


def rewrite_everywhere(graph: Graph, rule: Rule) -> Graph:
    """``ir.rewrite`` that also reaches into the bodies of regions, those first."""

    def descend(node: Node) -> Node | None:
        inner = _with_bodies(node, lambda body: rewrite_everywhere(body, rule))
        return rule(inner) or (inner if inner is not node else None)

    return rewrite(graph, descend)


def _with_bodies(node: Node, change: Callable[[Graph], Graph]) -> Node:
    bodies = bodies_of(node)
    changed = {key: new for key, body in bodies if (new := change(body)) is not body}
    return apply(node.op, node.inputs, node.attrs | changed) if changed else node


def change_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """``graph`` with ``change`` applied to the bodies of its regions."""
    return rewrite(graph, lambda node: _with_bodies(node, change))


def all_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes of ``graph`` and of the bodies within."""
    found: list[Node] = []
    for node in graph.nodes:
        for _, body in bodies_of(node):
            found += all_nodes(body)
        found.append(node)
    return tuple(found)


def constant_array(node: Node) -> np.ndarray | None:
    """The array of a constant node, else None."""
    return node.attrs["value"].array if node.op is CONSTANT else None


def uniform_value(node: Node) -> Any:
    """The number every element of a constant node equals, else None."""
    array = constant_array(node)
    if array is None or array.size == 0:
        return None
    first = array.reshape(-1)[0]
    return first.item() if (array == first).all() else None


def rewrite_chosen(graph: Graph, chosen: Mapping[Node, Callable[[Node], Node]]) -> Graph:
    """``graph`` with each node of ``chosen`` replaced by what its function makes of it.

    The function gets the node rebuilt on its new operands. Unlike with ``ir.rewrite`` the choice
    is made on the graph as it was: on its users, say.
    """
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        with origin_scope(*node.origins):
            same = on_operands(node, [new[operand] for operand in node.inputs])
            new[node] = chosen[node](same) if node in chosen else same
    return graph.with_outputs(new[node] for node in graph.outputs)
