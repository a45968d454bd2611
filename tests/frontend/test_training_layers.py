"""What layers do in training: noise, statistics of the batch, losses of their own."""

from __future__ import annotations

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops, random, utils
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.random import SeedGenerator
from keraunos.frontend.tracing import Spec, trace_call

N, C = 400, 50
X = np.random.default_rng(0).normal(1.0, 2.0, (N, C)).astype("float32")


def train(layer, x, **kwargs):
    return layer(x, training=True, **kwargs)


# Noise


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    y = train(layers.Dropout(rate, seed=1), np.ones((N, C), "float32"))
    kept = y != 0
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / y.size)
    np.testing.assert_allclose(y[kept], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5),
        layers.GaussianDropout(0.5),
        layers.GaussianNoise(0.5),
        layers.AlphaDropout(0.5),
    ],
    ids=lambda layer: layer.class_name,
)
def test_noise_is_new_at_every_call_and_absent_at_inference(layer):
    first, second = train(layer, X), train(layer, X)
    assert (first != second).mean() > 0.4
    np.testing.assert_array_equal(layer(X), X)
    assert layer.seed_generator.state.value[1] == 2


def test_noise_begins_with_its_seed():
    one, two, other = (layers.Dropout(0.5, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(train(one, X), train(two, X))
    assert (train(one, X) != train(other, X)).any()


def test_noise_of_layers_without_a_seed_follows_set_random_seed():
    def drawn():
        utils.set_random_seed(3)
        return train(layers.Dropout(0.5), X), train(layers.GaussianNoise(1.0), X)

    for one, two in zip(drawn(), drawn(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_rates_at_the_ends():
    np.testing.assert_array_equal(train(layers.Dropout(0), X), X)
    np.testing.assert_array_equal(train(layers.Dropout(1), X), np.zeros_like(X))
    assert not hasattr(layers.Dropout(0), "seed_generator")


def test_what_is_not_finite_is_dropped_too():
    y = train(layers.Dropout(0.5, seed=0), np.full((N, C), np.inf, "float32"))
    assert set(np.unique(y)) == {0, np.inf}


def test_dropout_of_whole_axes():
    y = train(layers.Dropout(0.5, noise_shape=(None, 1)), np.ones((N, C), "float32"))
    assert {tuple(np.unique(row)) for row in y} == {(0,), (2,)}


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.SpatialDropout1D(0.5), (20, 9, 30), (1,)),
        (layers.SpatialDropout2D(0.5), (20, 5, 6, 30), (1, 2)),
        (layers.SpatialDropout2D(0.5, data_format="channels_first"), (20, 30, 5, 6), (2, 3)),
        (layers.SpatialDropout3D(0.5), (20, 2, 3, 4, 30), (1, 2, 3)),
    ],
    ids=lambda value: getattr(value, "class_name", ""),
)
def test_spatial_dropout_takes_whole_channels(layer, shape, axes):
    y = train(layer, np.ones(shape, "float32"))
    np.testing.assert_array_equal(y.min(axes), y.max(axes))
    assert set(np.unique(y)) == {0, 2}
    assert abs(y.mean() - 1) < 0.3


def test_gaussian_noise_has_its_deviation():
    y = train(layers.GaussianNoise(0.3), X) - X
    assert abs(y.mean()) < 4 * 0.3 / np.sqrt(X.size)
    assert abs(y.std() - 0.3) < 0.01


def test_gaussian_dropout_multiplies_by_noise_around_one():
    y = train(layers.GaussianDropout(0.2), np.full_like(X, 3.0)) / 3
    assert abs(y.mean() - 1) < 0.02
    assert abs(y.std() - np.sqrt(0.2 / 0.8)) < 0.02


def test_alpha_dropout_keeps_mean_and_variance():
    normal = np.random.default_rng(0).normal(size=(2000, 200)).astype("float32")
    y = train(layers.AlphaDropout(0.3), normal)
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    floor = -1.6732632423543772 * 1.0507009873554805
    slope = (0.7 * (1 + 0.3 * floor**2)) ** -0.5
    dropped = slope * floor * (1 - 0.3)
    assert abs(np.isclose(y, dropped, rtol=1e-5).mean() - 0.3) < 0.01


def model():
    return keraunos.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.SpatialDropout2D(0.3, seed=1),
            layers.Flatten(),
            layers.Dense(20, activation="relu"),
            layers.Dropout(0.5, seed=2),
            layers.GaussianNoise(0.1, seed=3),
            layers.Dense(4),
        ]
    )


