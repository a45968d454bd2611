"""Gradients of pooling: their kernel against the reference, and what runs along with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import assert_same_values

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.kinds import WindowGradient
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.building import number
from keraunos.compiler.ops.core import input_

WINDOWS = [
    ((2, 2), (2, 2), "valid"),
    ((2, 2), (2, 2), "same"),
    ((3, 2), (3, 2), "valid"),
    ((5, 5), (5, 5), "valid"),  # tiles, but not in registers
    ((3, 3), (2, 2), "same"),
    ((3, 3), (1, 1), "valid"),
    ((1, 2), (3, 4), "valid"),  # leaves places out
    ((2, 3), (1, 2), ((1, 0), (1, 2))),
    ((4, 3), (2, 3), ((3, 2), (0, 1))),
]
KINDS = ["max", "avg"]


def pooled(kind: str, x: Node, window: Any, strides: Any, padding: Any) -> Node:
    op = ops.max_pool2d if kind == "max" else ops.avg_pool2d
    return op(x, window=window, strides=strides, padding=padding)


def gradient(kind: str, x: Node, *attrs: Any) -> tuple[Node, Node]:
    """What the pooling's gradient makes of a random one, an input."""
    y = pooled(kind, x, *attrs)
    grad = input_("g", y.tensor_type)
    (slope,) = gradients(ops.sum(ops.multiply(y, grad), axes=(0, 1, 2, 3)), (x,))
    return grad, slope


def relu_gradient(r: Node, grad: Node) -> Node:
    return ops.select(ops.greater(r, number(0, r)), grad, number(0, r))


