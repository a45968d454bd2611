"""Gradients held against finite differences in float64, and compiled ones against those.

checked = GradientCheck.of(graph, wrt, arrays, weights)     the loss is the graph's one output
checked.assert_right()                               by differences along one random direction
checked.assert_compiled()                            in float32, by kernels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from agreement import assert_close

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.verify import verify

STEP = 1e-6


def weighted_squares(nodes: Sequence[Node], seed: int = 3) -> Node:
    """The sum of the squares of all elements that are floats, each with a weight of its own.

    No two errors cancel by symmetry. Sizes may be symbols: weights go along with the index.
    """
    floats = [node for node in nodes if node.dtype.is_float]
    total: Node | None = None
    for number, node in enumerate(floats):
        node = ops.cast(node, dtype="float32") if node.dtype.name != "float32" else node
        weighted = ops.square(node)
        for axis in range(node.tensor_type.rank):
            shape = tuple(n if a == axis else 1 for a, n in enumerate(node.shape))
            index = ops.iota(shape=shape, axis=axis, dtype="float32")
            phase = ops.add(
                ops.multiply(index, ops.constant(1.3 + axis)), ops.constant(0.4 + number + seed)
            )
            weighted = ops.multiply(weighted, ops.add(ops.sin(phase), ops.constant(0.2)))
        part = ops.sum(weighted, axes=tuple(range(node.tensor_type.rank)))
        total = part if total is None else ops.add(total, part)
    assert total is not None, "no result is a float"
    return total


@dataclass(frozen=True)
class GradientCheck:
    """A loss, its gradients by ``wrt``, and what both are tried on."""

    loss: Graph
    wrt: tuple[Node, ...]
    arrays: list[np.ndarray]
    weights: dict[str, np.ndarray]
    graph: Graph = field(init=False)
    values: tuple[np.ndarray, ...] = field(init=False)

    @staticmethod
    def of(
        loss: Graph,
        wrt: Sequence[Node],
        arrays: Sequence[np.ndarray],
        weights: Mapping[str, np.ndarray],
    ) -> GradientCheck:
        return GradientCheck(loss, tuple(wrt), list(arrays), dict(weights))

    def __post_init__(self) -> None:
        (output,) = self.loss.outputs
        graph = Graph(self.loss.name, self.loss.inputs, gradients(output, self.wrt))
        verify(graph)
        assert [node.type for node in graph.outputs] == [node.type for node in self.wrt]
        values = evaluate(graph, self.arrays, self.weights, "float64")
        object.__setattr__(self, "graph", graph)
        object.__setattr__(self, "values", values)

    def assert_right(self, rtol: float = 1e-5) -> None:
        """Compares with central differences along one random direction in all of ``wrt``."""
        rng = np.random.default_rng(9)
        pairs = list(zip(self.wrt, self.values, strict=True))
        along = {node: rng.standard_normal(slope.shape) for node, slope in pairs}
        high, low = (self._moved(along, sign * STEP) for sign in (1, -1))
        parts = [slope * along[node] for node, slope in pairs]
        found = sum(float(part.sum()) for part in parts)
        size = max(sum(float(np.abs(part).sum()) for part in parts), abs(high), 1.0)
        expected = (high - low) / (2 * STEP)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-8 * size)

    def _moved(self, along: Mapping[Node, np.ndarray], step: float) -> float:
        pairs = zip(self.loss.inputs, self.arrays, strict=True)
        arrays = [a + step * along[n] if n in along else a for n, a in pairs]
        weights = dict(self.weights)
        for node, direction in along.items():
            if node.op.name == "parameter":
                name = node.attrs["name"]
                weights[name] = weights[name] + step * direction
        (value,) = evaluate(self.loss, arrays, weights, "float64")
        return float(value)

    def assert_compiled(self, **options: object) -> None:
        """The kernels' gradients, in the types of the graph, agree with the interpreter's."""
        run = compile_graph(self.graph, **options)
        weights = {node.attrs["name"]: node for node in self.graph.parameters}
        run.set_parameters({n: self.weights[n].astype(w.dtype.numpy) for n, w in weights.items()})
        pairs = zip(self.arrays, self.graph.inputs, strict=True)
        arrays = [array.astype(node.dtype.numpy) for array, node in pairs]
        assert_close(run(*arrays), self.values, self.graph)
