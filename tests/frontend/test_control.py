"""Choices and loops that depend on data: on arrays, in compiled programs, in eager steps."""

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.ir.graph import Graph
from keraunos.frontend.tracing import Spec, trace_call

X = np.random.default_rng(5).standard_normal((2, 3)).astype("float32")


class Applied(layers.Layer):
    """A function of a batch: traced, compiled and run."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def doubled_or_squared(x):
    return ops.cond(x[0, 0] > 1, lambda: [x * 2, None], lambda: [ops.square(x), None])


def grown(x):
    return ops.while_loop(
        lambda n, v: ops.sum(ops.abs(v[0])) < 20, lambda n, v: (n + 1, v * 1.5), (0, x), 30
    )


def grown_in_numpy(x):
    count = 0
    while np.abs(x[0]).sum() < 20:
        x, count = x * 1.5, count + 1
    return count, x


@pytest.mark.parametrize("first", [0.5, 1.5])
def test_a_choice(first):
    x = X.copy()
    x[0, 0] = first
    expected = x * 2 if first > 1 else x * x
    for found in (doubled_or_squared(x), Applied(doubled_or_squared)(x)):
        assert found[1] is None
        np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_on_arrays_only_the_branch_chosen_runs():
    called = []
    branches = [lambda x, i=i: called.append(i) or x for i in range(3)]
    assert ops.switch(5, branches, 1.0) == 1
    ops.cond(X.sum() > 1e9, lambda: called.append("no"), lambda: called.append("yes"))
    assert called == [2, "yes"]


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 7])
def test_a_switch_takes_the_nearest_branch(index):
    branches = [lambda x: x, lambda x: x * 2, lambda x: x * 3]
    factor = min(max(index, 0), 2) + 1
    whole = Applied(lambda n: ops.switch(n[0], branches, 1.0))
    assert ops.switch(index, branches, 1.0) == factor
    assert whole(np.array([index])) == factor


def test_a_loop_ends_when_its_condition_says_so():
    model = Applied(grown)
    for x in (X, X / 7, X * 50):  # one program, other numbers of steps
        count, expected = grown_in_numpy(x)
        for found in (grown(x), model(x)):
            assert found[0] == count
            np.testing.assert_allclose(found[1], expected, rtol=1e-5)
    assert len(model.programs) == 1


@pytest.mark.parametrize("most", [0, 3])
def test_a_loop_takes_so_many_steps_at_most(most):
    def counted(x):
        return ops.while_loop(lambda v: v["x"][0, 0] < 99, lambda v: {"x": v["x"] + 1}, x, most)

    for found in (counted({"x": X}), Applied(counted)({"x": X})):
        np.testing.assert_allclose(found["x"], X + most, rtol=1e-6)


def test_loops_on_arrays_need_no_bound():
    assert ops.while_loop(lambda i: i < 10, lambda i: i + 3, 0) == 12
    found = ops.while_loop(lambda a, b: a < 5, lambda a, b: [a + 1, b * 2], [0, 1.0])
    assert [float(each) for each in found] == [5, 32]


def test_steps_that_run_eagerly():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Applied(lambda x: grown(x)[1])(layers.Dense(3)(inputs)))
    losses = []
    for eagerly in (True, False):
        model.set_weights([np.eye(3), np.zeros(3)])
        model.compile("sgd", "mse", run_eagerly=eagerly)
        losses.append([model.train_on_batch(X, X) for _ in range(2)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize("function", [doubled_or_squared, grown])
def test_gradients_are_those_of_finite_differences(function):
    graph = trace_call(function, (Spec((2, 3)),)).graph
    loss = Graph("loss", graph.inputs, (weighted_squares(graph.outputs),))
    GradientCheck.of(loss, graph.inputs, [X.astype("float64")], {}).assert_right()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.cond(x > 0, lambda: x, lambda: x), "pred as a scalar; received shape"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: [x]), "nested alike"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: x[:, :2]), "one shape and type"),
        (lambda x: ops.switch(x[0, 0], [], x), "expected branches as a list of functions"),
        (lambda x: ops.while_loop(lambda v: v[0, 0] < 9, lambda v: v + 1, x), "maximum_iterations"),
        (lambda x: ops.while_loop(lambda v: v < 9, lambda v: v + 1, x, 3), "as a scalar"),
        (lambda x: ops.while_loop(lambda v: v[0, 0] < 9, lambda v: v[:1], x, 3), "types it is"),
        (lambda x: ops.while_loop(lambda v: True, lambda v: v, x, -1), "as an int from 0"),
    ],
)
def test_what_is_wrong_is_told(function, message):
    with pytest.raises(ValueError, match=message):
        keras.trace(function, (4, 3))


def test_conditions_are_scalars_of_arrays_too() -> None:
    with pytest.raises(ValueError, match=r"while_loop: expected pred as a scalar; received shape"):
        ops.while_loop(lambda v: v < 9, lambda v: v + 1, np.zeros(2))
