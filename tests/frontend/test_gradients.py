"""``keraunos.grad``: of functions, by arguments and by weights, of models, of graphs."""

from __future__ import annotations

import doctest
import importlib
from functools import partial

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.frontend.gradients import Gradient

STEP = 1e-3


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_the_examples_of_the_docstrings():
    module = importlib.import_module("keraunos.frontend.gradients")
    failed, tried = doctest.testmod(module)
    assert tried > 8
    assert not failed


# Functions


def test_by_the_first_argument():
    slope = keraunos.grad(lambda x, y: ops.sum(ops.square(x) * y))
    x, y = draw(3, 2), draw(3, 2, seed=1)
    np.testing.assert_allclose(slope(x, y), 2 * x * y, rtol=1e-6)


def test_by_several_arguments_in_the_nesting_that_is_given():
    slopes = keraunos.grad(lambda x, y, z: ops.sum(x * y * z), wrt=(2, 0))
    x, y, z = draw(3), draw(3, seed=1), draw(3, seed=2)
    by_z, by_x = slopes(x, y, z)
    np.testing.assert_allclose(by_z, x * y, rtol=1e-6)
    np.testing.assert_allclose(by_x, y * z, rtol=1e-6)
    (last,) = keraunos.grad(lambda x, y, z: ops.sum(x * y * z), wrt=[-1])(x, y, z)
    np.testing.assert_allclose(last, by_z)


def test_nested_arguments_give_gradients_nested_alike():
    def loss(weights, x):
        hidden = ops.matmul(x, weights["kernel"]) + weights["rest"][0]
        return ops.mean(hidden * weights["rest"][1])

    kernel, bias, x = draw(3, 2), draw(2, seed=1), draw(4, 3, seed=2)
    slopes = keraunos.grad(loss)({"kernel": kernel, "rest": (bias, 2.0)}, x)
    assert set(slopes) == {"kernel", "rest"}
    assert isinstance(slopes["rest"], tuple)
    np.testing.assert_allclose(slopes["kernel"], np.outer(x.sum(0), [0.25, 0.25]), rtol=1e-5)
    np.testing.assert_allclose(slopes["rest"][0], [1, 1], rtol=1e-6)
    np.testing.assert_allclose(slopes["rest"][1], np.mean(x @ kernel + bias), rtol=1e-5)


def test_a_missing_part_stays_none():
    slopes = keraunos.grad(lambda pair: ops.sum(pair[0]))([draw(2), None])
    assert slopes[1] is None
    np.testing.assert_array_equal(slopes[0], np.ones(2))


def test_numbers_and_lists_of_numbers_are_arrays():
    assert keraunos.grad(lambda x: x * x)(3.0) == 6
    np.testing.assert_array_equal(keraunos.grad(lambda x: ops.sum(x * x))([1.0, 2.0]), [2, 4])


def test_an_argument_given_twice_counts_as_two():
    x = draw(3)
    by_first = keraunos.grad(lambda x, y: ops.sum(x * x * y))(x, x)
    np.testing.assert_allclose(by_first, 2 * x * x, rtol=1e-6)


def test_value_and_gradient():
    value, slope = keraunos.value_and_grad(lambda x: ops.sum(ops.square(x)))(np.arange(3.0))
    assert value == 5
    assert value.shape == ()
    np.testing.assert_array_equal(slope, [0, 2, 4])


def test_keywords_and_options_pass_through():
    def loss(x, y=None, power=2, *, half=False):
        result = ops.sum(x**power + y)
        return result * 0.5 if half else result

    x = draw(3)
    slope = keraunos.grad(loss)(x, y=draw(3), power=3, half=True)
    np.testing.assert_allclose(slope, 1.5 * x * x, rtol=1e-5)


def test_programs_are_kept_by_kind_of_arguments():
    traced = []

    def loss(x, y):
        traced.append(x.shape)
        return ops.sum(x * y)

    slope = keraunos.grad(loss)
    for size in (3, 4, 3, 4):
        x = draw(size)
        np.testing.assert_array_equal(slope(x, x), x)
    assert traced == [(3,), (4,)]


