"""Slopes where functions have none: those of Keras with JAX, and the exceptions of NUMERICS.md."""

from __future__ import annotations

import numpy as np
import pytest

import keraunos
from keraunos import activations, ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.tracing import Spec

KINKS = {
    "relu": (ops.relu, {0.0: 0}),
    "relu6": (ops.relu6, {0.0: 0, 6.0: 0, 5.9: 1}),
    "hard_sigmoid": (ops.hard_sigmoid, {-3.0: 0, 3.0: 0, 0.0: 1 / 6}),
    "hard_silu": (ops.hard_silu, {-3.0: 0, 3.0: 1}),
    "hard_tanh": (ops.hard_tanh, {-1.0: 1, 1.0: 1, 1.1: 0}),
    "sparse_sigmoid": (ops.sparse_sigmoid, {-1.0: 0, 1.0: 0, 0.0: 0.5}),
    "sparse_plus": (ops.sparse_plus, {-1.0: 0, 1.0: 1}),
    "soft_shrink": (ops.soft_shrink, {-0.5: 0, 0.5: 0, 0.6: 1}),
    "hard_shrink": (ops.hard_shrink, {-0.5: 0, 0.5: 0, 0.6: 1}),
    "threshold": (lambda x: ops.threshold(x, 1.0, -5.0), {1.0: 0}),
    "leaky_relu": (ops.leaky_relu, {0.0: 1}),
    "elu": (ops.elu, {0.0: 1, np.nan: np.nan}),
    "celu": (ops.celu, {0.0: 1, np.nan: np.nan}),
    "selu": (ops.selu, {0.0: 1.0507009873554805 * 1.6732632423543772}),
    "clip": (lambda x: ops.clip(x, -1, 3), {-1.0: 0.5, 3.0: 0.5, 0.0: 1, 4.0: 0}),
    "clip to one value": (lambda x: ops.clip(x, 2, 2), {2.0: 0.25, 3.0: 0}),
    "abs": (ops.abs, {0.0: 0}),
    "sign": (ops.sign, {0.0: 0, 1.0: 0}),
    "sqrt": (ops.sqrt, {0.0: np.inf}),
    "maximum": (lambda x: ops.maximum(x, 0.0), {0.0: 0.5, 1.0: 1, -1.0: 0}),
    "minimum": (lambda x: ops.minimum(x, 2.0), {2.0: 0.5, 1.0: 1, 3.0: 0}),
    "x ** 0": (lambda x: ops.power(x, 0.0), {0.0: 0, 2.0: 0}),
    "x ** 1": (lambda x: ops.power(x, 1.0), {0.0: 1}),
    "relu to 4": (lambda x: activations.relu(x, max_value=4.0), {0.0: 0, 4.0: 0.5}),
    "relu, sloped to 4": (lambda x: activations.relu(x, 0.1, 4.0), {0.0: 0, -1.0: 0.1, 4.0: 0.5}),
    "relu from 1": (lambda x: activations.relu(x, threshold=1.0), {1.0: 0, 2.0: 1}),
    "relu, sloped from 1": (lambda x: activations.relu(x, 0.1, 6.0, 1.0), {1.0: 0, 6.0: 0.5}),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_slope_at_a_kink(name: str, compiled: bool) -> None:
    function, expected = KINKS[name]
    points = np.array(list(expected), "float32")
    gradient = keraunos.grad(lambda x: ops.sum(function(x)))
    if compiled:
        found = gradient(points)
    else:
        (found,) = evaluate(keraunos.trace(gradient, Spec(points.shape)), [points])
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6)


@pytest.mark.parametrize("op", [ops.maximum, ops.minimum])
def test_two_that_tie_share_the_slope(op) -> None:
    x = np.array([1.0, 2.0, np.nan], "float32")
    left, right = keraunos.grad(lambda a, b: ops.sum(op(a, b)), (0, 1))(x, x)
    np.testing.assert_array_equal(left, [0.5, 0.5, 0])
    np.testing.assert_array_equal(right, [0.5, 0.5, 0])


LEADING_TO_NAN = {
    "clip": lambda x: ops.clip(x, -1, 1),
    "maximum": lambda x: ops.maximum(x, 0.5),
    "minimum": lambda x: ops.minimum(0.5, x),
    "largest": lambda x: ops.max(x, keepdims=True),
    "pooled": lambda x: ops.max_pool(ops.reshape(x, (1, -1, 1)), 3, padding="same"),
    "product beside 0": lambda x: ops.prod(x, keepdims=True) * ops.ones((3,)),
}


@pytest.mark.parametrize("name", LEADING_TO_NAN)
def test_what_is_nan_further_on_is_nan_in_the_gradient(name: str) -> None:
    """As from Keras with JAX: a loss of NaN does not leave weights as if nothing had been."""
    lead = LEADING_TO_NAN[name]
    x = np.array([0.0, np.nan, 2.0], "float32")
    found = keraunos.grad(lambda x: ops.sum(ops.log(lead(x))))(x)
    assert np.isnan(found[np.isnan(x) if name != "product beside 0" else [2]]).all()


def test_the_side_that_loses_gets_nothing_of_an_infinite_slope() -> None:
    """Keras with JAX has 0 times infinity there."""
    x = np.array([-1.0, 4.0], "float32")
    for bounded in (lambda x: ops.maximum(x, 0.0), lambda x: ops.clip(x, 0, 9)):
        found = keraunos.grad(lambda x, lead=bounded: ops.sum(ops.sqrt(lead(x))))(x)
        np.testing.assert_array_equal(found, [0, 0.25])


def test_shares_of_logsumexp_have_no_rounding_of_its_value() -> None:
    rows = np.array([[3e4, 3e4], [1e30, 1e30], [-3e4, -3e4]], "float32")
    found = keraunos.grad(lambda x: ops.sum(ops.logsumexp(x, 1)))(rows)
    np.testing.assert_array_equal(found, np.full((3, 2), 0.5))


@pytest.mark.parametrize("op", [ops.max, ops.min])
def test_all_that_tie_for_an_extreme_share_the_slope(op) -> None:
    gradient = keraunos.grad(lambda x: ops.sum(op(x, axis=1)))
    found = gradient(np.array([[1, 1, 1], [2, 2, 2]], "float32"))
    np.testing.assert_allclose(found, np.full((2, 3), 1 / 3), rtol=1e-6)


def test_units_at_zero_are_not_trained_by_relu6() -> None:
    model = keraunos.Sequential(
        [
            keraunos.Input((2,)),
            keraunos.layers.Dense(3, activation="relu6"),
            keraunos.layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    model.compile(keraunos.optimizers.SGD(0.1), "mse")
    model.fit(np.zeros((4, 2)), np.full(4, 5.0), verbose=0)
    np.testing.assert_array_equal(model.get_weights()[1], np.zeros(3))
