"""Initializers: names, distributions, seeds."""

import math

import numpy as np
import pytest

from keraunos import initializers, layers, random, utils

SHAPE = (60, 50)
NAMES = [
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "variance_scaling",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "zeros",
    "ones",
    "constant",
    "orthogonal",
    "identity",
    "normal",
    "uniform",
    "zero",
    "one",
]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_makes_an_array(name):
    made = initializers.get(name)(SHAPE, "float32")
    assert (made.shape, made.dtype) == (SHAPE, np.float32)
    assert np.isfinite(made).all()
    assert callable(getattr(initializers, name, initializers.get(name)))


@pytest.mark.parametrize(("name", "variance", "limit"), [
    ("glorot_uniform", 2 / 110, math.sqrt(6 / 110)),
    ("he_uniform", 2 / 60, math.sqrt(6 / 60)),
    ("lecun_uniform", 1 / 60, math.sqrt(3 / 60)),
    ("glorot_normal", 2 / 110, 2 * math.sqrt(2 / 110) / 0.8796),
    ("he_normal", 2 / 60, 2 * math.sqrt(2 / 60) / 0.8796),
    ("lecun_normal", 1 / 60, 2 * math.sqrt(1 / 60) / 0.8796),
    ("random_normal", 0.05**2, 1.0),
    ("random_uniform", 0.1**2 / 12, 0.05),
    ("truncated_normal", (0.05 * 0.8796) ** 2, 0.1),
])  # fmt: skip
def test_variance_and_bounds(name, variance, limit):
    utils.set_random_seed(3)
    drawn = initializers.get(name)(SHAPE, "float32")
    assert drawn.var() == pytest.approx(variance, rel=0.1)
    assert abs(drawn.mean()) < 0.1 * math.sqrt(variance)
    assert np.abs(drawn).max() <= limit * 1.0001


def test_fans_of_a_convolution_count_the_window():
    assert initializers.compute_fans((3, 3, 4, 8)) == (36, 72)
    assert initializers.compute_fans((5,)) == (5, 5)


def test_orthogonal_has_orthonormal_columns_or_rows():
    tall = initializers.Orthogonal(gain=2.0)((8, 5))
    np.testing.assert_allclose(tall.T @ tall, 4 * np.eye(5), atol=1e-5)
    wide = initializers.Orthogonal()((5, 8))
    np.testing.assert_allclose(wide @ wide.T, np.eye(5), atol=1e-5)


def test_fixed_values():
    np.testing.assert_array_equal(initializers.Constant(3)((2,)), [3, 3])
    np.testing.assert_array_equal(initializers.Constant([1, 2])((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])
    assert initializers.get(None) is None
    np.testing.assert_array_equal(initializers.get(np.ones(2))((2,)), [1, 1])
    assert initializers.get(initializers.Zeros)((2,)).sum() == 0


def test_a_seed_gives_the_same_numbers_each_time():
    seeded = initializers.GlorotUniform(seed=1)
    np.testing.assert_array_equal(seeded(SHAPE), seeded(SHAPE))
    np.testing.assert_array_equal(seeded(SHAPE), initializers.GlorotUniform(seed=1)(SHAPE))
    assert not np.array_equal(seeded(SHAPE), initializers.GlorotUniform(seed=2)(SHAPE))
    assert not np.array_equal(initializers.HeNormal()(SHAPE), initializers.HeNormal()(SHAPE))


def test_set_random_seed_makes_weights_reproducible():
    def weights():
        utils.set_random_seed(7)
        layer = layers.Dense(4)
        layer.build((None, 3))
        return layer.get_weights()[0], np.random.rand()

    (first, a), (second, b) = weights(), weights()
    np.testing.assert_array_equal(first, second)
    assert a == b
    with pytest.raises(ValueError, match="an int between"):
        utils.set_random_seed(-1)


@pytest.mark.parametrize("name", NAMES)
def test_configuration_brings_an_initializer_back(name):
    made = initializers.get(name)
    again = initializers.deserialize(initializers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


def test_what_is_no_initializer_is_refused():
    with pytest.raises(ValueError, match="unknown initializer: received 'glorott'"):
        initializers.get("glorott")
    with pytest.raises(ValueError, match="expected an initializer"):
        initializers.get(object())
    with pytest.raises(ValueError, match="two sizes"):
        initializers.Identity()((3,))
    with pytest.raises(ValueError, match="two sizes or more"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match="scale as a number above 0"):
        initializers.VarianceScaling(scale=0)
    with pytest.raises(ValueError, match="mode out of"):
        initializers.VarianceScaling(mode="fan")


def test_random_arrays():
    assert random.uniform((1000,), 2.0, 3.0, seed=1).min() >= 2
    assert abs(random.normal((5000,), 1.0, 2.0, seed=1).std() - 2) < 0.1
    assert set(random.randint((100,), 0, 3, seed=1)) == {0, 1, 2}
    assert sorted(random.shuffle(np.arange(9), seed=1)) == list(range(9))
    stream = random.SeedGenerator(1)
    drawn = [random.normal((3,), seed=stream) for _ in range(2)]
    assert not np.array_equal(*drawn)
