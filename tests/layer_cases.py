"""Layers with their options, and what they are tried on: the vocabulary of the generic tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keraunos import layers

IMAGE, SEQUENCE, VECTOR = (7, 8, 6), (9, 6), (5,)
ACTIVATIONS = [
    "linear",
    "relu",
    "leaky_relu",
    "relu6",
    "softmax",
    "celu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "squareplus",
    "soft_shrink",
    "sparse_plus",
    "silu",
    "swish",
    "gelu",
    "glu",
    "tanh",
    "tanh_shrink",
    "sigmoid",
    "sparse_sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "hard_shrink",
    "log_sigmoid",
    "mish",
    "log_softmax",
    "exponential",
]


@dataclass(frozen=True)
class Case:
    """A layer to make, the shapes of one sample of each input, and the inputs' dtype."""

    name: str
    make: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return self.name

    def inputs(self, batch: int, seed: int = 0) -> list[np.ndarray]:
        random = np.random.default_rng(seed)
        if self.dtype == "int32" or self.name.startswith("Embedding("):  # rows of tables of 10
            return [random.integers(0, 10, (batch, *s)).astype(self.dtype) for s in self.shapes]
        return [random.standard_normal((batch, *s)).astype(self.dtype) for s in self.shapes]


def case(layer: str, *shapes: tuple[int, ...], dtype: str = "float32", **options: Any) -> Case:
    shown = ",".join(f"{key}={value}" for key, value in options.items())
    return Case(f"{layer}({shown})", lambda: getattr(layers, layer)(**options), shapes, dtype)


def _windows() -> list[Case]:
    cases = []
    for padding in ("valid", "same"):
        for strides in (1, 2, 3):
            options = {"strides": strides, "padding": padding}
            conv = {"filters": 4, "kernel_size": 3, **options}
            cases += [
                case("Conv2D", IMAGE, **conv, activation="relu"),
                case("Conv1D", SEQUENCE, **conv),
                case("SeparableConv2D", IMAGE, **conv, depth_multiplier=2),
                case("SeparableConv1D", SEQUENCE, **conv),
                case("DepthwiseConv2D", IMAGE, kernel_size=3, **options, depth_multiplier=2),
                case("DepthwiseConv1D", SEQUENCE, kernel_size=3, **options),
                case("Conv2DTranspose", IMAGE, **conv),
                case("Conv1DTranspose", SEQUENCE, **conv),
            ]
            for pooling in ("MaxPooling", "AveragePooling"):
                cases += [
                    case(f"{pooling}2D", IMAGE, pool_size=(2, 3), **options),
                    case(f"{pooling}1D", SEQUENCE, pool_size=2, **options),
                ]
        cases.append(
            case("Conv2D", IMAGE, filters=4, kernel_size=3, dilation_rate=2, padding=padding)
        )
    return cases


def _convolution_options() -> list[Case]:
    first = {"data_format": "channels_first"}
    return [
        case("Conv2D", IMAGE, filters=4, kernel_size=(2, 3), strides=(2, 1), use_bias=False),
        case("Conv2D", IMAGE, filters=4, kernel_size=3, groups=2),
        case("Conv2D", IMAGE, filters=4, kernel_size=3, **first),
        case("DepthwiseConv2D", IMAGE, kernel_size=3, **first),
        case("SeparableConv2D", IMAGE, filters=4, kernel_size=3, **first),
        case("Conv2DTranspose", IMAGE, filters=4, kernel_size=3, strides=2, **first),
        case("Conv1D", SEQUENCE, filters=4, kernel_size=3, padding="causal", dilation_rate=2),
        case("Conv1D", SEQUENCE, filters=4, kernel_size=3, **first),
        case("Conv2DTranspose", IMAGE, filters=4, kernel_size=2, strides=4, padding="same"),
        case("Conv2DTranspose", IMAGE, filters=4, kernel_size=3, strides=2, output_padding=1),
        case("Conv2DTranspose", IMAGE, filters=4, kernel_size=3, dilation_rate=2, padding="same"),
        case("MaxPooling2D", IMAGE, pool_size=2, **first),
        case("AveragePooling1D", SEQUENCE, pool_size=2, **first),
    ]


def _global_pooling() -> list[Case]:
    return [
        case(f"Global{kind}Pooling{rank}", shape, **options)
        for kind in ("Average", "Max")
        for rank, shape in (("1D", SEQUENCE), ("2D", IMAGE))
        for options in ({}, {"keepdims": True}, {"data_format": "channels_first"})
    ]


def _activations() -> list[Case]:
    relu: list[dict[str, float]] = [
        {},
        {"max_value": 1.0},
        {"max_value": 6.0},
        {"negative_slope": 0.2},
        {"threshold": 0.5},
        {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3},
    ]
    return [
        *(case("Activation", SEQUENCE, activation=name) for name in ACTIVATIONS),
        *(case("ReLU", SEQUENCE, **options) for options in relu),
        case("LeakyReLU", SEQUENCE, negative_slope=0.1),
        case("PReLU", IMAGE, alpha_initializer="ones"),
        case("PReLU", IMAGE, alpha_initializer="random_normal", shared_axes=[1, 2]),
        case("ELU", SEQUENCE, alpha=0.5),
        case("Softmax", SEQUENCE),
        case("Softmax", SEQUENCE, axis=1),
        case("Softmax", IMAGE, axis=(1, 2)),
    ]