def assert_right(graph: Graph, run: Executable, *arrays: np.ndarray) -> None:
    for found, right in zip(run(*arrays), evaluate(graph, arrays, {}, "float64"), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def drawn(rng: np.random.Generator, *nodes: Node, **sizes: int) -> list[np.ndarray]:
    """Small whole numbers, so that windows have ties, and no sum is rounded."""
    shapes = [[n if isinstance(n, int) else sizes["N"] for n in node.shape] for node in nodes]
    return [rng.integers(-3, 4, shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attrs", WINDOWS, ids=str)
@pytest.mark.parametrize("channels", [1, 16, 37])
def test_values(kind: str, attrs: Any, channels: int) -> None:
    x = input_("x", parse_type(f"f32[N, 7, 11, {channels}]"))
    grad, slope = gradient(kind, x, *attrs)
    graph = Graph("pool", (x, grad), (slope,))
    run = compile_graph(graph, threads=1 + channels % 2)
    for samples in (1, 3):
        assert_right(graph, run, *drawn(np.random.default_rng(samples), x, grad, N=samples))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attrs", WINDOWS[:5], ids=str)
def test_what_follows_element_by_element_runs_along(kind: str, attrs: Any) -> None:
    x, r = (input_(name, parse_type("f32[N, 7, 10, 20]")) for name in "xr")
    scale = input_("s", parse_type("f32[20]"))
    grad, slope = gradient(kind, x, *attrs)
    result = ops.multiply(relu_gradient(r, ops.add(slope, r)), scale)
    graph = Graph("pool", (x, grad, r, scale), (result,))
    run = compile_graph(graph)
    assert f"{kind}_pool2d_gradient+add+select+multiply" in str(run.schedule)
    arrays = drawn(np.random.default_rng(0), x, grad, r, scale, N=2)
    assert_right(graph, run, *arrays)


def test_a_condition_that_two_need_is_compared_in_both() -> None:
    x, r = (input_(name, parse_type("f32[N, 6, 6, 16]")) for name in "xr")
    grad, slope = gradient("max", x, (2, 2), (2, 2), "valid")
    other = relu_gradient(r, x)
    graph = Graph("pool", (x, grad, r), (relu_gradient(r, slope), other))
    run = compile_graph(graph)
    assert len(run.schedule.steps) == 3  # the pooling, its gradient, the other
    assert_right(graph, run, *drawn(np.random.default_rng(0), x, grad, r, N=2))


@pytest.mark.parametrize("attrs", WINDOWS[:5], ids=str)
def test_what_a_window_received_arrives_in_it(attrs: Any) -> None:
    """Whether it is a NaN that is its largest, or all is the least: as padding is."""
    x = input_("x", parse_type("f32[2, 7, 11, 5]"))
    grad, slope = gradient("max", x, *attrs)
    graph = Graph("pool", (x, grad), (slope,))
    image, received = drawn(np.random.default_rng(0), x, grad)
    image[0, 2, 3, 1] = np.nan
    image[0, 3, 3, 1] = np.inf
    image[0, :4, 7:, 1] = np.nan
    image[1] = -np.inf
    run = compile_graph(graph)
    assert_right(graph, run, image, received)
    (found,) = run(image, received)
    np.testing.assert_array_equal(found.sum((1, 2)), received.sum((1, 2)))
    (pool,) = (node for node in graph.nodes if isinstance(node.op.kind, WindowGradient))
    expanded = graph.with_outputs((pool.op.kind.expand(pool),))
    np.testing.assert_array_equal(found, evaluate(expanded, (image, received), {}, "float64")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_unknown_size(kind: str) -> None:
    x = input_("x", parse_type("f32[N, H, W, 6]"))
    grad, slope = gradient(kind, x, (2, 2), (2, 2), "valid")
    graph = Graph("pool", (x, grad), (slope,))
    run = compile_graph(graph)
    rng = np.random.default_rng(0)
    for height, width in ((6, 4), (9, 5)):
        shapes = (2, height, width, 6), (2, height // 2, width // 2, 6)
        assert_right(graph, run, *(rng.integers(-3, 4, s).astype("float32") for s in shapes))


def test_a_border_around_the_result_for_a_convolution() -> None:
    x, kernel = (
        input_("x", parse_type("f32[N, 6, 6, 16]")),
        input_("k", parse_type("f32[3,3,16,4]")),
    )
    grad, slope = gradient("max", x, (2, 2), (2, 2), "valid")
    graph = Graph("pool", (x, grad, kernel), (ops.conv2d(slope, kernel, padding="same"),))
    assert_right(graph, compile_graph(graph), *drawn(np.random.default_rng(0), *graph.inputs, N=2))


@pytest.mark.smoke
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attrs", WINDOWS, ids=str)
def test_said_in_other_ops(kind: str, attrs: Any) -> None:
    x = input_("x", parse_type("f32[N, 7, 11, 3]"))
    grad, slope = gradient(kind, x, *attrs)
    node = next(n for n in Graph("", (), (slope,)).nodes if "_gradient" in n.op.name)
    assert isinstance(node.op.kind, WindowGradient)
    inputs = (x, grad)
    before, after = (Graph("g", inputs, (result,)) for result in (node, node.op.kind.expand(node)))
    assert_same_values(before, after, sizes={"N": 2})


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_unknown_number_take_the_other_ops(kind: str) -> None:
    x = input_("x", parse_type("f32[2, 6, 4, C]"))
    y = pooled(kind, x, (2, 2), (2, 2), "valid")
    grad = input_("g", y.tensor_type)
    attrs = {"window": (2, 2), "strides": (2, 2), "padding": "valid"}
    if kind == "max":
        pool = input_("y", y.tensor_type)
        slope = ops.max_pool2d_gradient(x, pool, grad, **attrs)
        inputs = (x, pool, grad)
    else:
        slope = ops.avg_pool2d_gradient(grad, spatial=(6, 4), **attrs)
        inputs = (grad,)
    graph = Graph("pool", inputs, (slope,))
    rng = np.random.default_rng(0)
    image = rng.integers(-3, 4, (2, 6, 4, 3)).astype("float32")
    best = image.reshape(2, 3, 2, 2, 2, 3).max((2, 4))
    received = rng.integers(-3, 4, (2, 3, 2, 3)).astype("float32")
    arrays = (image, best, received) if kind == "max" else (received,)
    assert_right(graph, compile_graph(graph), *arrays)