def test_noise_is_the_same_however_a_model_is_compiled():
    stack = model()
    images = np.random.default_rng(1).normal(size=(9, 12, 12, 3)).astype("float32")
    variables = [each.seed_generator.state for each in stack.layers if hasattr(each, "seed")]
    assert len(variables) == 3
    found = []
    for passes in ("default", "none"):
        for variable in variables:
            variable.assign([5, 0])
        run = keraunos.compile(stack, passes=passes, training=True)
        found.append([run(images), run(images), run(images[:4])])
        assert all(variable.value[1] == 3 for variable in variables)
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-5)
    assert (found[0][0] != found[0][1]).any()


def test_the_backward_pass_sees_the_mask_of_the_forward_pass():
    x = np.random.default_rng(2).normal(size=(64, 40)).astype("float32")
    layer = layers.Dropout(0.5, seed=1)

    def total(values):
        return ops.sum(layer(values, training=True))

    value, slope = keraunos.value_and_grad(total)(x)
    np.testing.assert_allclose(value, (x * slope).sum(), rtol=1e-4)
    assert set(np.unique(slope)) == {0, 2}


class Outer(layers.Layer):
    """Says nothing of training to the layer within."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dropout(0.5)

    def call(self, inputs):
        return self.inner(inputs)


def test_layers_within_are_in_training_with_the_layer():
    assert (train(Outer(), X) == 0).mean() > 0.4
    np.testing.assert_array_equal(Outer()(X), X)
    chosen = keraunos.compile(lambda x: Outer()(x, training=True), (None, C))
    assert (chosen(X) == 0).mean() > 0.4
    np.testing.assert_array_equal(train(layers.Activation("linear"), X), X)


# Random numbers of a traced call


def drawn(function, **kwargs):
    """What ``function(x)`` draws while x, of shape (N, C), is traced."""
    return keraunos.compile(function, (None, C), **kwargs)


def test_traced_numbers_have_their_distributions():
    def draw(x):
        shape = x.sizes
        return (
            random.uniform(shape, -1, 3, seed=1),
            random.normal(shape, 2.0, 0.5, seed=2),
            random.truncated_normal(shape, 1.0, 2.0, seed=3),
            random.randint(shape, -2, 3, seed=4),
        )

    uniform, normal, truncated, integers = drawn(draw)(X)
    assert -1 <= uniform.min() < -0.99 < 2.99 < uniform.max() < 3
    assert abs(uniform.mean() - 1) < 0.05
    assert abs(normal.mean() - 2) < 0.02
    assert abs(normal.std() - 0.5) < 0.02
    assert np.abs(truncated - 1).max() <= 4
    assert abs(truncated.std() / 2 - 0.8796) < 0.02  # of a normal one held within 2
    assert integers.dtype == np.int32
    counts = np.bincount(integers.ravel() + 2) / integers.size
    np.testing.assert_allclose(counts, 0.2, atol=0.02)


def test_a_number_as_seed_means_the_same_numbers_always():
    run = drawn(lambda x: random.uniform(x.sizes, seed=1))
    np.testing.assert_array_equal(run(X), run(X))
    other = drawn(lambda x: random.uniform(x.sizes, seed=2))
    assert (run(X) != other(X)).any()


def test_without_a_seed_numbers_are_new_and_follow_set_random_seed():
    run = drawn(lambda x: x + random.uniform(x.sizes))
    utils.set_random_seed(1)
    first, second = run(X), run(X)
    assert (first != second).any()
    utils.set_random_seed(1)
    np.testing.assert_array_equal(run(X), first)


def test_a_generator_counts_over_all_its_uses():
    stream = SeedGenerator(5)
    run = drawn(lambda x: (random.uniform(x.sizes, seed=stream), random.normal((3,), seed=stream)))
    run(X)
    assert stream.state.value.tolist() == [5, 2]
    np.testing.assert_array_equal(stream.next(), [5, 2])
    assert SeedGenerator.from_config(stream.get_config()).seed == 5


def test_dropout_of_arrays_and_of_symbolic_tensors():
    stream = SeedGenerator(1)
    first, second = (random.dropout(np.ones((30, 30), "float32"), 0.5, seed=stream) for _ in "ab")
    assert (first != second).any()
    inputs = layers.Input((C,))
    functional = keraunos.Model(inputs, random.dropout(inputs, 0.25, seed=1))
    assert abs((functional(np.ones_like(X)) == 0).mean() - 0.25) < 0.02


def test_categories_are_drawn_by_their_logits():
    shares = np.array([0.1, 0.6, 0.3], "float32")
    logits = np.log(np.stack([shares, shares[::-1]]))
    found = random.categorical(logits, 20000, seed=1)
    assert found.shape == (2, 20000)
    assert found.dtype == np.int32
    for row, expected in zip(found, (shares, shares[::-1]), strict=True):
        np.testing.assert_allclose(np.bincount(row) / row.size, expected, atol=0.015)


def test_shuffling_while_traced_loses_nothing():
    run = drawn(lambda x: (random.shuffle(x, seed=SHUFFLED), random.shuffle(x, axis=1)))
    rows, columns = run(X)
    assert (rows != X).any()
    assert sorted(map(tuple, rows)) == sorted(map(tuple, X))
    np.testing.assert_array_equal(np.sort(columns, 1), np.sort(X, 1))


SHUFFLED = SeedGenerator(3)


def test_too_many_integers_are_refused():
    with pytest.raises(ValueError, match="expected 1 to 16777216 integers"):
        keraunos.trace(lambda x: random.randint(x.sizes, 0, 2**25), (None, 2))
    with pytest.raises(ValueError, match="expected seed as an int"):
        layers.Dropout(0.5, seed="seven")


# Batch normalization


def normalized(x, axes, epsilon=1e-3):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon), mean.ravel(), variance.ravel()


@pytest.mark.parametrize(
    ("shape", "axis"), [((30, 6), -1), ((10, 5, 4, 6), -1), ((10, 6, 5, 4), 1), ((8, 7, 6), 2)]
)
def test_batch_normalization_uses_and_keeps_the_statistics_of_batches(shape, axis):
    layer = layers.BatchNormalization(axis=axis, momentum=0.9)
    rng = np.random.default_rng(0)
    axes = tuple(i for i in range(len(shape)) if i != axis % len(shape))
    layer.build((None, *shape[1:]))
    layer.gamma.assign(rng.normal(size=6))
    layer.beta.assign(rng.normal(size=6))
    wide = tuple(-1 if i == axis % len(shape) else 1 for i in range(len(shape)))
    gamma, beta = layer.gamma.numpy().reshape(wide), layer.beta.numpy().reshape(wide)
    moving_mean, moving_variance = np.zeros(6), np.ones(6)
    for _ in range(3):
        x = rng.normal(2.0, 3.0, shape).astype("float32")
        expected, mean, variance = normalized(x.astype("float64"), axes)
        np.testing.assert_allclose(train(layer, x), expected * gamma + beta, rtol=1e-4, atol=1e-5)
        moving_mean = moving_mean * 0.9 + mean * 0.1
        moving_variance = moving_variance * 0.9 + variance * 0.1
    np.testing.assert_allclose(layer.moving_mean.value, moving_mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.value, moving_variance, rtol=1e-5)
    by_moving = (x - moving_mean.reshape(wide)) / np.sqrt(moving_variance.reshape(wide) + 1e-3)
    np.testing.assert_allclose(layer(x), by_moving * gamma + beta, rtol=1e-4, atol=1e-5)


def test_batch_normalization_without_scale_and_centre():
    layer = layers.BatchNormalization(scale=False, center=False)
    expected, _, _ = normalized(X.astype("float64"), 0)
    np.testing.assert_allclose(train(layer, X), expected, rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_infers():
    layer = layers.BatchNormalization()
    train(layer, X)
    layer.trainable = False
    before = layer.moving_mean.numpy()
    np.testing.assert_array_equal(train(layer, X), layer(X))
    np.testing.assert_array_equal(layer.moving_mean.value, before)
    layer.trainable = True
    assert np.abs(train(layer, X).mean()) < 1e-3


def test_what_a_mask_hides_does_not_count():
    x = np.random.default_rng(0).normal(size=(6, 9, 4)).astype("float32")
    mask = np.random.default_rng(1).random((6, 9)) < 0.6
    hidden = np.where(mask[..., None], x, np.nan)
    layer = layers.BatchNormalization(momentum=0.0)
    y = train(layer, np.where(mask[..., None], x, 1e6).astype("float32"), mask=mask)
    mean, variance = np.nanmean(hidden, (0, 1)), np.nanvar(hidden, (0, 1))
    np.testing.assert_allclose(layer.moving_mean.value, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.value, variance, rtol=1e-4)
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y[mask], expected[mask], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="expected a mask of 2 axes"):
        train(layer, x, mask=mask[0])


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_go_through_the_statistics(masked):
    """Against finite differences of the reference interpreter in float64."""
    layer = layers.BatchNormalization()
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(size=(7, 3, 4)).astype("float32") for _ in range(2))
    mask = np.arange(21).reshape(7, 3) % 4 != 1

    def loss(values):
        hidden = {"mask": mask} if masked else {}
        return ops.sum(layer(values, training=True, **hidden) * weight)

    layer.build((None, 3, 4))
    layer.gamma.assign(rng.normal(size=4))
    slope = keraunos.grad(loss)(x)
    traced = trace_call(loss, (Spec((7, 3, 4)),), training=True)
    weights = {name: variable.value for name, variable in traced.variables.items()}

    def value(point):
        return evaluate(traced.graph, (point,), weights, dtype="float64")[0]

    step = 1e-4
    for place in [(0, 0, 0), (3, 1, 2), (6, 2, 3), (1, 2, 1)]:
        moved = [x.astype("float64") for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        difference = (value(moved[0]) - value(moved[1])) / (2 * step)
        np.testing.assert_allclose(slope[place], difference, rtol=2e-3, atol=1e-4)


def test_statistics_move_the_same_however_a_layer_is_compiled():
    x = np.random.default_rng(0).normal(3.0, 2.0, (33, 10, 10, 8)).astype("float32")
    found = []
    for passes in ("default", "none"):
        layer = layers.BatchNormalization()
        run = keraunos.compile(layer, (None, 10, 10, 8), passes=passes, training=True)
        found.append((run(x), layer.moving_mean.numpy(), layer.moving_variance.numpy()))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


# Losses of layers


class Sparse(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, use_bias=False)

    def call(self, inputs):
        outputs = self.dense(inputs)
        self.add_loss(ops.mean(ops.abs(outputs)))
        return outputs


def losses_of(layer, x):
    """What a traced call adds to the loss, as arrays."""

    def added(values):
        layer(values, training=True)
        return tuple(layer.losses)

    return [float(each) for each in keraunos.compile(added, x, training=True)(x)]


def test_a_layer_adds_losses():
    layer = Sparse()
    y = layer(X)
    np.testing.assert_allclose(losses_of(layer, X), [np.abs(y).mean()], rtol=1e-5)
    assert layer.losses == []


def test_penalties_on_activity_are_means_over_samples():
    layer = layers.ActivityRegularization(l1=0.1, l2=0.01)
    np.testing.assert_array_equal(layer(X), X)
    expected = (0.1 * np.abs(X).sum() + 0.01 * (X**2).sum()) / N
    np.testing.assert_allclose(losses_of(layer, X), [expected], rtol=1e-5)
    own = layers.Dense(3, activity_regularizer=lambda y: ops.sum(ops.square(y)))
    y = own(X)
    np.testing.assert_allclose(losses_of(own, X), [(y**2).sum() / N], rtol=1e-5)


def test_regularizers_of_weights_are_among_the_losses():
    layer = layers.Dense(3, kernel_regularizer=lambda w: ops.sum(ops.square(w)) * 0.5)
    layer.build((None, C))
    expected = (layer.kernel.value**2).sum() * 0.5
    np.testing.assert_allclose([float(each) for each in layer.losses], [expected], rtol=1e-5)
    np.testing.assert_allclose(losses_of(layer, X), [expected], rtol=1e-5)
    layer.trainable = False
    assert layer.losses == []


def test_losses_of_inner_layers_come_first():
    stack = keraunos.Sequential([layers.Input((C,)), Sparse(), layers.ActivityRegularization(0.1)])
    assert len(losses_of(stack, X)) == 2


# Whole trainings


def trained(steps=4):
    """The losses of a few steps of a model with noise and batch normalization, from one seed."""
    utils.set_random_seed(11)
    stack = keraunos.Sequential(
        [
            layers.Input((C,)),
            layers.Dense(16, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    stack.compile("sgd", "mse")
    target = X[:, :1] * 0.5
    losses = [float(stack.train_on_batch(X, target)) for _ in range(steps)]
    return stack, target, losses


def test_trainings_with_noise_are_reproducible():
    (stack, target, losses), (_, _, again) = trained(), trained()
    assert losses == again
    assert losses[-1] < losses[0]
    dropout, normalization = stack.layers[3], stack.layers[1]
    assert dropout.seed_generator.state.value[1] == 4
    moved = normalization.moving_mean.numpy()
    assert (moved != 0).all()
    stack.test_on_batch(X, target)
    np.testing.assert_array_equal(normalization.moving_mean.value, moved)
    assert dropout.seed_generator.state.value[1] == 4
    np.testing.assert_array_equal(stack(X), stack(X))


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        (layers.Dropout, "rate"),
        (layers.GaussianDropout, "rate"),
        (layers.AlphaDropout, "rate"),
        (layers.GaussianNoise, "stddev"),
    ],
)
def test_noise_that_is_set_later_is_seen(kind, attribute):
    x = np.ones((4, 30), "float32")
    layer = kind(0.0)
    assert np.array_equal(layer(x, training=True), x)
    setattr(layer, attribute, 0.5)
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    setattr(layer, attribute, 0.0)
    assert np.array_equal(layer(x, training=True), x)
