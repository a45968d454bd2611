"""Layers' configurations against Keras's: what one writes, the other reads."""

import pytest
from twins import Case, assert_close, assert_same_config, case, draw, keras, set_same_weights

import keraunos

IMAGE, SEQUENCE, VECTOR = (4, 5, 6), (9, 6), (5,)
CONV = {
    "strides": 2,
    "padding": "same",
    "activation": "relu",
    "use_bias": False,
    "bias_initializer": "ones",
}
DEEP = {"depthwise_initializer": "he_uniform", "depth_multiplier": 2}
CASES = [
    case("Dense", VECTOR, units=3, activation="gelu", kernel_initializer="he_normal"),
    case("Embedding", VECTOR, input_dim=10, output_dim=3, mask_zero=True, input_dtype="int32"),
    case("Conv2D", IMAGE, filters=4, kernel_size=3, groups=2, **CONV),
    case("Conv1D", SEQUENCE, filters=4, kernel_size=3, dilation_rate=2, padding="causal"),
    case("DepthwiseConv2D", IMAGE, kernel_size=3, **CONV, **DEEP),
    case("DepthwiseConv1D", SEQUENCE, kernel_size=3, **CONV, **DEEP),
    case("SeparableConv2D", IMAGE, filters=4, kernel_size=3, **CONV, **DEEP),
    case("SeparableConv1D", SEQUENCE, filters=4, kernel_size=3, **CONV, **DEEP),
    case("Conv2DTranspose", IMAGE, filters=4, kernel_size=3, output_padding=1, **CONV),
    case("Conv1DTranspose", SEQUENCE, filters=4, kernel_size=3, **CONV),
    case("MaxPooling2D", IMAGE, pool_size=(2, 3), strides=2, padding="same"),
    case("MaxPooling1D", SEQUENCE, pool_size=2),
    case("AveragePooling2D", IMAGE, pool_size=2, data_format="channels_first"),
    case("AveragePooling1D", SEQUENCE, pool_size=2, strides=1),
    case("GlobalMaxPooling2D", IMAGE, keepdims=True),
    case("GlobalAveragePooling1D", SEQUENCE, data_format="channels_first"),
    case("BatchNormalization", IMAGE, axis=1, momentum=0.9, epsilon=0.1, center=False),
    case("LayerNormalization", IMAGE, axis=(1, 2), epsilon=0.1, scale=False),
    case("Normalization", VECTOR, mean=[1.0] * 5, variance=[2.0] * 5),
    case("Normalization", IMAGE, axis=(1, 3)),
    case("Rescaling", IMAGE, scale=2.0, offset=1.0),
    case("Activation", VECTOR, activation="mish"),
    case("ReLU", VECTOR, max_value=3.0, negative_slope=0.1, threshold=0.5),
    case("LeakyReLU", VECTOR, negative_slope=0.1),
    case("ELU", VECTOR, alpha=0.5),
    case("PReLU", IMAGE, shared_axes=[1, 2], alpha_initializer="ones"),
    case("Softmax", SEQUENCE, axis=1),
    case("Flatten", IMAGE, data_format="channels_first"),
    case("Reshape", IMAGE, target_shape=(-1, 2)),
    case("Permute", SEQUENCE, dims=(2, 1)),
    case("RepeatVector", VECTOR, n=3),
    case("ZeroPadding2D", IMAGE, padding=((1, 2), (3, 0))),
    case("ZeroPadding1D", SEQUENCE, padding=2),
    case("Cropping2D", IMAGE, cropping=((1, 0), (1, 1))),
    case("Cropping1D", SEQUENCE, cropping=(1, 2)),
    case("UpSampling2D", IMAGE, size=(2, 3), interpolation="bilinear"),
    case("UpSampling1D", SEQUENCE, size=3),
    case("Add", VECTOR, VECTOR),
    case("Concatenate", SEQUENCE, SEQUENCE, axis=1),
    case("Dot", VECTOR, VECTOR, axes=1, normalize=True),
    case("Dropout", VECTOR, rate=0.3, seed=4),
    case("SpatialDropout2D", IMAGE, rate=0.3),
    case("GaussianNoise", VECTOR, stddev=0.3),
    case("GaussianDropout", VECTOR, rate=0.3, seed=2),
    case("Identity", VECTOR),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_configurations_say_the_same(case: Case):
    theirs, ours = case.make(keras), case.make(keraunos)
    assert_same_config(ours.get_config(), theirs.get_config())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_is_made_from_what_keras_writes(case: Case):
    """Through `from_config`, with what Keras writes of initializers and dtype policies in it."""
    theirs = case.make(keras)
    written = keras.saving.serialize_keras_object(theirs)["config"]
    ours = getattr(keraunos.layers, case.layer).from_config(written)
    assert ours.name == theirs.name
    data = case.data(2)
    theirs(data), ours(data)
    set_same_weights(theirs, ours)
    assert_close(ours(data), theirs(data))


def test_a_configured_layer_keeps_its_trainability_and_name():
    for package in (keras, keraunos):
        layer = package.layers.Dense(3, name="head", trainable=False)
        layer(draw((2, 4)))
        again = type(layer).from_config(layer.get_config())
        again(draw((2, 4)))
        assert (again.name, again.trainable, len(again.trainable_weights)) == ("head", False, 0)
