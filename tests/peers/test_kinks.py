"""Slopes at kinks, ties and extremes, of functions and losses, beside those of Keras with JAX."""

from __future__ import annotations

import numpy as np
import pytest
from twins import MISSING, keras

import keraunos

jax = pytest.importorskip("jax", reason=MISSING)
jnp = jax.numpy

POINTS = [0.0, 0.5, 1.0, 2.0, 3.0, 6.0, 100.0, 1e-30, np.inf]
X = np.array([*POINTS, *(-x for x in POINTS)], "float32")

UNARY = """
relu relu6 sigmoid silu softplus softsign log_sigmoid hard_sigmoid hard_silu hard_tanh
tanh_shrink sparse_plus sparse_sigmoid elu selu celu leaky_relu hard_shrink soft_shrink gelu abs
sign square sqrt rsqrt reciprocal exp expm1 log log1p tanh sin cos floor ceil round
"""
# Where NUMERICS.md says that slopes differ; that of rsqrt is infinite.
ELSEWHERE = {"abs": [0.0], "sparse_sigmoid": [-1.0, 1.0], "rsqrt": [0.0]}
RELUS = [
    {"max_value": 6.0},
    {"max_value": 3.0},
    {"negative_slope": 0.5},
    {"negative_slope": 0.5, "max_value": 3.0},
    {"threshold": 1.0},
    {"max_value": 6.0, "threshold": 1.0, "negative_slope": 0.5},
]


def expect_same_slopes(ours, theirs, *arrays):
    places = tuple(range(len(arrays)))
    found = keraunos.grad(lambda *xs: keraunos.ops.sum(ours(*xs)), places)(*arrays)
    expected = jax.grad(lambda *xs: jnp.sum(theirs(*xs)), places)(*map(jnp.asarray, arrays))
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", UNARY.split())
def test_functions(name: str) -> None:
    points = X[~np.isin(X, ELSEWHERE.get(name, []))]
    expect_same_slopes(getattr(keraunos.ops, name), getattr(keras.ops, name), points)


@pytest.mark.parametrize("options", RELUS, ids=str)
def test_relu_with_options(options) -> None:
    def of(package):
        return lambda x: package.activations.relu(x, **options)

    expect_same_slopes(of(keraunos), of(keras), X)


@pytest.mark.parametrize("name", ["maximum", "minimum", "multiply", "subtract"])
def test_functions_of_two(name: str) -> None:
    pairs = [each.ravel() for each in np.meshgrid(X, X)]
    expect_same_slopes(getattr(keraunos.ops, name), getattr(keras.ops, name), *pairs)


@pytest.mark.parametrize("bounds", [(-1.0, 3.0), (0.0, 0.0), (-np.inf, 1.0)])
def test_clip(bounds) -> None:
    def of(package):
        return lambda x: package.ops.clip(x, *bounds)

    expect_same_slopes(of(keraunos), of(keras), X)


ROWS = np.array([[1, 1, 1], [0, 2, 2], [-np.inf, 0, 1], [3, -3, 0], [0, 0, 0]], "float32")
REDUCTIONS = ["max", "min", "sum", "mean", "prod", "logsumexp", "var", "softmax", "log_softmax"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_with_ties(name: str) -> None:
    rows = ROWS[np.isfinite(ROWS).all(1)] if name in ("mean", "var", "prod") else ROWS

    def of(package):
        # Weighted, for the shares of a softmax always sum to 1.
        reduce = getattr(package.ops, name)
        return lambda x: reduce(x, axis=1) * package.ops.convert_to_tensor(rows[0] * 0 + 1)[:1]

    expect_same_slopes(of(keraunos), of(keras), rows)


TARGETS = np.array([[1, -1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], "float32")
OUTPUTS = np.array([[1, -1, 0.5], [0.5, 0.5, 0], [2, 1, 1], [0, 0, 1]], "float32")
LOSSES = """
hinge squared_hinge categorical_hinge huber mean_squared_error log_cosh
mean_squared_logarithmic_error poisson
"""


@pytest.mark.parametrize("name", LOSSES.split())
def test_losses_at_their_kinks(name: str) -> None:
    def of(package):
        return lambda pred: getattr(package.losses, name)(TARGETS, pred)

    expect_same_slopes(of(keraunos), of(keras), OUTPUTS)


SHARES = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [1e-7, 1 - 1e-7, 0]], "float32")
TRUTHS = np.eye(3, dtype="float32")[[0, 0, 1, 1]]


@pytest.mark.parametrize(
    "name", ["binary_crossentropy", "categorical_crossentropy", "kl_divergence"]
)
def test_probabilities_at_their_bounds(name: str) -> None:
    def of(package):
        return lambda pred: getattr(package.losses, name)(TRUTHS, pred)

    expect_same_slopes(of(keraunos), of(keras), SHARES)
