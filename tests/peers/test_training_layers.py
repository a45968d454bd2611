"""Layers in training against Keras: batch normalization by value, noise by its statistics."""

import numpy as np
import pytest
from twins import keras

import keraunos

jax = pytest.importorskip("jax")

RNG = np.random.default_rng(0)

NORMALIZATIONS = [
    ((40, 6), {}),
    ((9, 5, 6), {"momentum": 0.5}),
    ((5, 4, 3, 6), {"epsilon": 0.1}),
    ((5, 6, 4, 3), {"axis": 1}),
    ((9, 5, 6), {"axis": 1, "scale": False}),
    ((9, 5, 6), {"center": False}),
    ((1, 6), {}),
]


def twins(shape, options):
    """The layer in both packages, built and with the same weights."""
    made = [package.layers.BatchNormalization(**options) for package in (keras, keraunos)]
    for layer in made:
        layer.build((None, *shape[1:]))
    weights = [RNG.uniform(0.5, 2, weight.shape).astype("float32") for weight in made[0].weights]
    for layer in made:
        layer.set_weights(weights)
    return made


@pytest.mark.parametrize(("shape", "options"), NORMALIZATIONS, ids=str)
def test_batch_normalization(shape, options):
    theirs, ours = twins(shape, options)
    for _ in range(3):
        x = RNG.normal(3.0, 2.0, shape).astype("float32")
        expected = np.asarray(theirs(x, training=True))
        np.testing.assert_allclose(ours(x, training=True), expected, rtol=1e-4, atol=2e-4)
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(one.numpy(), np.asarray(other), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"scale": False}], ids=str)
def test_batch_normalization_under_a_mask(options):
    theirs, ours = twins((8, 5, 6), options)
    x = RNG.normal(3.0, 2.0, (8, 5, 6)).astype("float32")
    mask = RNG.random((8, 5)) < 0.5
    expected = np.asarray(theirs(x, training=True, mask=mask))
    np.testing.assert_allclose(ours(x, training=True, mask=mask), expected, rtol=1e-4, atol=1e-4)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), np.asarray(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_through_batch_normalization(masked):
    theirs, ours = twins((8, 5, 6), {})
    x, weight = (RNG.normal(size=(8, 5, 6)).astype("float32") for _ in range(2))
    given = {"mask": np.arange(40).reshape(8, 5) % 3 != 0} if masked else {}
    trained = [each.value for each in theirs.trainable_variables]
    state = [each.value for each in theirs.non_trainable_variables]

    def their_loss(values, weights):
        y, _ = theirs.stateless_call(weights, state, values, training=True, **given)
        return (y * weight).sum()

    def our_loss(values):
        return keraunos.ops.sum(ours(values, training=True, **given) * weight)

    expected = jax.grad(their_loss, argnums=(0, 1))(x, trained)
    found = keraunos.grad(our_loss)(x)
    np.testing.assert_allclose(found, np.asarray(expected[0]), rtol=1e-3, atol=1e-4)
    if not masked:
        slopes = keraunos.grad(lambda: our_loss(x), ours.trainable_variables)()
        for one, other in zip(slopes, expected[1], strict=True):
            np.testing.assert_allclose(one, np.asarray(other), rtol=1e-3, atol=1e-4)


NOISES = [
    ("Dropout", {"rate": 0.3}),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1, None)}),
    ("SpatialDropout1D", {"rate": 0.4}),
    ("GaussianNoise", {"stddev": 0.7}),
    ("GaussianDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.2, "noise_shape": (None, None, 1)}),
]


@pytest.mark.parametrize(("name", "options"), NOISES, ids=str)
def test_noise_has_the_same_distribution(name, options):
    x = RNG.normal(0.5, 1.0, (2000, 6, 30)).astype("float32")
    samples = [
        np.asarray(getattr(package.layers, name)(**options, seed=1)(x, training=True))
        for package in (keras, keraunos)
    ]
    for measure in (np.mean, np.std, lambda y: (y == 0).mean()):
        expected, found = map(measure, samples)
        np.testing.assert_allclose(found, expected, atol=0.05)
    quantiles = np.linspace(0.02, 0.98, 25)
    expected, found = (np.quantile(sample, quantiles) for sample in samples)
    np.testing.assert_allclose(found, expected, atol=0.1)


DRAWS = [
    ("uniform", {"minval": -1.0, "maxval": 2.0}),
    ("normal", {"mean": 1.0, "stddev": 2.0}),
    ("truncated_normal", {"mean": 1.0, "stddev": 2.0}),
    ("randint", {"minval": -3, "maxval": 9}),
]


@pytest.mark.parametrize(("name", "options"), DRAWS, ids=str)
def test_traced_numbers_have_the_same_distribution(name, options):
    shape = (300, 200)
    expected = np.asarray(getattr(keras.random, name)(shape, **options, seed=1))
    draw = getattr(keraunos.random, name)
    run = keraunos.compile(lambda x: draw(x.sizes, **options, seed=1), (None, 200))
    found = run(np.zeros(shape, "float32"))
    assert found.dtype == expected.dtype
    quantiles = np.linspace(0.01, 0.99, 15)
    found, expected = (np.quantile(sample, quantiles) for sample in (found, expected))
    np.testing.assert_allclose(found, expected, atol=0.06 if name != "randint" else 1.0)


@pytest.mark.parametrize(
    ("name", "options"),
    [("ActivityRegularization", {"l1": 0.1, "l2": 0.02}), ("ActivityRegularization", {"l1": 1.0})],
    ids=str,
)
def test_penalties_on_activity(name, options):
    x = RNG.normal(size=(12, 5, 4)).astype("float32")
    theirs, ours = (getattr(package.layers, name)(**options) for package in (keras, keraunos))
    theirs(x)

    def added(values):
        ours(values)
        return tuple(ours.losses)

    found = keraunos.compile(added, x)(x)
    np.testing.assert_allclose(found, [float(loss) for loss in theirs.losses], rtol=1e-5)
