"""Loops of ``keraunos.ops``: on arrays, in models of every length, by their gradients."""

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.ir.graph import Graph
from keraunos.frontend.tracing import Spec, trace_call

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 3)).astype("float32")


class Applied(layers.Layer):
    """A function of a batch of sequences, steps first: traced, compiled and run."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(ops.transpose(inputs, (1, 0, 2)))


def in_a_model(function, steps):
    """What the function gives in one model for sequences of every length, batch 1."""
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, Applied(function)(inputs))
    return [model(X[None, :count])[..., 0, :] for count in steps]


def gated(carry, x):
    new = 0.5 * carry + ops.tanh(x * carry)
    return new, new * x


def gated_in_numpy(x, carry):
    results = []
    for row in x:
        carry = 0.5 * carry + np.tanh(row * carry)
        results.append(carry * row)
    return carry, np.array(results)


def assert_close(received, expected):
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("unroll", [1, 2, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_of_arrays(reverse, unroll):
    carry, ys = ops.scan(gated, np.ones(3, "float32"), X, reverse=reverse, unroll=unroll)
    expected, rows = gated_in_numpy(X[::-1] if reverse else X, np.ones(3))
    assert_close(carry, expected)
    assert_close(ys, rows[::-1] if reverse else rows)


@pytest.mark.parametrize(("unroll", "loops"), [(False, 1), (2, 1), (True, 0)])
def test_steps_are_laid_out_as_they_are_asked_to(unroll, loops):
    run = keras.compile(lambda x: ops.scan(gated, ops.ones((3,)), x, unroll=unroll)[1], (6, 3))
    assert_close(run(X), gated_in_numpy(X, np.ones(3))[1])
    text = str(run.program)
    assert text.count("times through") == loops
    assert ("3 times through" in text) == (unroll == 2)


def test_one_model_scans_sequences_of_every_length():
    found = in_a_model(lambda x: ops.scan(gated, ops.ones_like(x[0]), x)[1], (1, 4, 6))
    for result in found:
        assert_close(result, gated_in_numpy(X[: len(result)], np.ones(3))[1])


def test_nested_carries_sequences_and_results():
    def step(carry, xs):
        (a, none), b = carry["sum"], carry["product"]
        assert none is None
        return {"sum": (a + xs["x"], None), "product": b * 2}, [b, None, xs["y"] - a]

    begin = {"sum": (0.0, None), "product": 1}
    carry, ys = ops.scan(step, begin, {"x": X[:, 0], "y": X[:, 1]})
    sums = np.cumsum(X[:, 0])
    assert_close(carry["sum"][0], sums[-1])
    assert (carry["product"], carry["sum"][1], ys[1]) == (64, None, None)
    assert ys[0].tolist() == [1, 2, 4, 8, 16, 32]
    assert_close(ys[2], X[:, 1] - sums + X[:, 0])


def test_steps_without_sequences():
    carry, none = ops.scan(lambda c, x: (c * 3, x), 1, length=4)
    assert (carry, none) == (81, None)
    assert ops.fori_loop(2, 5, lambda i, v: v + i, 10) == 19
    assert ops.fori_loop(5, 2, lambda i, v: v + i, 10) == 10
    (last,) = in_a_model(
        lambda x: ops.fori_loop(0, ops.shape(x)[0], lambda i, v: v + x[0], x[:1]), (4,)
    )
    assert_close(last, 5 * X[:1])


@pytest.mark.parametrize("unroll", [1, True])
def test_no_steps_give_the_first_carry_and_results_without_rows(unroll):
    carry, ys = ops.scan(lambda c, x: (c + x, (c, 2.0)), X[0], X[:0], unroll=unroll)
    assert_close(carry, X[0])
    assert (ys[0].shape, ys[1].shape) == ((0, 3), (0,))


@pytest.mark.parametrize("mapped", [ops.map, ops.vectorized_map])
def test_maps(mapped):
    assert_close(mapped(ops.tanh, X), np.tanh(X))
    both = mapped(lambda pair: {"p": ops.dot(pair[0], pair[1]), "q": pair[0]}, [X, X * 2])
    assert_close(both["p"], 2 * np.sum(X * X, 1))
    assert_close(both["q"], X)


def test_a_map_over_all_steps_is_no_loop():
    run = keras.compile(lambda x: ops.vectorized_map(lambda row: ops.tanh(row) * 2, x), (5, 3))
    assert "times through" not in str(run.program)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_sums_so_far(count, axis, reverse):
    x = X[:count]
    found = ops.associative_scan(lambda a, b: a + b, x, reverse=reverse, axis=axis)
    expected = np.cumsum(x[::-1, ::-1], axis)[::-1, ::-1] if reverse else np.cumsum(x, axis)
    assert_close(found, expected)


def linear(a, b):
    """``s -> a[0] * s + a[1]``, then the same with b."""
    return a[0] * b[0], a[1] * b[0] + b[1]


def test_a_linear_recurrence_of_every_length():
    found = in_a_model(lambda x: ops.associative_scan(linear, (x, x * 2), axis=0)[1], (1, 2, 6))
    for result in found:
        state, rows = np.zeros(3), []
        for row in X[: len(result)]:
            state = row * state + 2 * row
            rows.append(state)
        assert_close(result, rows)


def over(x):
    return ops.scan(gated, ops.ones_like(x[0]), x, reverse=True)[1]


def counted(x):
    return ops.fori_loop(1, 4, lambda i, v: ops.sin(v) * ops.cast(i, v.dtype), x)


def mapped(x):
    return ops.map(lambda row: ops.tanh(row) * row, x)


def summed(x):
    return ops.associative_scan(linear, (x, ops.sin(x)), axis=0)[1]


@pytest.mark.parametrize("function", [over, counted, mapped, summed])
def test_gradients_are_those_of_finite_differences(function):
    graph = trace_call(function, (Spec((5, 3)),)).graph
    loss = Graph("loss", graph.inputs, (weighted_squares(graph.outputs),))
    check = GradientCheck.of(loss, graph.inputs, [X[:5].astype("float64")], {})
    check.assert_right()
    check.assert_compiled()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.scan(lambda c, x: c, 0.0, X), "expected a step that returns a pair"),
        (lambda: ops.scan(lambda c, x: (x, c), X[:1], X), "shape|types it is given"),
        (lambda: ops.scan(lambda c, x: ([c], c), X[0], X), r"nested as \*; received \[\*\]"),
        (lambda: ops.scan(gated, X[0], (X, X[:2])), "expected one number of steps"),
        (lambda: ops.scan(gated, X[0], X, length=3), "one number of steps.*length=3"),
        (lambda: ops.scan(gated, X[0]), "expected xs, or length"),
        (lambda: ops.scan(gated, 0.0, 1.0), "steps as their first axis"),
        (lambda: ops.scan(gated, X[0], X, unroll=-1), "expected unroll"),
        (lambda: ops.scan(gated, X[0], length=-1), "expected length"),
        (lambda: ops.fori_loop(0.5, 3, lambda i, v: v, 0), "expected lower as an int"),
        (lambda: ops.associative_scan(lambda a, b: a, ()), "expected tensors"),
        (lambda: ops.associative_scan(lambda a, b: a[:1], X), "types it is given"),
        (lambda: ops.associative_scan(linear, (X, X[:3])), "expected one size along axis 0"),
    ],
)
def test_what_is_wrong_is_told(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_steps_change_no_weights():
    dropout = layers.Dropout(0.5)
    dropped = Applied(lambda x: ops.map(lambda row: dropout(row, training=True), x))
    with pytest.raises(ValueError, match=r"scan.*draw no random numbers"):
        dropped(X[None])
