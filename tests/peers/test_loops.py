"""Loops and branches of ``ops`` against Keras's: values, types, nestings, gradients."""

import numpy as np
import pytest
from twins import MISSING, keras

import keraunos

jax = pytest.importorskip("jax", reason=MISSING)

X = np.random.default_rng(0).standard_normal((7, 3)).astype("float32")


def nested(ops, x):
    def step(carry, xs):
        a, b = carry["a"], carry["b"][0]
        return {"a": a + xs[0], "b": [b * 1.5]}, (a * xs[1], xs[1])

    begin = {"a": ops.zeros((3,)), "b": [ops.ones((2,))]}
    return ops.scan(step, begin, (x, x * 2), reverse=True)


def powers(ops, x):
    return ops.scan(lambda c, _: (c * 2.0, None), x, length=3)


def mapped(ops, x):
    return ops.map(lambda row: {"sum": ops.sum(row), "two": row * 2}, x)


def products(ops, x):
    return ops.vectorized_map(lambda pair: ops.dot(pair[0], pair[1]), [x, x + 1])


def counted(ops, x):
    return ops.fori_loop(1, 5, lambda i, v: ops.sin(v) * ops.cast(i, "float32"), x)


def recurrence(ops, x):
    def linear(a, b):
        return a[0] * b[0], a[1] * b[0] + b[1]

    return ops.associative_scan(linear, (x, x * 2), axis=0, reverse=True)


def along_the_last_axis(ops, x):
    return ops.associative_scan(lambda a, b: ops.maximum(a, b), x, axis=-1)


def chosen(ops, x):
    there, other = lambda: (x * 2, {"a": ops.sum(x)}), lambda: (x, {"a": ops.max(x)})
    return ops.cond(ops.sum(x) > 0, there, other), ops.cond(ops.sum(x) < 0, there, other)


def switched(ops, x):
    branches = [lambda y: y, lambda y: y * 2, lambda y: ops.sin(y)]
    return [ops.switch(ops.cast(x[0, 0] * 0 + i, "int32"), branches, x) for i in (-1, 1, 9)]


def repeated(ops, x):
    squares = lambda i, v: ops.sum(ops.square(v)) < 100  # noqa: E731
    return ops.while_loop(squares, lambda i, v: (i + 1, v * 1.5), (0, x), maximum_iterations=20)


def stopped(ops, x):
    return ops.while_loop(lambda v: ops.all(v < 100), lambda v: v + 1, x, maximum_iterations=3)


def unbounded(ops, x):
    squares = lambda i, v: ops.sum(ops.square(v)) < 1000  # noqa: E731
    return ops.while_loop(squares, lambda i, v: (i + 1, v * 1.5), (0, x))


CASES = [
    unbounded,
    chosen,
    switched,
    repeated,
    stopped,
    nested,
    powers,
    mapped,
    products,
    counted,
    recurrence,
    along_the_last_axis,
]


@pytest.mark.parametrize("function", CASES, ids=lambda each: each.__name__)
def test_values_types_and_nestings(function):
    expected = function(keras.ops, X)
    for found in (function(keraunos.ops, X), compiled(function)):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert np.asarray(one).dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def compiled(function):
    class Applied(keraunos.layers.Layer):
        def call(self, inputs):
            return function(keraunos.ops, inputs[0])

    return Applied()(X[None])


REVERSIBLE = [each for each in CASES if each not in (repeated, stopped, unbounded)]  # of jax


@pytest.mark.parametrize("function", REVERSIBLE, ids=lambda each: each.__name__)
def test_gradients(function):
    def loss(ops, x):
        leaves = jax.tree.leaves(function(ops, x), is_leaf=lambda leaf: hasattr(leaf, "shape"))
        return sum(ops.sum(ops.square(leaf)) for leaf in leaves)

    expected = jax.grad(lambda x: loss(keras.ops, x))(X)
    found = keraunos.grad(lambda x: loss(keraunos.ops, x), wrt=0)(X)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
