"""Dense, embedding, normalization, merging and noise layers against Keras."""

import numpy as np
import pytest
from twins import Case, assert_close, assert_twins_agree, case, keras, sweep

import keraunos

IMAGE, SEQUENCE, VECTOR = (4, 5, 6), (9, 6), (5,)


def dense() -> list[Case]:
    shapes = (VECTOR, SEQUENCE, IMAGE, (1,), (17,), (3, 1), (None, 6), (None, None, 3))
    cases = [case("Dense", shape, units=4, batches=(1, 2, 5)) for shape in shapes]
    cases += sweep("Dense", (33,), {"units": [1, 3, 16, 70]}, batches=(1, 5))
    cases += sweep("Dense", SEQUENCE, {"use_bias": [False], "units": [1, 7]})
    cases += sweep("Dense", VECTOR, {"activation": ["relu", "softmax", "gelu"]}, units=7)
    return cases


def embedding() -> list[Case]:
    axes = {"output_dim": [1, 4, 17]}
    return [
        *sweep("Embedding", VECTOR, axes, input_dim=10, input_dtype="int32", batches=(1, 3)),
        case("Embedding", VECTOR, input_dim=10, output_dim=4, mask_zero=True, input_dtype="int32"),
        case("Embedding", SEQUENCE, input_dim=10, output_dim=4, input_dtype="int64"),
        case("Embedding", SEQUENCE, input_dim=10, output_dim=4, input_dtype="uint8"),
        case("Embedding", (), input_dim=10, output_dim=4, input_dtype="int32"),
        case("Embedding", (None,), input_dim=10, output_dim=4, input_dtype="int32"),
    ]


def normalizations() -> list[Case]:
    flags = [False, True]
    cases = []
    for shape in (VECTOR, SEQUENCE, IMAGE, (1, 1, 1), (3, 1, 17), (None, 6), (None, None, 3)):
        cases.append(case("BatchNormalization", shape, batches=(1, 5)))
        cases.append(case("LayerNormalization", shape, batches=(1, 5)))
    axes = {"axis": [1, 2, -2], "epsilon": [1e-3, 0.1]}
    cases += sweep("BatchNormalization", IMAGE, axes)
    cases += sweep("BatchNormalization", IMAGE, {"scale": flags, "center": flags})
    cases += sweep("BatchNormalization", VECTOR, {"momentum": [0.5]}, epsilon=1e-5)
    axes = {"axis": [1, -2, [1, 2], (2, 3), (1, 2, 3), (3, 1)], "epsilon": [1e-3, 1e-6]}
    cases += sweep("LayerNormalization", IMAGE, axes)
    axes = {"scale": flags, "center": flags, "axis": [-1, (1, 2)]}
    cases += sweep("LayerNormalization", SEQUENCE, axes)
    return cases


def scaling() -> list[Case]:
    mean, variance = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 4.0, 0.0, 2.0, 0.5]
    return [
        case("Rescaling", IMAGE, scale=1 / 255),
        case("Rescaling", IMAGE, scale=2, offset=-1),
        case("Rescaling", IMAGE, scale=1 / 127.5, offset=-1.0, input_dtype="uint8", below=256),
        case(
            "Rescaling", VECTOR, scale=[1.0, 2.0, 3.0, 4.0, 5.0], offset=[0.0, 1.0, 0.0, 2.0, 0.5]
        ),
        case("Normalization", VECTOR, mean=mean, variance=variance),
        case("Normalization", VECTOR, mean=mean, variance=variance, invert=True),
        case("Normalization", VECTOR, axis=None, mean=3.0, variance=2.0),
        case(
            "Normalization", IMAGE, axis=1, mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 3.0, 2.0, 1.0]
        ),
        case("Normalization", SEQUENCE),
        case("Normalization", SEQUENCE, axis=None),
        case("Normalization", IMAGE, axis=(1, 3)),
        case("Normalization", IMAGE, axis=2, invert=True),
    ]


