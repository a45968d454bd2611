"""Conditions on symbolic sizes that type rules cannot check.

A type rule checks known sizes. ``x[5:]`` of ``N`` samples has ``N - 5`` of them, and a window of
three rows must fit an image of ``H`` rows: such conditions are checked when a program gets its
arguments. An op's ``orders`` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...runtime.dim import evaluate, is_never_negative
from ...runtime.program import Condition
from ..ir.graph import Graph, IRError, Node, Order
from ..ir.rewrite import all_nodes
from ..ir.types import Shape, TupleType
from ..ops.registry import ops
from ..ops.stepping import operands_of, steps_of


def conditions(graph: Graph) -> tuple[Condition, ...]:
    """The conditions of ``graph``, in order, each once; those that always hold are left out."""
    found: dict[Condition, None] = {}
    for node in all_nodes(graph):
        for low, high in _orders(node):
            if not is_never_negative(high - low):
                found[Condition(low, high, _place(node))] = None
    return tuple(found)


# An empty axis has no smallest or largest element.
CHOOSING = frozenset({"argmax", "argmin", "logsumexp", "max", "min"})


def check_choices(graph: Graph, bindings: Mapping[str, int]) -> None:
    """Raises ``IRError`` where ``graph`` chooses among no elements, with symbols as bound."""
    for node in all_nodes(graph):
        if node.op.name in CHOOSING and 0 not in _sizes(node.tensor_type.shape, bindings):
            given = _sizes(node.inputs[0].shape, bindings)
            if 0 in given:
                raise IRError(
                    f"{_place(node)}: expected 1 element or more along the axes that it chooses "
                    f"along; received shape {given}, which has none"
                )


def check_steps(graph: Graph, bindings: Mapping[str, int]) -> None:
    """Raises ``IRError`` where a loop of ``graph`` has too few steps, with symbols as bound."""
    for node in all_nodes(graph):
        if node.op is not ops.scan or evaluate(steps_of(node), bindings) >= node.attrs["least"]:
            continue
        given = _sizes(operands_of(node, node.inputs).sequences[0].shape, bindings)
        raise IRError(
            f"{_place(node)}: expected sequences of 1 step or more; received shape {given}"
        )


def _sizes(shape: Shape, bindings: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(evaluate(size, bindings) for size in shape)


def _place(node: Node) -> str:
    layers = ", ".join(node.layers)
    return f"{node.op.name} ({layers})" if layers else node.op.name


def _orders(node: Node) -> Iterator[Order]:
    types = node.type.items if isinstance(node.type, TupleType) else (node.type,)
    yield from ((0, size) for type_ in types for size in type_.shape)
    yield from node.op.orders(node)