def _reshaping() -> list[Case]:
    first = {"data_format": "channels_first"}
    return [
        case("Flatten", IMAGE),
        case("Flatten", IMAGE, **first),
        case("Flatten", ()),
        case("Reshape", IMAGE, target_shape=(-1, 6)),
        case("Reshape", IMAGE, target_shape=(6, 7, 8)),
        case("Permute", IMAGE, dims=(3, 1, 2)),
        case("RepeatVector", VECTOR, n=3),
        case("ZeroPadding2D", IMAGE, padding=((1, 2), (3, 0))),
        case("ZeroPadding2D", IMAGE, padding=(1, 2), **first),
        case("ZeroPadding1D", SEQUENCE, padding=2),
        case("Cropping2D", IMAGE, cropping=((1, 2), (3, 0))),
        case("Cropping2D", IMAGE, cropping=1, **first),
        case("Cropping1D", SEQUENCE, cropping=(1, 2)),
        case("UpSampling2D", IMAGE, size=(2, 3)),
        case("UpSampling2D", IMAGE, size=2, **first),
        case("UpSampling2D", IMAGE, size=(2, 3), interpolation="bilinear"),
        case("UpSampling1D", SEQUENCE, size=2),
    ]


def _merging() -> list[Case]:
    names = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    return [
        *(case(name, SEQUENCE, SEQUENCE) for name in names),
        case("Add", SEQUENCE, SEQUENCE, SEQUENCE),
        case("Add", SEQUENCE, (6,)),
        case("Concatenate", (3, 6), (4, 6), axis=1),
        case("Dot", VECTOR, VECTOR, axes=1),
        case("Dot", VECTOR, VECTOR, axes=1, normalize=True),
        case("Dot", (4, 5), (5, 3), axes=(2, 1)),
        case("Dot", (4, 5), (3, 5), axes=2, normalize=True),
        case("Dot", (4, 5), VECTOR, axes=(2, 1)),
    ]


def _others() -> list[Case]:
    statistics = {"mean": [1.0, 2, 3, 4, 5], "variance": [1.0, 2, 3, 4, 5]}
    return [
        case("Dense", VECTOR, units=3, activation="gelu"),
        case("Dense", SEQUENCE, units=3, use_bias=False),
        case("Embedding", (5,), dtype="int32", input_dim=10, output_dim=4),
        case("Embedding", (5,), input_dim=10, output_dim=4),
        case("BatchNormalization", IMAGE),
        case("BatchNormalization", IMAGE, axis=1, epsilon=1e-2),
        case("BatchNormalization", VECTOR, scale=False),
        case("BatchNormalization", VECTOR, center=False),
        case("LayerNormalization", SEQUENCE),
        case("LayerNormalization", IMAGE, axis=(1, 2)),
        case("LayerNormalization", IMAGE, axis=1),
        case("LayerNormalization", SEQUENCE, center=False, scale=False),
        case("LayerNormalization", IMAGE, axis=1, rms_scaling=True),
        case("Rescaling", IMAGE, scale=1 / 255, offset=0.5),
        case("Rescaling", VECTOR, dtype="int32", scale=0.5),
        case("Normalization", VECTOR),
        case("Normalization", VECTOR, **statistics),
        case("Normalization", VECTOR, axis=None, mean=3.0, variance=2.0, invert=True),
        case("CategoryEncoding", (5,), dtype="int32", num_tokens=10, output_mode="count"),
        case("Discretization", VECTOR, bin_boundaries=[-0.5, 0.25, 1.0], output_mode="one_hot"),
        case("Dropout", SEQUENCE, rate=0.5),
        case("SpatialDropout1D", SEQUENCE, rate=0.5),
        case("SpatialDropout2D", IMAGE, rate=0.5),
        case("SpatialDropout3D", (3, *IMAGE), rate=0.5),
        case("AlphaDropout", SEQUENCE, rate=0.5),
        case("ActivityRegularization", SEQUENCE, l1=0.1, l2=0.2),
        case("GaussianNoise", SEQUENCE, stddev=0.5),
        case("GaussianDropout", SEQUENCE, rate=0.5),
        case("Identity", VECTOR),
        case("Masking", SEQUENCE, mask_value=0.5),
        Case("Lambda", lambda: layers.Lambda(lambda x: x * 2 + 1), (VECTOR,)),
    ]


CASES = [
    *_windows(),
    *_convolution_options(),
    *_global_pooling(),
    *_activations(),
    *_reshaping(),
    *_merging(),
    *_others(),
]

# Of strings and other data before they are tensors: see test_text.py.
OF_DATA = frozenset(
    {layers.Hashing, layers.IntegerLookup, layers.StringLookup, layers.TextVectorization}
)

# Of cells that take states beside inputs, and of layers around those: see test_recurrent_layers.py.
RECURRENT = frozenset(
    {
        layers.Bidirectional,
        layers.ConvLSTM1D,
        layers.ConvLSTM2D,
        layers.ConvLSTM3D,
        layers.GRU,
        layers.GRUCell,
        layers.LSTM,
        layers.LSTMCell,
        layers.RNN,
        layers.SimpleRNN,
        layers.SimpleRNNCell,
        layers.StackedRNNCells,
        layers.TimeDistributed,
    }
)