def test_arrays_of_equal_first_sizes_are_no_batches():
    """A square matrix beside vectors: no size is left open because another is equal."""
    slope = keraunos.grad(lambda w, x: ops.sum(ops.matmul(x, ops.matmul(w, w))))
    w, x = draw(4, 4), draw(4, 4, seed=1)
    ones = np.ones((4, 4))
    expected = x.T @ ones @ w.T + (x @ w).T @ ones
    np.testing.assert_allclose(slope(w, x), expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_runs_compiled_and_can_be_traced():
    slope = keraunos.grad(lambda x, w: ops.mean(ops.tanh(ops.matmul(x, w))), wrt=1)
    graph = keraunos.trace(slope, (None, 4), (4, 2))
    assert graph.name == "grad_of__lambda_"
    assert [str(node.type) for node in graph.outputs] == ["f32[4, 2]"]
    run = keraunos.compile(slope, (None, 4), (4, 2))
    w = draw(4, 2)
    for batch in (3, 5):
        x = draw(batch, 4, seed=batch)
        np.testing.assert_allclose(run(x, w), slope(x, w), rtol=1e-5, atol=1e-7)


# Second order


def test_gradients_of_gradients():
    cube = keraunos.grad(keraunos.grad(lambda x: x**3))
    assert cube(2.0) == 12
    third = keraunos.grad(cube)
    assert third(2.0) == 6


def test_a_product_with_the_matrix_of_second_derivatives():
    def loss(x):
        return ops.sum(ops.sin(x) * ops.square(ops.sum(x)))

    def product(x, v):
        return ops.sum(keraunos.grad(loss)(x) * v)

    x, v = draw(4), draw(4, seed=1)
    found = keraunos.grad(product)(x, v)
    slope = keraunos.grad(loss)
    differences = (slope(x + STEP * v) - slope(x - STEP * v)) / (2 * STEP)
    np.testing.assert_allclose(found, differences, rtol=1e-2, atol=1e-2)


def test_a_penalty_on_slopes_at_a_computed_point():
    """The inner derivative is by what the point is, not by what the point is made of."""
    w = keraunos.Variable(draw(3))

    def critic(x):
        return ops.sum(ops.square(x) * w)

    def penalty(x):
        point = 2.0 * x
        return ops.sum(keraunos.grad(critic)(point))

    x = draw(3, seed=1)
    (by_w,) = keraunos.grad(penalty, wrt=[w])(x)
    np.testing.assert_allclose(by_w, 4 * x, rtol=1e-6)
    np.testing.assert_allclose(keraunos.grad(penalty)(x), 4 * w.value, rtol=1e-6)


def test_what_the_function_closes_over_is_held_constant():
    def outer(x):
        return keraunos.grad(lambda y: ops.sum(x * y))(x)

    x = draw(3)
    np.testing.assert_array_equal(keraunos.grad(lambda x: ops.sum(outer(x)))(x), np.ones(3))


# Weights


def test_by_weights_in_any_nesting():
    w, b = keraunos.Variable(draw(3, 2)), keraunos.Variable(draw(2, seed=1))
    slopes = keraunos.grad(lambda x: ops.sum(ops.matmul(x, w) + b), wrt={"w": w, "others": [b, 0]})
    x = draw(4, 3, seed=2)
    found = slopes(x)
    np.testing.assert_allclose(found["w"], np.outer(x.sum(0), [1, 1]), rtol=1e-5)
    np.testing.assert_allclose(found["others"][0], [4, 4])
    np.testing.assert_allclose(found["others"][1], np.tile(w.value.sum(1), (4, 1)), rtol=1e-5)


def test_weights_follow_assignments():
    w = keraunos.Variable([1.0, 2.0])
    slope = keraunos.grad(lambda: ops.sum(w * w), wrt=[w])
    np.testing.assert_array_equal(slope()[0], [2, 4])
    w.assign([3.0, 4.0])
    np.testing.assert_array_equal(slope()[0], [6, 8])


def test_a_weight_that_the_function_does_not_read_gets_zeros():
    w, other = keraunos.Variable([1.0]), keraunos.Variable([1.0, 2.0])
    found = keraunos.grad(lambda: ops.sum(w), wrt=[other])()
    np.testing.assert_array_equal(found[0], [0, 0])


def test_a_layer_used_twice_gets_the_sum():
    dense = layers.Dense(3, use_bias=False)
    dense.build((None, 3))
    x = draw(4, 3)
    (shared,) = keraunos.grad(
        lambda x: ops.sum(ops.tanh(dense(ops.tanh(dense(x))))), wrt=dense.trainable_variables
    )(x)
    one, two = keraunos.Variable(dense.kernel.value), keraunos.Variable(dense.kernel.value)
    slopes = keraunos.grad(
        lambda x: ops.sum(ops.tanh(ops.matmul(ops.tanh(ops.matmul(x, one)), two))), wrt=[one, two]
    )(x)
    np.testing.assert_allclose(shared, slopes[0] + slopes[1], rtol=1e-4, atol=1e-5)


def test_a_model_and_a_loss():
    model = keraunos.Sequential(
        [keraunos.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(1)]
    )

    def loss(x, y):
        return ops.mean(ops.square(model(x) - y))

    x, y = draw(6, 4), draw(6, 1, seed=1)
    value, slopes = keraunos.value_and_grad(loss, wrt=model.trainable_variables)(x, y)
    np.testing.assert_allclose(value, np.mean((model(x) - y) ** 2), rtol=1e-5)
    assert [s.shape for s in slopes] == [v.shape for v in model.trainable_variables]
    hidden = np.tanh(x @ model.layers[0].kernel.value + model.layers[0].bias.value)
    error = 2 * (model(x) - y) / 6
    np.testing.assert_allclose(slopes[2], hidden.T @ error, rtol=1e-4, atol=1e-6)


def test_a_step_down_the_gradient_inside_of_a_function():
    """Assigned weights are read, and differentiated by, at their new values."""
    w = keraunos.Variable([1.0, 2.0])
    slope = keraunos.grad(lambda: ops.sum(w * w * w), wrt=w)

    def two_steps(x):
        for _ in range(2):
            w.assign(w - 0.1 * slope())
        return w + 0 * x

    keraunos.compile(two_steps, (2,))(np.zeros(2, "float32"))
    expected = np.array([1.0, 2.0])
    for _ in range(2):
        expected = expected - 0.3 * expected**2
    np.testing.assert_allclose(w.value, expected, rtol=1e-5)


def test_state_that_the_function_changes_is_changed_once():
    calls = keraunos.Variable(0.0)
    w = keraunos.Variable([1.0, 2.0])

    def loss(x):
        calls.assign(calls + ops.sum(x * w))
        return ops.sum(x * w)

    slope = keraunos.grad(loss, wrt=(0, w))
    by_x, by_w = slope(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(by_x, [1, 2])
    np.testing.assert_array_equal(by_w, [3, 4])
    assert float(calls) == 11


# In models


def test_in_a_layer():
    class Force(layers.Layer):
        def call(self, x):
            return -keraunos.grad(lambda x: ops.sum(ops.square(x) * x))(x)

    x = draw(4, 3)
    np.testing.assert_allclose(Force()(x), -3 * x * x, rtol=1e-5)


def test_on_symbolic_tensors_at_top_level():
    x = keraunos.Input((3,))
    model = keraunos.Model(x, keraunos.grad(lambda x: ops.sum(ops.square(x)))(x))
    data = draw(4, 3)
    np.testing.assert_allclose(model(data), 2 * data, rtol=1e-6)


# Graphs


def test_of_a_graph_the_graph_of_derivatives():
    graph = keraunos.parse_ir(GRAPH)
    slopes = keraunos.grad(graph)
    assert isinstance(slopes, Graph)
    assert [str(node.type) for node in slopes.outputs] == ["f32[N, 3]", "f32[3]"]
    x, w = draw(2, 3), draw(3, seed=1)
    by_x, by_w = evaluate(slopes, [x, np.int32([1, 0])], {"w": w})
    np.testing.assert_allclose(by_x, np.tile(w, (2, 1)), rtol=1e-6)
    np.testing.assert_allclose(by_w, x.sum(0), rtol=1e-6)
    run = keraunos.compile(slopes)
    run.set_parameters({"w": w})
    np.testing.assert_allclose(run(x, np.int32([1, 0]))[1], by_w, rtol=1e-5)


GRAPH = """
graph loss(%x: f32[N, 3], %rows: i32[2]) -> f32[] {
  $w : f32[3]

  %0 = multiply(%x, $w)
  %1 = sum(%0, axes=(0, 1))
  return %1
}
"""


def test_of_a_graph_by_name_and_with_the_value():
    graph = keraunos.parse_ir(GRAPH)
    assert [str(n.type) for n in keraunos.grad(graph, "w").outputs] == ["f32[3]"]
    both = keraunos.value_and_grad(graph, ["$w", "%x"])
    assert [str(n.type) for n in both.outputs] == ["f32[]", "f32[3]", "f32[N, 3]"]


# Errors


def message(function, *args) -> str:
    with pytest.raises(ValueError) as error:
        function(*args)
    return str(error.value)


def test_no_scalar():
    text = message(keraunos.grad(lambda x: x * 2), draw(3))
    assert "expected a float scalar" in text
    assert "shape (3,), dtype float32" in text
    assert "mean" in text
    assert "dtype int32" in message(keraunos.grad(lambda x: ops.argmax(x)), draw(3))
    assert "received a tuple" in message(keraunos.grad(lambda x: (x, x)), draw(3))
    assert "received None" in message(keraunos.grad(lambda x: None), draw(3))


def test_integers():
    text = message(keraunos.grad(lambda x: ops.sum(x * 1.0)), np.arange(3, dtype="int32"))
    assert "expected floats as argument 0" in text
    assert "int32" in text
    assert "int32" in message(keraunos.grad(lambda x: x * 1.0), 3)


def test_an_op_without_gradient_and_the_users_line():
    def loss(x):
        index = ops.argmax(x, axis=-1)
        return ops.sum(ops.cast(index, "float32"))

    text = message(keraunos.grad(loss), draw(2, 3))
    assert "an index has no derivative" in text
    assert f"test_gradients.py:{loss.__code__.co_firstlineno + 1}" in text


def test_arguments_that_are_not_there():
    text = message(keraunos.grad(lambda x: ops.sum(x), wrt=1), draw(3))
    assert "expected argument 1" in text
    assert "received 1 arguments" in text
    assert "expected argument 0" in message(keraunos.grad(lambda: 1.0))


@pytest.mark.parametrize("wrt", ["x", 1.0, True, (0, None), np.ones(3)])
def test_what_is_no_argument_and_no_weight(wrt):
    assert "expected the numbers of arguments" in message(keraunos.grad, lambda x: x, wrt)


def test_an_empty_choice_and_a_layer_that_is_not_built():
    text = message(keraunos.grad, lambda x: x, layers.Dense(3).trainable_variables)
    assert "received an empty list" in text


def test_what_is_no_function():
    assert "expected a function of tensors" in message(keraunos.grad, 3)
    assert repr(Gradient(len, 0, False)) == "<grad of <built-in function len>>"


def test_graphs_with_several_outputs_or_other_names():
    graph = keraunos.parse_ir(GRAPH)
    text = message(keraunos.grad, graph, "v")
    assert "among x, rows, w" in text
    twice = graph.with_outputs((*graph.outputs, *graph.outputs))
    assert "expected a graph with one output" in message(keraunos.grad, twice)
    assert "expected floats" in message(keraunos.grad, graph, "rows")


def test_what_is_stopped_counts_as_constant():
    slope = keraunos.grad(lambda x: ops.sum(x * ops.stop_gradient(x)))
    np.testing.assert_array_equal(slope(np.array([1.0, 2.0])), [1, 2])


def total(run, x):
    return ops.sum(run(x))


def test_weights_are_inputs_of_models_and_layers_and_are_differentiated_by():
    image = keraunos.Variable(draw(3, 4))
    dense = layers.Dense(2)
    inputs = keraunos.Input((4,))
    model = keraunos.Model(inputs, dense(inputs))
    expected = np.broadcast_to(dense.kernel.numpy().sum(1), (3, 4))
    for run in (dense, model, lambda x: layers.Add()([model(x), dense(x)]) / 2):
        slope = keraunos.grad(partial(total, run, image), wrt=image)
        np.testing.assert_allclose(slope(), expected, rtol=1e-5)
