"""Sums of very many terms: rounding must not grow with their number, along any axis.

Equal terms are the hardest: rounding goes the same way each time.
"""

from __future__ import annotations

import numpy as np
import pytest

from keraunos.compiler import ops
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.types import FLOAT32, parse_type
from keraunos.compiler.ops.core import constant, input_

TENTH = float(np.float32(0.1))


def results(graph: Graph, *arrays: np.ndarray) -> list[np.ndarray]:
    """Compiled and from the reference."""
    return [compile_graph(graph)(*arrays)[0], evaluate(graph, arrays)[0]]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((4_000_000,), (0,)),
        ((1_000_000, 4), (0,)),
        ((1_000_000, 4), (0, 1)),
        ((4, 1_000_000), (1,)),
        ((2, 3, 2, 200_000), (1, 3)),  # rows longer than a stretch
        ((2, 200_000, 2, 3), (1, 3)),  # and much shorter
        ((3, 300_000, 2), (0, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_equal_terms(shape: tuple[int, ...], axes: tuple[int, ...], name: str) -> None:
    x = input_("x", parse_type(f"f32[{', '.join(map(str, shape))}]"))
    graph = Graph(name, (x,), (ops.get_op(name)(x, axes=axes),))
    terms = np.prod([shape[axis] for axis in axes]) if name == "sum" else 1
    for found in results(graph, np.full(shape, 0.1, "float32")):
        np.testing.assert_allclose(found, np.full(found.shape, terms * TENTH), rtol=1e-6)


def test_squares_and_their_variance() -> None:
    x = input_("x", parse_type("f32[N, 5]"))
    squares = ops.sum(ops.square(x), axes=(0,))
    graph = Graph("g", (x,), (squares, ops.variance(x, axes=(0,))))
    array = np.where(np.arange(500_000)[:, None] % 2, 0.1, 0.3).astype("float32") * np.ones(5, "f4")
    found, variance = compile_graph(graph)(array)
    wide = array.astype("float64")
    np.testing.assert_allclose(found, np.square(wide).sum(0), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var(0), rtol=2e-6)


@pytest.mark.parametrize("depth", [5_000, 1_000_000])
def test_products_of_long_rows(depth: int) -> None:
    x, y = (
        input_(n, parse_type(f"f32[{s}]")) for n, s in (("x", f"3, {depth}"), ("y", f"{depth}, 20"))
    )
    graph = Graph("product", (x, y), (ops.matmul(x, y),))
    arrays = np.full(x.shape, 0.1, "float32"), np.ones(y.shape, "float32")
    (found,) = compile_graph(graph)(*arrays)
    np.testing.assert_allclose(found, np.full((3, 20), depth * TENTH), rtol=5e-6)


def test_gradients_of_weights_over_a_huge_batch() -> None:
    x, g = input_("x", parse_type("f32[N, 6]")), input_("g", parse_type("f32[N, 20]"))
    product = ops.matmul(ops.transpose(x, axes=(1, 0)), g)
    graph = Graph("gradients", (x, g), (product, ops.sum(g, axes=(0,))))
    arrays = np.full((500_000, 6), 0.1, "float32"), np.full((500_000, 20), 0.1, "float32")
    weights, bias = compile_graph(graph)(*arrays)
    np.testing.assert_allclose(weights, np.full((6, 20), 5e5 * TENTH**2), rtol=5e-6)
    np.testing.assert_allclose(bias, np.full(20, 5e5 * TENTH), rtol=1e-6)


def test_a_symbolic_size_is_counted_exactly() -> None:
    x = input_("x", parse_type("f32[N]"))
    ones = ops.sum(ops.broadcast_to(constant(1.0, FLOAT32), shape=x.shape), axes=(0,))
    (found,) = compile_graph(Graph("count", (x,), (ones,)))(np.zeros(2**24 + 2**10, "float32"))
    assert found == 2**24 + 2**10


def test_infinities_and_nans_pass_through_long_sums() -> None:
    x, y = input_("x", parse_type("f32[4, 20000]")), input_("y", parse_type("f32[20000, 1]"))
    graph = Graph("g", (x, y), (ops.sum(x, axes=(1,)), ops.matmul(x, y)))
    array = np.ones(x.shape, "float32")
    array[0, 5], array[1, 15000], array[2] = np.inf, np.nan, 3e38
    array[3, [7, 19999]] = np.inf, -np.inf
    total, product = compile_graph(graph)(array, np.ones(y.shape, "float32"))
    for found in (total, product[:, 0]):
        np.testing.assert_array_equal(found, [np.inf, np.nan, np.inf, np.nan])
