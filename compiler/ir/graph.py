"""The graph: an immutable function from inputs and parameters to outputs, made of nodes.

A graph may also update parameters: it computes their next values, as a training step does.
"""

from __future__ import annotations

import importlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...runtime.forks import cached_property, work
from .node import (
    REQUIRED,
    UNIQUE_LEAVES,
    IRError,
    Literal,
    Node,
    Op,
    Order,
    Origin,
    Reference,
    Required,
    Sample,
    TypeRule,
    apply,
    current_origins,
    exact,
    freeze,
    on_operands,
    origin_scope,
    set_origins,
)
from .printer import format_graph

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "Graph",
    "IRError",
    "Literal",
    "Node",
    "Op",
    "Order",
    "Origin",
    "REQUIRED",
    "Reference",
    "Required",
    "Sample",
    "TypeRule",
    "UNIQUE_LEAVES",
    "apply",
    "bodies_of",
    "current_origins",
    "exact",
    "freeze",
    "on_operands",
    "origin_scope",
    "post_order",
    "set_origins",
]


@dataclass(frozen=True, eq=False)
class Graph:
    """A function from inputs and parameters to outputs. Immutable; equality is structural.

    ``updates`` are parameters that change: the last outputs, one each, are their next values, and
    the caller gets those before (``returned``). Every read of a parameter sees its old value.
    """

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[Node, ...] = ()

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, operands before users, inputs first; the same order every time."""
        return tuple(post_order((*self.inputs, *self.updates, *self.outputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is made of the nodes in their order: none is reached through a chain of others."""
        return _from_nodes, (self.nodes, self.name, self.inputs, self.outputs, self.updates)

    @property
    def returned(self) -> tuple[Node, ...]:
        """The outputs that the caller gets."""
        return self.outputs[: len(self.outputs) - len(self.updates)]

    @property
    def next_values(self) -> dict[Node, Node]:
        """For each updated parameter the output that is its next value."""
        values = self.outputs[len(self.outputs) - len(self.updates) :]
        return dict(zip(self.updates, values, strict=True))

    @cached_property
    def results(self) -> frozenset[Node]:
        """The outputs as a set: asked for one node after another, a tuple would take its square."""
        return frozenset(self.outputs)

    @cached_property
    def parameters(self) -> tuple[Node, ...]:
        """The ``parameter`` nodes, in the order of ``nodes``."""
        return tuple(node for node in self.nodes if node.op.name == "parameter")

    @cached_property
    def users(self) -> dict[Node, tuple[Node, ...]]:
        """For each node the nodes that read it, each once, in order."""
        found: dict[Node, dict[Node, None]] = {node: {} for node in self.nodes}
        for node in self.nodes:
            for operand in node.inputs:
                found[operand][node] = None
        return {node: tuple(users) for node, users in found.items()}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbolic sizes of the inputs, sorted."""
        return tuple(sorted(frozenset().union(*(n.tensor_type.symbols for n in self.inputs))))

    def with_outputs(self, outputs: Iterable[Node]) -> Graph:
        """The graph with others in place of its outputs; the last are the updates' still.

        It is the same graph where they are the same: what is known of it stays known.
        """
        new = tuple(outputs)
        return self if new == self.outputs else Graph(self.name, self.inputs, new, self.updates)

    @cached_property
    def fingerprint(self) -> tuple[Any, ...]:
        """The structure as a value: names and origins of the lines aside, all that matters."""
        number = {node: index for index, node in enumerate(self.nodes)}
        rows = tuple(
            (node.op.name, tuple(number[i] for i in node.inputs), node.exact_attributes, node.type)
            for node in self.nodes
        )
        ends = (self.inputs, self.outputs, self.updates)
        return rows, tuple(tuple(number[node] for node in end) for end in ends)

    @cached_property
    def _hash(self) -> int:
        return hash(self.fingerprint)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Graph) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return format_graph(self)

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.nodes)} nodes>"

    def to_networkx(self) -> nx.MultiDiGraph:
        """The dataflow as a networkx graph: nodes are ``Node``, edges carry the operand index."""
        # A tenth of the time that `import keraunos` would take, and few programs ask for it.
        with work:
            library = importlib.import_module("networkx")
        graph: nx.MultiDiGraph = library.MultiDiGraph(name=self.name)
        for node in self.nodes:
            graph.add_node(node, op=node.op.name, type=str(node.type))
        for node in self.nodes:
            for index, operand in enumerate(node.inputs):
                graph.add_edge(operand, node, operand=index)
        return graph


def _from_nodes(nodes: tuple[Node, ...], name: str, *ends: tuple[Node, ...]) -> Graph:
    return Graph(name, *ends)


def post_order(
    roots: Iterable[Node], within: Container[Node] | None = None, ends: Container[Node] = ()
) -> Iterator[Node]:
    """What ``roots`` are computed from, operands first; only of those ``within``, if given.

    Nothing is looked at beyond ``ends``. Depth-first without recursion: graphs can be thousands of
    nodes deep.
    """
    done: set[Node] = set()
    for root in roots:
        stack = [root] if within is None or root in within else []
        while stack:
            node = stack[-1]
            operands = () if ends and node in ends else node.inputs
            waiting = [operand for operand in operands if operand not in done]
            if within is not None:
                waiting = [operand for operand in waiting if operand in within]
            if waiting and node not in done:
                stack += reversed(waiting)
                continue
            stack.pop()
            if node not in done:
                done.add(node)
                yield node


def bodies_of(node: Node) -> tuple[tuple[str, Graph], ...]:
    """The attributes of ``node`` that are graphs: what a loop or a group of ops runs."""
    if not node.attributes:  # nearly all
        return ()
    return tuple((key, value) for key, value in node.attributes if isinstance(value, Graph))
