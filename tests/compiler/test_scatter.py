"""Rows added where integers name: the kernel against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.core import input_


def scattered(rows: str, picks: str, axis: int, size: Any) -> Graph:
    x, indices = input_("x", parse_type(rows)), input_("i", parse_type(picks))
    return Graph("g", (x, indices), (ops.scatter_add(x, indices, axis=axis, size=size),))


def right(x: np.ndarray, picks: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Row by row in float64."""
    table = np.moveaxis(x.astype("float64"), range(axis, axis + picks.ndim), range(picks.ndim))
    result = np.zeros((size, *table.shape[picks.ndim :]))
    for at in np.ndindex(*picks.shape):
        row = int(picks[at]) + size if picks[at] < 0 else int(picks[at])
        if 0 <= row < size:
            result[row] += table[at]
    return np.moveaxis(result, 0, axis)


CASES = [
    ("f32[N, 9, 32]", "i32[N, 9]", 0, 50),
    ("f32[N, 9, 5]", "i32[N, 9]", 0, 7),
    ("f32[N, 20, 3]", "i64[20]", 1, 6),
    ("f32[N, 20]", "i32[20]", 1, 6),
    ("f32[N]", "i32[N]", 0, 4),
    ("f32[3, N, 2, 16]", "i8[N]", 1, 9),
    ("f32[N, 4]", "i32[]", 1, 5),
    ("i8[N, 3]", "i32[N]", 0, 5),
    ("i32[N, 3]", "i32[N]", 0, 5),
    ("i64[N, 2]", "i8[2]", 1, 5),
    ("f64[N, 3]", "i32[N]", 0, 5),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_values(case: Any, threads: int) -> None:
    graph = scattered(*case)
    run = compile_graph(graph, threads=threads)
    rng = np.random.default_rng(0)
    for samples in (1, 6):
        shapes = ([n if isinstance(n, int) else samples for n in i.shape] for i in graph.inputs)
        first, second = shapes
        x = rng.integers(-9, 10, first).astype(graph.inputs[0].dtype.numpy)
        picks = rng.integers(-case[3] - 2, case[3] + 2, second).astype(graph.inputs[1].dtype.numpy)
        (found,) = run(x, picks)
        np.testing.assert_array_equal(found, right(x, picks, *case[2:]))


def test_there_is_an_integer_for_each_row() -> None:
    run = compile_graph(scattered("f32[N, 4]", "i32[T]", 0, 5))
    run(np.ones((3, 4), "float32"), np.zeros(3, "int32"))
    with pytest.raises(ValueError, match="expected N <= T"):
        run(np.ones((4, 4), "float32"), np.zeros(3, "int32"))
    with pytest.raises(ValueError, match="expected T <= N"):
        run(np.ones((3, 4), "float32"), np.zeros(9, "int32"))


def test_a_row_is_the_same_sum_for_any_number_of_threads() -> None:
    graph = scattered("f32[N, 24]", "i32[N]", 0, 11)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 24)).astype("float32")
    picks = rng.integers(0, 11, 500).astype("int32")
    one, two, three = (compile_graph(graph, threads=n)(x, picks)[0] for n in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)
    np.testing.assert_allclose(one, right(x, picks, 0, 11), rtol=1e-4, atol=1e-5)


def test_what_an_embedding_learns_is_no_product() -> None:
    table, picks = input_("t", parse_type("f32[100, 16]")), input_("i", parse_type("i32[N, 7]"))
    rows = ops.gather(table, picks)
    (slope,) = gradients(ops.sum(ops.square(rows), axes=(0, 1, 2)), (table,))
    graph = Graph("embedding", (table, picks), (slope,))
    run = compile_graph(graph)
    assert "matmul" not in str(run.schedule)
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((100, 16)).astype("float32"), rng.integers(0, 100, (3, 7), "int32")
    (expected,) = evaluate(graph, arrays, {}, "float64")
    np.testing.assert_allclose(run(*arrays)[0], expected, rtol=1e-5, atol=1e-5)


def test_in_the_steps_of_a_loop() -> None:
    xs = input_("x", parse_type("f32[3, N, 4]"))
    picks = input_("i", parse_type("i32[5]"))
    start = input_("s", parse_type("f32[N, 6]"))

    def step(state: Any, slices: Any) -> Any:
        wide = ops.gather(slices[0], picks, axis=1)
        return [ops.add(state[0], ops.scatter_add(wide, picks, axis=1, size=6))], []

    pad = ops.pad(xs, low=(0, 0, 0), high=(0, 0, 2))
    (last,), _ = ops.trace_scan(step, [start], [pad], axis=0)
    graph = Graph("loop", (xs, picks, start), (last,))
    rng = np.random.default_rng(0)
    arrays = (
        rng.standard_normal((3, 2, 4)).astype("float32"),
        rng.integers(0, 6, 5, "int32"),
        rng.standard_normal((2, 6)).astype("float32"),
    )
    (expected,) = evaluate(graph, arrays, {}, "float64")
    np.testing.assert_allclose(compile_graph(graph)(*arrays)[0], expected, rtol=1e-5, atol=1e-5)
