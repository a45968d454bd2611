"""Checks that a graph is well formed: run after tracing, after parsing, after every pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from ..ops.registry import op_table
from .graph import Graph, IRError, Node, bodies_of
from .printer import node_names
from .types import TupleType


def verify(graph: Graph, stage: str = "") -> None:
    """Raises ``IRError`` naming the first malformed node, its layer and line, and ``stage``.

    Checked: inputs are listed, each once; names of inputs and of parameters are unique; every op
    is the one in the table; types are what the type rules say; symbolic sizes are bound by the
    inputs; bodies are closed and well formed themselves; updates are of the parameters' types.
    """
    sizes = frozenset(graph.symbols) if all(map(_is_input, graph.inputs)) else frozenset[str]()
    _Verifier(graph, sizes, lambda: f"after {stage}: " if stage else "").run()


def _is_input(node: Node) -> bool:
    return node.op.name == "input"


@dataclass(frozen=True)
class _Verifier:
    """Checks one graph, ``sizes`` being the symbols it may use; a body has its own verifier."""

    graph: Graph
    sizes: frozenset[str]
    place: Callable[[], str]
    is_body: bool = False

    def run(self) -> None:
        self.check_inputs()
        self.check_names()
        table = op_table()
        inputs = frozenset(self.graph.inputs)
        placed: set[Node] = set()
        for node in self.graph.nodes:
            if not placed.issuperset(node.inputs):
                self.fail(node, "stands before one of its operands")
            if table.get(node.op.name) is not node.op:
                self.fail(node, f"has an op that is not in the op table: {node.op.name}")
            self.check_leaf(node, inputs)
            self.check_type(node)
            self.check_bodies(node)
            placed.add(node)
        self.check_outputs()
        self.check_updates()

    def check_inputs(self) -> None:
        for node, count in Counter(self.graph.inputs).items():
            if not _is_input(node):
                self.fail(node, "is listed as an input of the graph, but is none")
            if count > 1:
                self.fail(node, f"is listed {count} times as an input of the graph")

    def check_names(self) -> None:
        seen: set[tuple[str, str]] = set()
        for node in (*self.graph.inputs, *self.graph.parameters):
            key = (node.op.name, node.attrs["name"])
            if key in seen:
                self.fail(node, f"has a name that another {node.op.name} has already")
            seen.add(key)

    def check_leaf(self, node: Node, inputs: frozenset[Node]) -> None:
        if _is_input(node) and node not in inputs:
            self.fail(node, "is used, but is not listed as an input of the graph")
        if node.op.name == "parameter" and self.is_body:
            self.fail(node, "is used in a body; a body gets parameters as operands of its region")

    def check_type(self, node: Node) -> None:
        try:
            expected = node.inferred
        except (ValueError, TypeError, IndexError) as error:
            self.fail(node, f"does not fit its operands: {error}", error)
        if expected != node.type:
            self.fail(node, f"is typed {node.type}, but its type rule gives {expected}")
        if not node.type.symbols <= self.sizes:
            symbol = min(node.type.symbols - self.sizes)
            self.fail(node, f"has the size {symbol}, which no input of the graph determines")

    def check_bodies(self, node: Node) -> None:
        for key, body in bodies_of(node):
            # Said of what fails alone: a name is found by going through all nodes.
            place = partial(self.inside, key, node)
            _Verifier(body, self.sizes, place, is_body=True).run()

    def inside(self, key: str, node: Node) -> str:
        return f"{self.place()}in the {key} of {self.describe(node)}: "

    def check_outputs(self) -> None:
        for node in self.graph.outputs:
            if isinstance(node.type, TupleType):
                self.fail(node, "is an output with several results; pick one with item(index=...)")

    def check_updates(self) -> None:
        if len(self.graph.next_values) != len(self.graph.updates):
            self.fail(self.graph.updates[0], "or another parameter is updated twice")
        for node, value in self.graph.next_values.items():
            if node.op.name != "parameter" or self.is_body:
                self.fail(node, "is updated, but is no parameter of the graph")
            if value.type != node.type:
                self.fail(node, f"is updated to a value of another type, {value.type}")

    def fail(self, node: Node, problem: str, cause: Exception | None = None) -> NoReturn:
        raise IRError(f"{self.place()}{self.describe(node)} {problem}") from cause

    def describe(self, node: Node) -> str:
        """``%3 = relu : f32[N, 4] (conv2d  digits.py:12)``"""
        name = node_names(self.graph).get(node, f"%{node.attrs.get('name', '?')}")
        origins = ", ".join(filter(None, map(str, node.origins)))
        what = name if not node.inputs else f"{name} = {node.op.name}"
        return f"{what} : {node.type}{f' ({origins})' if origins else ''}"
