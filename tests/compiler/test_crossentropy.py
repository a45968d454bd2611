"""What training a classifier costs beside its layers: the loss of a softmax and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.loops.kernel import Nest
from keraunos.compiler.ops.core import input_


def log_shares(x: Node, logits: bool) -> Node:
    """As Keras has it: probabilities are divided by their sum and held off 0 and 1."""
    if logits:
        return ops.log_softmax(x)
    p = ops.softmax(x)
    shares = ops.divide(p, ops.sum(p, axes=(-1,), keepdims=True))
    return ops.log(ops.clip(shares, low=1e-7, high=1 - 1e-7))


def training(kind: str, classes: int, logits: bool) -> Graph:
    """The mean crossentropy of a softmax, and its gradient."""
    x = input_("x", parse_type(f"f32[N, {classes}]"))
    y = input_("y", parse_type("i32[N]" if kind == "sparse" else f"f32[N, {classes}]"))
    truth = ops.one_hot(y, depth=classes, dtype="float32") if kind == "sparse" else y
    losses = ops.negative(ops.sum(ops.multiply(truth, log_shares(x, logits)), axes=(-1,)))
    loss = ops.mean(losses, axes=(0,))
    return Graph("loss", (x, y), (loss, *gradients(loss, (x,))))


@pytest.mark.parametrize("kind", ["sparse", "dense"])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_two_kernels_in_vectors(kind: str, logits: bool, classes: int) -> None:
    graph = training(kind, classes, logits)
    run = compile_graph(graph)
    large = [
        launch.kernel.body
        for step in run.schedule.steps
        for launch in step.launches
        if any(
            classes in o.shape and o.tensor_type.rank == 2 for o in (*step.operands, *step.results)
        )
    ]
    assert len(large) == 2  # forwards, backwards
    assert all(isinstance(body, Nest) and body.vector for body in large)
    rng = np.random.default_rng(classes)
    for samples in (1, 9):
        x = rng.standard_normal((samples, classes)).astype("float32") * 3
        labels = rng.integers(0, classes, samples, "int32")
        y = labels if kind == "sparse" else np.eye(classes, dtype="float32")[labels]
        loss, slope = evaluate(graph, (x, y), {}, "float64")
        found_loss, found_slope = run(x, y)
        np.testing.assert_allclose(found_loss, loss, rtol=1e-5)
        np.testing.assert_allclose(found_slope, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8"])
def test_one_hot_of_integers_that_name_nothing(dtype: str) -> None:
    short = {"int32": "i32", "int64": "i64", "uint8": "u8", "int8": "i8"}[dtype]
    x = input_("x", parse_type(f"{short}[N]"))
    run = compile_graph(Graph("hot", (x,), (ops.one_hot(x, depth=20, dtype="float32"),)))
    limits = np.iinfo(dtype)
    indices = np.array([0, 19, 20, 21, limits.max, limits.min, limits.max - 1, 3], dtype)
    expected = (indices[:, None] == np.arange(20)).astype("float32")
    np.testing.assert_array_equal(run(indices)[0], expected)


def test_one_hot_of_classes_beyond_what_float32_counts() -> None:
    depth = 2**24 + 2
    x = input_("x", parse_type("i32[2]"))
    hot = ops.one_hot(x, depth=depth, dtype="float32")
    last = ops.slice(hot, start=(0, depth - 2), stop=(2, depth), step=(1, 1))
    run = compile_graph(Graph("hot", (x,), (last,)))
    np.testing.assert_array_equal(
        run(np.array([depth - 1, depth - 2], "int32"))[0], [[0, 1], [1, 0]]
    )


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_where_the_largest_is_with_ties_and_nan(name: str) -> None:
    x, y = input_("x", parse_type("f32[N, 37]")), input_("y", parse_type("i64[N]"))
    place = getattr(ops, name)(x, axis=-1)
    right = ops.cast(ops.equal(ops.cast(y, dtype="int32"), place), dtype="float32")
    run = compile_graph(Graph("accuracy", (x, y), (place, right)))
    kernels = [launch.kernel.body for step in run.schedule.steps for launch in step.launches]
    assert any(isinstance(body, Nest) and body.vector and body.reduce for body in kernels)
    rows = np.random.default_rng(0).integers(-2, 3, (9, 37)).astype("float32")
    rows[3, [5, 30]] = np.nan
    rows[4] = np.inf
    rows[5] = -np.inf
    expected = getattr(np, name)(rows, 1)
    found, hits = run(rows, np.array([0, *expected[1:]]))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(hits[1:], np.ones(8))


@pytest.mark.parametrize("name", ["any", "all"])
def test_conditions_are_reduced_one_by_one(name: str) -> None:
    x = input_("x", parse_type("f32[N, 37]"))
    over = getattr(ops, name)(ops.greater(x, ops.constant(np.float32(-1))), axes=(1,))
    run = compile_graph(Graph("over", (x,), (over,)))
    rows = np.random.default_rng(0).integers(-2, 3, (9, 37)).astype("float32")
    rows[3] = 1
    rows[4] = -2
    np.testing.assert_array_equal(run(rows)[0], getattr(np, name)(rows > -1, 1))