def categories() -> list[Case]:
    modes = {"output_mode": ["one_hot", "multi_hot", "count"]}
    bounds = [-0.5, 0.25, 1.0]
    return [
        *sweep("CategoryEncoding", (4,), modes, num_tokens=11, input_dtype="int32"),
        *sweep("CategoryEncoding", (1,), modes, num_tokens=6, input_dtype="int64"),
        *sweep("Discretization", VECTOR, modes, bin_boundaries=bounds),
        case("Discretization", SEQUENCE, bin_boundaries=bounds),
    ]


def merging() -> list[Case]:
    cases = []
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        cases += [case(name, *[shape] * 2) for shape in (VECTOR, IMAGE)]
        if name != "Subtract":
            cases.append(case(name, *[SEQUENCE] * 3))
        if name != "Concatenate":
            cases += [case(name, SEQUENCE, (1, 6)), case(name, IMAGE, (4, 1, 6))]
            cases += [case(name, (1,), VECTOR), case(name, SEQUENCE, (6,))]
    return [
        *cases,
        case("Concatenate", (3, 6), (4, 6), axis=1),
        case("Concatenate", (3, 6), (4, 6), (1, 6), axis=-2),
        case("Concatenate", (2, 3, 4), (2, 3, 1), (2, 3, 17)),
        case("Concatenate", (None, 6), (None, 6), axis=1),
        case("Add", (None, 6), (None, 6)),
        case("Dot", VECTOR, VECTOR, axes=1),
        case("Dot", VECTOR, VECTOR, axes=-1, normalize=True),
        case("Dot", (4, 5), (5, 3), axes=(2, 1)),
        case("Dot", (4, 5), (3, 5), axes=2),
        case("Dot", (4, 5), (3, 5), axes=2, normalize=True),
        case("Dot", (4, 5), (4, 3), axes=1),
        case("Dot", (4, 5), VECTOR, axes=(2, 1)),
        case("Dot", VECTOR, (4, 5), axes=(1, 2)),
        case("Dot", (2, 3, 5), (5, 4), axes=(3, 1)),
    ]


def inference_noise() -> list[Case]:
    """Layers that change nothing at inference."""
    return [
        case("Dropout", SEQUENCE, rate=0.5),
        case("Dropout", SEQUENCE, rate=0.5, noise_shape=(None, 1, 6), seed=3),
        case("SpatialDropout1D", SEQUENCE, rate=0.3),
        case("SpatialDropout2D", IMAGE, rate=0.3, data_format="channels_first"),
        case("GaussianNoise", SEQUENCE, stddev=0.5),
        case("GaussianDropout", SEQUENCE, rate=0.5),
        case("Identity", IMAGE),
    ]


CASES = [
    *dense(),
    *embedding(),
    *normalizations(),
    *scaling(),
    *categories(),
    *merging(),
    *inference_noise(),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers_agree_with_keras(case):
    assert_twins_agree(case)


@pytest.mark.parametrize("axis", [-1, 1, None, (1, 2)], ids=str)
def test_normalization_measures_as_keras_does(axis):
    data = np.random.default_rng(0).normal(3.0, 2.0, (20, 4, 6)).astype("float32")
    results = []
    for package in (keras, keraunos):
        layer = package.layers.Normalization(axis=axis)
        layer.adapt(data)
        x = package.Input((4, 6))
        results.append(package.Model(x, layer(x)).predict_on_batch(data))
    assert_close(*reversed(results))


def test_weights_given_to_an_embedding():
    table = np.random.default_rng(0).standard_normal((10, 4)).astype("float32")
    for package in (keras, keraunos):
        layer = package.layers.Embedding(10, 4, weights=[table])
        np.testing.assert_array_equal(layer(np.array([[1, 9], [0, 3]])), table[[[1, 9], [0, 3]]])


@pytest.mark.parametrize("scale", [False, True])
def test_softmax_leaves_out_what_the_mask_does(scale):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32") * (50 if scale else 1)
    mask = np.array([[[1, 0, 1, 1]] * 3, [[0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 0, 0]]], "bool")
    theirs, ours = (package.layers.Softmax()(x, mask=mask) for package in (keras, keraunos))
    assert_close(ours, theirs)
