"""Initial weights against Keras: the same statistics and rules of shapes, though other draws."""

import numpy as np
import pytest
from twins import keras, plain

import keraunos

SHAPES = [(300, 200), (5, 5, 30, 40), (7, 40, 30), (4000,)]
RANDOM = [
    ("random_normal", {"mean": 1.0, "stddev": 0.5}),
    ("random_uniform", {"minval": -1.0, "maxval": 3.0}),
    ("truncated_normal", {"mean": -1.0, "stddev": 2.0}),
    *((f"{fan}_{kind}", {}) for fan in ("glorot", "he", "lecun") for kind in ("normal", "uniform")),
    ("glorot_uniform", {"input_axes": [0], "output_axes": [0]}),
    ("variance_scaling", {"input_axes": [-1], "output_axes": [0], "mode": "fan_avg"}),
    *(
        ("variance_scaling", {"scale": 3.0, "mode": mode, "distribution": distribution})
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "untruncated_normal", "uniform")
    ),
]
FIXED = [
    ("zeros", {}),
    ("ones", {}),
    ("constant", {"value": 2.5}),
    ("identity", {"gain": 3.0}),
]


def class_of(name):
    return "".join(part.title() for part in name.split("_"))


def made(name, options):
    """The initializer in both, from its class."""
    return [getattr(p.initializers, class_of(name))(**options) for p in (keras, keraunos)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "options"), RANDOM, ids=str)
def test_random_weights_are_distributed_alike(name, options, shape):
    theirs, ours = (np.asarray(make(shape)) for make in made(name, {**options, "seed": 1}))
    assert ours.shape == shape and ours.dtype == theirs.dtype == np.float32
    deviation, count = theirs.std(), theirs.size
    assert abs(ours.mean() - theirs.mean()) < 6 * deviation * np.sqrt(2 / count)
    np.testing.assert_allclose(ours.std(), deviation, rtol=6 / np.sqrt(count))
    # Uniform and truncated distributions end where they should; five deviations hold the others.
    for extreme in (np.min, np.max):
        np.testing.assert_allclose(extreme(ours), extreme(theirs), atol=deviation)
    np.testing.assert_allclose(
        np.quantile(ours, [0.05, 0.25, 0.5, 0.75, 0.95]),
        np.quantile(theirs, [0.05, 0.25, 0.5, 0.75, 0.95]),
        atol=10 * deviation / np.sqrt(count),
    )


@pytest.mark.parametrize(("name", "options"), FIXED, ids=str)
def test_fixed_weights_are_the_same(name, options):
    for shape in ((4, 4), (2, 5)):
        theirs, ours = (np.asarray(make(shape)) for make in made(name, options))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 3, 5, 4), (2, 2, 30)], ids=str)
def test_orthogonal_weights(shape):
    for make in made("orthogonal", {"gain": 2.0, "seed": 3}):
        value = np.asarray(make(shape))
        assert value.shape == shape
        flat = value.reshape(-1, shape[-1])
        gram = flat @ flat.T if flat.shape[0] < flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"), [*RANDOM, *FIXED, ("orthogonal", {"gain": 2.0})], ids=str
)
def test_configurations(name, options):
    theirs, ours = made(name, options)
    # Keras leaves the gain of Identity out.
    assert plain(ours.get_config()) == plain(options if name == "identity" else theirs.get_config())
    written = keras.initializers.serialize(theirs)
    again = keraunos.initializers.deserialize(written)
    assert again.get_config() == type(again)(**theirs.get_config()).get_config()


@pytest.mark.parametrize("name", sorted({name for name, _ in [*RANDOM, *FIXED]} | {"orthogonal"}))
def test_names(name):
    for spelling in (name, class_of(name)):
        ours = keraunos.initializers.get(spelling)
        assert type(ours).__name__ == class_of(name)
        # Keras cannot make a Constant from its name, and leaves the gain of Identity out.
        if name not in ("constant", "identity"):
            theirs = keras.initializers.get(spelling)
            assert plain(ours.get_config()) == plain(theirs.get_config())


def test_one_seed_draws_the_same_again():
    for package in (keras, keraunos):
        make = package.initializers.GlorotUniform(seed=5)
        np.testing.assert_array_equal(make((3, 4)), make((3, 4)))
        other = package.initializers.GlorotUniform(seed=6)
        assert np.abs(np.asarray(make((3, 4))) - np.asarray(other((3, 4)))).max() > 0


@pytest.mark.parametrize("wrong", ["gloroot", 3.5j], ids=str)
def test_unknown_initializers_are_refused(wrong):
    with pytest.raises(ValueError):
        keraunos.initializers.get(wrong)


LAYERS = [
    ("Dense", {"units": 40}, (60,)),
    ("Conv1D", {"filters": 20, "kernel_size": 5}, (9, 30)),
    ("Conv2D", {"filters": 20, "kernel_size": 3}, (5, 5, 30)),
    ("Conv2D", {"filters": 20, "kernel_size": 3, "groups": 2}, (5, 5, 30)),
    ("DepthwiseConv2D", {"kernel_size": 5}, (5, 5, 90)),
    ("SeparableConv2D", {"filters": 20, "kernel_size": 3}, (5, 5, 90)),
    ("Conv2DTranspose", {"filters": 20, "kernel_size": 3}, (5, 5, 30)),
    ("Embedding", {"input_dim": 50, "output_dim": 40}, (3,)),
    ("PReLU", {}, (30,)),
    ("BatchNormalization", {}, (30,)),
    ("LayerNormalization", {}, (30,)),
]


@pytest.mark.parametrize(("layer", "options", "shape"), LAYERS, ids=str)
def test_layers_begin_with_the_weights_of_keras(layer, options, shape):
    made = []
    for package in (keras, keraunos):
        one = getattr(package.layers, layer)(**options)
        one.build((None, *shape))
        made.append(one.get_weights())
    for theirs, ours in zip(*made, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.2)
        np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.2 * theirs.std())
