"""Finds where a computation first stops being finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .evaluate import evaluate_all
from .graph import Graph, IRError, Node
from .printer import node_calls
from .types import dtype_of


@dataclass(frozen=True)
class NonFinite:
    """The first op whose result holds a NaN or an infinity that its operands do not.

    Attributes:
        node: the op; a leaf where an input or a weight is not finite itself.
        text: its line of IR.
        count: elements of the result that are not finite, ``nans`` of them NaN.
        operands: smallest and largest value of each operand.
    """

    node: Node
    text: str
    count: int
    nans: int
    operands: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        layers = ", ".join(self.node.layers)
        lines = dict.fromkeys(f"{o.file}:{o.line}" for o in self.node.origins if o.file)
        where = "  ".join(filter(None, [layers, *lines]))
        ranges = ", ".join(f"[{low:.6g}, {high:.6g}]" for low, high in self.operands)
        size = self.node.tensor_type
        return (
            f"{self.text}\n  {self.count} elements of {size} are not finite, {self.nans} of them "
            f"NaN{f'; operands in {ranges}' if ranges else ''}"
            f"{f'{chr(10)}  at {where}' if where else ''}"
        )


def first_nonfinite(
    graph: Graph, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> NonFinite | None:
    """Runs ``graph`` op by op in numpy; None if every value is finite.

    A NaN counts before an infinity, which may be meant: masks are made of them.
    """
    return first_nonfinite_of(graph, evaluate_all(graph, inputs, parameters))


def first_nonfinite_of(graph: Graph, values: Mapping[Node, Any]) -> NonFinite | None:
    """The same where the values of nodes are known already, in the order of their computation."""
    floats = [node for node in values if _is_float(values[node])]
    for is_bad in (np.isnan, _not_finite):
        for node in floats:
            if is_bad(values[node]).any() and not _is_constant(node):
                return _found(graph, node, values)
    return None


def not_finite(
    graph: Graph,
    inputs: Sequence[Any],
    parameters: Mapping[str, Any],
    kernel: Callable[[], str] | None = None,
) -> IRError:
    """The error for a call whose results are not finite.

    Where every op computed alone is finite, ``kernel`` says what made the first that is not.
    """
    found = first_nonfinite(graph, inputs, parameters)
    first = found or (kernel() if kernel else "every op computed alone is finite")
    return IRError(f"{graph.name}: expected finite results. The first: {first}")


def _not_finite(array: Any) -> Any:
    return ~np.isfinite(array)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and dtype_of(value.dtype).is_float


def _is_constant(node: Node) -> bool:
    return node.op.name == "constant"


def _found(graph: Graph, node: Node, values: Mapping[Node, Any]) -> NonFinite:
    array = values[node]
    operands = (values[i] for i in node.inputs)
    ranges = tuple(
        (float(a.min()), float(a.max())) for a in operands if isinstance(a, np.ndarray) and a.size
    )
    name = node.attrs.get("name")
    text = node_calls(graph).get(node) or f"{node.op.name} {name!r}"
    bad, nans = int(_not_finite(array).sum()), int(np.isnan(array).sum())
    return NonFinite(node, text, bad, nans, ranges)
