"""Layers against formulas written independently of the op table, in float64."""

import math

import numpy as np
import pytest

from keraunos import activations, layers
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.tracing import Spec, trace_call

RANDOM = np.random.default_rng(7)


def computed(layer, *inputs: np.ndarray) -> np.ndarray:
    """The layer's result by the interpreter in float64, its weights drawn at random."""
    specs = [Spec((None, *array.shape[1:]), array.dtype.name) for array in inputs]
    trace = trace_call(layer, (specs if len(specs) > 1 else specs[0],))
    for weight in trace.variables.values():
        drawn = RANDOM.standard_normal(weight.shape)
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.name else drawn)
    values = {name: variable.value for name, variable in trace.variables.items()}
    (result,) = evaluate(trace.graph, inputs, values, dtype="float64")
    return result


def image(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype("float32")


def agree(received: np.ndarray, expected: np.ndarray) -> None:
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-9)


def weights(layer) -> list[np.ndarray]:
    return [weight.astype("float64") for weight in layer.get_weights()]


def padded(x: np.ndarray, window, strides, padding: str, dilation=(1, 1), fill=0.0) -> np.ndarray:
    """Keras's "same": as many results as ceil(size / stride), the odd row or column after."""
    if padding == "valid":
        return x
    pairs = [(0, 0)]
    for size, k, s, d in zip(x.shape[1:3], window, strides, dilation, strict=True):
        total = max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pairs.append((total // 2, total - total // 2))
    return np.pad(x, [*pairs, (0, 0)], constant_values=fill)


def patches(x: np.ndarray, window, strides, dilation=(1, 1)):
    """``(row, column, patch)`` for each position; a patch is ``(batch, kh, kw, channels)``."""
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    for i in range((x.shape[1] - reach[0]) // strides[0] + 1):
        for j in range((x.shape[2] - reach[1]) // strides[1] + 1):
            top, left = i * strides[0], j * strides[1]
            rows = slice(top, top + reach[0], dilation[0])
            yield i, j, x[:, rows, left : left + reach[1] : dilation[1]]


def gathered(positions) -> np.ndarray:
    """Results ``(i, j, value)`` side by side as an image."""
    table = {(i, j): value for i, j, value in positions}
    height, width = (max(place[axis] for place in table) + 1 for axis in (0, 1))
    rows = [np.stack([table[i, j] for j in range(width)], 1) for i in range(height)]
    return np.stack(rows, 1)


def convolved(x, kernel, strides=(1, 1), padding="valid", dilation=(1, 1)) -> np.ndarray:
    x = padded(x.astype("float64"), kernel.shape[:2], strides, padding, dilation)
    return gathered(
        (i, j, np.tensordot(patch, kernel, 3))
        for i, j, patch in patches(x, kernel.shape[:2], strides, dilation)
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3)])
def test_conv2d(padding, strides):
    x, layer = image(2, 7, 8, 3), layers.Conv2D(4, (3, 2), strides, padding, activation="relu")
    result = computed(layer, x)
    kernel, bias = weights(layer)
    agree(result, np.maximum(convolved(x, kernel, strides, padding) + bias, 0))


def test_conv2d_dilated():
    x, layer = image(2, 7, 8, 3), layers.Conv2D(4, 3, dilation_rate=2, use_bias=False)
    agree(computed(layer, x), convolved(x, weights(layer)[0], dilation=(2, 2)))


def test_conv2d_in_groups_splits_channels_and_filters():
    x, layer = image(2, 5, 5, 6), layers.Conv2D(4, 3, groups=2, use_bias=False)
    result = computed(layer, x)
    (kernel,) = weights(layer)
    halves = [convolved(x[..., :3], kernel[..., :2]), convolved(x[..., 3:], kernel[..., 2:])]
    agree(result, np.concatenate(halves, -1))


@pytest.mark.parametrize("make", [
    lambda form: layers.Conv2D(4, 3, data_format=form),
    lambda form: layers.Conv2DTranspose(4, 3, strides=2, data_format=form),
    lambda form: layers.DepthwiseConv2D(3, data_format=form),
    lambda form: layers.MaxPooling2D(data_format=form),
    lambda form: layers.AveragePooling2D(data_format=form),
    lambda form: layers.UpSampling2D(data_format=form),
    lambda form: layers.ZeroPadding2D((1, 2), data_format=form),
])  # fmt: skip
def test_channels_first_is_channels_last_turned(make):
    x = image(2, 6, 7, 3)
    last, first = make("channels_last"), make("channels_first")
    expected = computed(last, x)
    computed(first, np.moveaxis(x, -1, 1))
    first.set_weights(last.get_weights())
    turned = first(np.moveaxis(x, -1, 1).copy())
    np.testing.assert_allclose(np.moveaxis(turned, 1, -1), expected, rtol=1e-4, atol=1e-4)


def test_conv1d_causal_sees_no_later_step():
    x, layer = image(2, 9, 3), layers.Conv1D(4, 3, padding="causal", dilation_rate=2)
    result = computed(layer, x)
    kernel, bias = weights(layer)
    early = np.pad(x.astype("float64"), [(0, 0), (4, 0), (0, 0)])
    taps = [early[:, 2 * k : 2 * k + 9] @ kernel[k] for k in range(3)]
    agree(result, sum(taps) + bias)


def test_depthwise_conv2d_keeps_channels_apart():
    x, layer = image(2, 6, 6, 3), layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")
    result = computed(layer, x)
    kernel, bias = weights(layer)
    assert kernel.shape == (3, 3, 3, 2)
    single = [
        convolved(x[..., c : c + 1], kernel[:, :, c : c + 1], padding="same") for c in range(3)
    ]
    agree(result, np.concatenate(single, -1) + bias)


def test_separable_conv2d_is_depthwise_then_pointwise():
    x, layer = image(2, 6, 6, 3), layers.SeparableConv2D(5, 3, depth_multiplier=2)
    result = computed(layer, x)
    depthwise, pointwise, bias = weights(layer)
    assert (depthwise.shape, pointwise.shape) == ((3, 3, 3, 2), (1, 1, 6, 5))
    single = [convolved(x[..., c : c + 1], depthwise[:, :, c : c + 1]) for c in range(3)]
    agree(result, np.concatenate(single, -1) @ pointwise[0, 0] + bias)


@pytest.mark.parametrize(("strides", "kernel_size"), [(1, 3), (2, 3), (3, 2)])
def test_conv2d_transpose_scatters_what_a_convolution_gathers(strides, kernel_size):
    x = image(2, 4, 5, 3)
    layer = layers.Conv2DTranspose(4, kernel_size, strides, use_bias=False)
    result = computed(layer, x)
    (kernel,) = weights(layer)
    # Keras: (size - 1) * stride + kernel, and the gap to the next stride where that is wider.
    height, width = (s * strides + max(kernel_size - strides, 0) for s in x.shape[1:3])
    expected = np.zeros((2, height + strides, width + strides, 4))
    for i in range(4):
        for j in range(5):
            spread = np.einsum("bc,hwfc->bhwf", x[:, i, j].astype("float64"), kernel)
            top, left = i * strides, j * strides
            expected[:, top : top + kernel_size, left : left + kernel_size] += spread
    agree(result, expected[:, :height, :width])


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_pooling(padding, strides):
    x = image(2, 7, 8, 3)
    highest = padded(x, (2, 3), strides, padding, fill=-np.inf)
    inside = padded(x, (2, 3), strides, padding, fill=np.nan).astype("float64")
    largest = gathered(
        (i, j, patch.max((1, 2))) for i, j, patch in patches(highest, (2, 3), strides)
    )
    mean = gathered(
        (i, j, np.nanmean(patch, (1, 2))) for i, j, patch in patches(inside, (2, 3), strides)
    )
    agree(computed(layers.MaxPooling2D((2, 3), strides, padding), x), largest)
    agree(computed(layers.AveragePooling2D((2, 3), strides, padding), x), mean)


def test_pooling_windows_stand_side_by_side_by_default():
    x = image(1, 6, 6, 2)
    blocks = x.reshape(1, 3, 2, 3, 2, 2)
    agree(computed(layers.MaxPooling2D(), x), blocks.max((2, 4)))
    agree(computed(layers.AveragePooling1D(3), x[0]), x[0].astype("f8").reshape(6, 2, 3, 2).mean(2))


def test_dense_over_the_last_axis():
    x, layer = image(2, 4, 5), layers.Dense(3, activation="tanh")
    result = computed(layer, x)
    kernel, bias = weights(layer)
    agree(result, np.tanh(x.astype("float64") @ kernel + bias))


def test_embedding_looks_rows_up():
    x, layer = RANDOM.integers(0, 9, (3, 4)).astype("int32"), layers.Embedding(9, 5)
    result = computed(layer, x)
    agree(result, weights(layer)[0][x])


@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization_uses_the_moving_statistics(axis):
    x, layer = image(3, 4, 5, 6), layers.BatchNormalization(axis=axis, epsilon=0.01)
    result = computed(layer, x)
    gamma, beta, mean, variance = (
        np.expand_dims(w, [1, 2][: 2 * (axis == 1)]) for w in weights(layer)
    )
    agree(result, (x - mean) / np.sqrt(variance + 0.01) * gamma + beta)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_layer_normalization_measures_each_sample(axis):
    x, layer = image(3, 4, 5), layers.LayerNormalization(axis=axis, epsilon=0.01)
    result = computed(layer, x)
    axes = axis if isinstance(axis, tuple) else (axis % 3,)
    shape = [size if place in axes else 1 for place, size in enumerate(x.shape)]
    gamma, beta = (weight.reshape([1, *shape[1:]]) for weight in weights(layer))
    x = x.astype("float64")
    centred = x - x.mean(axes, keepdims=True)
    agree(result, centred / np.sqrt(x.var(axes, keepdims=True) + 0.01) * gamma + beta)


def test_prelu_has_a_slope_per_channel_where_axes_are_shared():
    x, layer = image(2, 3, 4, 5), layers.PReLU(shared_axes=[1, 2])
    result = computed(layer, x)
    (alpha,) = weights(layer)
    assert alpha.shape == (1, 1, 5)
    agree(result, np.where(x > 0, x, alpha * x))


def test_relu_with_all_its_options():
    x = np.linspace(-3, 3, 25, dtype="float32").reshape(1, 25)
    layer = layers.ReLU(max_value=1.5, negative_slope=0.25, threshold=0.5)
    expected = np.select([x >= 1.5, x > 0.5], [1.5, x.astype("f8")], 0.25 * (x.astype("f8") - 0.5))
    agree(computed(layer, x), expected)


def test_upsampling_bilinear_mixes_pixels_by_their_centres():
    row = np.array([[[[0.0], [4.0], [8.0]]]], "float32")
    result = computed(layers.UpSampling2D((1, 2), interpolation="bilinear"), row)
    agree(result[0, 0, :, 0], np.array([0, 1, 3, 5, 7, 8], "float64"))


def test_upsampling_nearest_repeats_pixels():
    x = image(2, 3, 4, 2)
    agree(computed(layers.UpSampling2D((2, 3)), x), x.repeat(2, 1).repeat(3, 2))


def test_padding_and_cropping_are_inverse():
    x = image(2, 3, 4, 2)
    wide = computed(layers.ZeroPadding2D(((1, 2), (3, 0))), x)
    agree(wide, np.pad(x, [(0, 0), (1, 2), (3, 0), (0, 0)]))
    agree(computed(layers.Cropping2D(((1, 2), (3, 0))), wide.astype("float32")), x)


def test_permute_counts_from_one_and_repeat_vector_stacks():
    x = image(2, 3, 4, 5)
    agree(computed(layers.Permute((3, 1, 2)), x), x.transpose(0, 3, 1, 2))
    row = image(2, 3)
    agree(computed(layers.RepeatVector(4), row), np.stack([row] * 4, 1))


@pytest.mark.parametrize(("name", "formula"), [
    ("Add", lambda a, b: a + b),
    ("Subtract", lambda a, b: a - b),
    ("Multiply", lambda a, b: a * b),
    ("Average", lambda a, b: (a + b) / 2),
    ("Maximum", np.maximum),
    ("Minimum", np.minimum),
])  # fmt: skip
def test_merging_broadcasts_after_the_batch(name, formula):
    x, y = image(2, 3, 4), image(2, 4)
    wide = y[:, None].astype("float64")
    agree(computed(getattr(layers, name)(), x, y), formula(x.astype("float64"), wide))


def test_dot_is_a_product_per_sample():
    x, y = image(2, 4, 5), image(2, 5, 3)
    agree(computed(layers.Dot((2, 1)), x, y), x.astype("f8") @ y.astype("f8"))
    a, b = image(3, 6).astype("f8"), image(3, 6).astype("f8")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / lengths
    layer = layers.Dot(1, normalize=True)
    agree(computed(layer, a.astype("f4"), b.astype("f4"))[:, 0], cosine)


def test_normalization_adapts_to_data():
    data = image(50, 3) * np.array([1, 5, 9]) + np.array([2, 0, -4])
    layer = layers.Normalization()
    layer.adapt(data)
    result = layer(data.astype("float32"))
    np.testing.assert_allclose(result.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(0), 1, atol=1e-5)
    assert [weight.name for weight in layer.weights] == ["mean", "variance", "count"]


def test_rescaling_turns_bytes_into_floats():
    pixels = np.array([[0, 51, 255]], "uint8")
    result = layers.Rescaling(1 / 255)(pixels)
    np.testing.assert_allclose(result, [[0, 0.2, 1]], rtol=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "sparse_plus": lambda x: np.select([x <= -1, x < 1], [0, (x + 1) ** 2 / 4], x),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2,
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "sigmoid": sigmoid,
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "exponential": np.exp,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "glu": lambda x: x[..., : x.shape[-1] // 2] * sigmoid(x[..., x.shape[-1] // 2 :]),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation(name):
    x = np.concatenate([RANDOM.standard_normal(38) * 3, [0.0, -0.0]]).astype("f4").reshape(4, 10)
    agree(computed(layers.Activation(name), x), FORMULAS[name](x.astype("float64")))


def test_gelu_is_exact_unless_asked_otherwise():
    x = np.linspace(-3, 3, 13, dtype="float32")[None]
    approximate = layers.Lambda(lambda v: activations.gelu(v, approximate=True))
    wide = x.astype("float64")
    inner = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    agree(computed(approximate, x), wide * (1 + np.tanh(inner)) / 2)


def test_every_activation_has_a_formula():
    named = set(activations._TABLE) - {"threshold"}
    assert named == set(FORMULAS)


def test_masked_steps_do_not_count_in_a_mean():
    tokens = np.array([[3, 0, 5, 0], [1, 2, 3, 4]], "int32")
    embedding, dropout, pooling = (
        layers.Embedding(9, 5, mask_zero=True),
        layers.Dropout(0.5),
        layers.GlobalAveragePooling1D(),
    )
    result = computed(layers.Lambda(lambda x: pooling(dropout(embedding(x)))), tokens)
    rows = weights(embedding)[0][tokens]
    kept = (tokens != 0)[..., None]
    agree(result, (rows * kept).sum(1) / kept.sum(1))
