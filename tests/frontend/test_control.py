"""Choices and loops that depend on data: on arrays, in compiled programs, in eager steps."""

import random

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares
from tiers import seeds

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.graph import Graph, bodies_of
from keraunos.frontend.tracing import Spec, trace_call
from keraunos.runtime.program import GuardRow

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


WEIGHTS = np.random.default_rng(6).standard_normal((3, 3)).astype("float32") / 2
MOVES = [
    lambda n, v: (n + 1, ops.tanh(ops.matmul(v, WEIGHTS))),
    lambda n, v: (n + 2, v * 0.5 + 0.3),
    lambda n, v: (n, v - 0.1),
]
ASKED = [lambda n, v: n % 2 == 0, lambda n, v: ops.sum(v) > 0]


def random_steps(rng, depth):
    """A function of a count and a matrix: moves, choices among them, and loops around them."""
    if depth == 0:
        return rng.choice(MOVES)
    first, second, third = (random_steps(rng, depth - 1) for _ in range(3))
    asked, most = rng.choice(ASKED), rng.randrange(1, 5)

    def after(n, v):
        return second(*first(n, v))

    def chosen(n, v):
        return ops.cond(asked(n, v), lambda: first(n, v), lambda: second(n, v))

    def switched(n, v):
        return ops.switch(n % 4 - 1, [first, second, third], n, v)

    def repeated(n, v):
        def goes_on(count, n, v):
            return ops.logical_and(count < most, asked(n, v))

        return ops.while_loop(goes_on, lambda count, *v: (count + 1, *first(*v)), (0, n, v))[1:]

    def scanned(n, v):
        xs = np.array([[0.5], [-0.4]], "float32")
        return ops.scan(lambda c, x: (first(c[0], c[1] + x), None), (n, v), xs)[0]

    return rng.choice([after, chosen, switched, repeated, scanned])


@pytest.mark.parametrize("seed", seeds(5, 60))
def test_random_choices_and_loops_are_those_of_python(seed):
    """Compiled, against loops and branches of Python on arrays."""
    steps = random_steps(random.Random(seed), 3)
    spec = Spec((None, 3))
    graph = trace_call(lambda x: steps(ops.cast(ops.sum(x) * 3, "int32"), x), (spec,)).graph
    # Unfused they have kernels in common.
    runs = [compile_graph(graph, passes="none", threads=threads) for threads in (1, 3)]
    for samples in (1, 2, 5):
        x = np.random.default_rng(samples).standard_normal((samples, 3)).astype("float32")
        expected = steps(np.asarray(np.sum(x) * 3).astype("int32"), x)
        for run in runs:
            found = run(x)
            assert found[0] == expected[0]
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_the_branch_that_is_not_taken_costs_and_spoils_nothing():
    """Its gradient neither: the derivative of a root at 0 is infinite."""

    def rooted(x):
        return ops.sum(ops.cond(ops.sum(x) > 0, lambda: ops.sqrt(x - x), lambda: x * 3))

    run = compile_graph(trace_call(rooted, (Spec((2, 3)),)).graph)
    assert sum(isinstance(row, GuardRow) for row in run.program.rows) == 2
    assert run(-np.abs(X))[0] == np.float32(-3 * np.abs(X).sum())
    np.testing.assert_array_equal(keras.grad(rooted, wrt=0)(-np.abs(X)), np.full_like(X, 3))


def test_what_a_branch_reads_is_computed_once():
    """And what only a branch needs, in it alone, though an equal value is needed outside."""

    def both(x):
        shared = ops.tanh(ops.matmul(x, WEIGHTS))
        found = ops.cond(x[0, 0] > 0, lambda: ops.exp(shared), lambda: ops.matmul(shared, WEIGHTS))
        return found, shared

    graph = trace_call(both, (Spec((2, 3)),)).graph
    (choice,) = (node for node in graph.nodes if node.op.name == "cond")
    inside = {key: [n.op.name for n in body.nodes if n.inputs] for key, body in bodies_of(choice)}
    assert inside == {"body": ["exp"], "otherwise": ["matmul"]}
    assert [n.op.name for n in graph.nodes].count("matmul") == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.cond(x > 0, lambda: x, lambda: x), "pred as a scalar; received shape"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: [x]), "nested alike"),
        (lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: x[:, :2]), "one shape and type"),
        (lambda x: ops.switch(x[0, 0], [], x), "expected branches as a list of functions"),
        (lambda x: ops.while_loop(lambda v: True, lambda v: v + 1, x), "would never end"),
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
