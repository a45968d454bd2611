"""A hundred steps of training give the losses that Keras gives: same weights, data and order."""

from typing import Any

import numpy as np
import pytest
from twins import keras

import keraunos

pytestmark = pytest.mark.peers

STEPS = 100
BATCH = 16
RNG = np.random.default_rng(5)
IMAGES = RNG.standard_normal((BATCH * 5, 8, 8, 3)).astype("float32")
LABELS = RNG.integers(0, 4, BATCH * 5).astype("int32")
NUMBERS = RNG.standard_normal((BATCH * 5, 2)).astype("float32")

# Every optimizer, with what makes a step large enough for a curve to bend.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"learning_rate": 0.001, "centered": True, "momentum": 0.5},
    "Adam": {"learning_rate": 0.003},
    "AdamW": {"learning_rate": 0.003, "weight_decay": 0.01},
    "Nadam": {"learning_rate": 0.002},
    "Adamax": {"learning_rate": 0.003},
    "Adagrad": {"learning_rate": 0.03},
    "Adadelta": {"learning_rate": 1.0},
    "Adafactor": {"learning_rate": 0.01},
    # Its first step sets all weights anew. With the usual accumulator they land near zero, where a
    # network of several layers has no gradients: it would not learn in Keras either.
    "Ftrl": {"learning_rate": 0.01, "initial_accumulator_value": 0.0},
    "Lion": {"learning_rate": 0.0003},
    "Lamb": {"learning_rate": 0.005},
    "Muon": {"learning_rate": 0.002},
}


def convolutional(package: Any) -> Any:
    layers = package.layers
    return package.Sequential(
        [
            package.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="tanh"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Flatten(),
            layers.Dense(10, activation="gelu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def two_tasks(package: Any) -> Any:
    layers = package.layers
    image = package.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="elu", kernel_regularizer="l2")(image)
    y = layers.LayerNormalization()(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return package.Model(
        image,
        [layers.Dense(4, activation="softmax", name="kind")(x), layers.Dense(2, name="size")(x)],
    )


def losses(package: Any, model: Any, weights: Any, targets: Any, **options: Any) -> list[float]:
    model.set_weights(weights)
    model.compile(**options)
    found = []
    for step in range(STEPS):
        rows = slice(step % 5 * BATCH, step % 5 * BATCH + BATCH)
        model.reset_metrics()
        y = [t[rows] for t in targets] if isinstance(targets, list) else targets[rows]
        found.append(model.train_on_batch(IMAGES[rows], y, return_dict=True)["loss"])
    return [float(loss) for loss in found]


def curves(build: Any, targets: Any, options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The losses of Keras and ours; ``options`` makes the arguments of compile for a package."""
    keras.utils.set_random_seed(0)
    theirs, ours = build(keras), build(keraunos)
    weights = theirs.get_weights()
    found = [
        losses(package, model, weights, targets, **options(package))
        for package, model in ((keras, theirs), (keraunos, ours))
    ]
    return np.array(found[0]), np.array(found[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    def options(package: Any) -> dict[str, Any]:
        optimizer = getattr(package.optimizers, name)(**OPTIMIZERS[name])
        return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}

    theirs, ours = curves(convolutional, LABELS, options)
    # From the first pass over the five batches to the last: a flat curve would compare nothing.
    assert np.mean(theirs[-5:]) < 0.95 * np.mean(theirs[:5])
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize(
    "extra",
    [
        {"clipnorm": 0.05},
        {"clipvalue": 0.002},
        {"global_clipnorm": 0.1},
        {"weight_decay": 0.02},
        {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
        {"gradient_accumulation_steps": 3},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_options_of_all_optimizers(extra):
    def options(package: Any) -> dict[str, Any]:
        optimizer = package.optimizers.Adam(0.003, **extra)
        return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}

    theirs, ours = curves(convolutional, LABELS, options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_several_outputs_with_a_schedule():
    def options(package: Any) -> dict[str, Any]:
        rate = package.optimizers.schedules.CosineDecay(0.02, 80)
        return {
            "optimizer": package.optimizers.SGD(rate),
            "loss": ["sparse_categorical_crossentropy", "huber"],
            "loss_weights": [1.0, 0.3],
        }

    theirs, ours = curves(two_tasks, [LABELS, NUMBERS], options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_fit_and_evaluate_give_the_same_history():
    histories, results = [], []
    weights = convolutional(keras).get_weights()
    for package in (keras, keraunos):
        model = convolutional(package)
        model.set_weights(weights)
        model.compile(
            package.optimizers.Adam(0.002),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            weighted_metrics=["sparse_top_k_categorical_accuracy"],
        )
        history = model.fit(
            IMAGES, LABELS, batch_size=12, epochs=3, shuffle=False, validation_split=0.2,
            class_weight={0: 2.0, 1: 0.5, 2: 1.0, 3: 1.0}, verbose=0,
        )  # fmt: skip
        histories.append(history.history)
        results.append(model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True))
    assert list(histories[0]) == list(histories[1])
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-3, err_msg=name)
    assert results[1] == pytest.approx(results[0], rel=1e-3)
