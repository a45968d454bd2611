"""Transposes that move the last axis: squares of lanes by lanes, in registers."""

import itertools

import numpy as np
import pytest
from kernel_machine import Supervised

from keraunos.compiler import ops
from keraunos.compiler.cpu.bodies import Transpose
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.types import parse_type


def transposed(text, axes):
    x = ops.input_("x", parse_type(text))
    return Graph("transposed", (x,), (ops.transpose(x, axes=axes),))


def bodies(run):
    return [type(launch.kernel.body) for step in run.schedule.steps for launch in step.launches]


@pytest.mark.parametrize("rows", [4, 15, 16, 17, 50])
@pytest.mark.parametrize("cols", [5, 16, 31, 64])
def test_matrices_of_all_sizes(rows, cols):
    graph = transposed(f"f32[{rows}, {cols}]", (1, 0))
    run, x = compile_graph(graph), np.arange(rows * cols, dtype=np.float32).reshape(rows, cols)
    assert bodies(run) == [Transpose]
    np.testing.assert_array_equal(run(x)[0], x.T)
    np.testing.assert_array_equal(Supervised(graph, {})(x, seed=3)[0], x.T)


@pytest.mark.parametrize("axes", tuple(itertools.permutations(range(4))))
def test_all_orders_of_four_axes(axes):
    graph = transposed("f32[5, 6, 7, 18]", axes)
    run, x = compile_graph(graph), np.random.default_rng(0).random((5, 6, 7, 18), np.float32)
    assert (bodies(run) == [Transpose]) == (axes[-1] != 3)
    np.testing.assert_array_equal(run(x)[0], x.transpose(axes))


def test_sizes_known_at_a_call_only():
    run = compile_graph(transposed("f32[N, T, 20]", (2, 0, 1)))
    assert bodies(run) == [Transpose]
    for batch, steps in ((1, 1), (3, 2), (2, 40)):
        x = np.random.default_rng(0).random((batch, steps, 20), np.float32)
        np.testing.assert_array_equal(run(x)[0], x.transpose(2, 0, 1))


def test_into_a_border():
    """What a padded convolution reads has gaps between its rows."""
    x = ops.input_("x", parse_type("f32[N, 9, 8, 7]"))
    k = ops.constant(np.random.default_rng(1).random((3, 3, 9, 4), np.float32))
    images = ops.transpose(x, axes=(0, 2, 3, 1))
    graph = Graph("first", (x,), (ops.conv2d(images, k, padding="same"),))
    run, array = compile_graph(graph), np.random.default_rng(0).random((2, 9, 8, 7), np.float32)
    assert Transpose in bodies(run)
    for result in (run(array)[0], Supervised(graph, {})(array)[0]):
        np.testing.assert_allclose(result, evaluate(graph, [array])[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "axes"), [("f32[3, 50]", (1, 0)), ("i32[20, 30]", (1, 0)), ("f32[9, 1]", (1, 0))]
)
def test_what_squares_do_not_pay_for(text, axes):
    assert Transpose not in bodies(compile_graph(transposed(text, axes)))
