"""Whole trainings, as in Keras: the history, the weights afterwards, and what evaluate returns."""

import numpy as np
import pytest
from twins import keras

import keraunos

RANDOM = np.random.default_rng(4)
X = RANDOM.standard_normal((50, 5)).astype("float32")
LABELS = RANDOM.integers(0, 3, 50)
TARGETS = np.tanh(X @ RANDOM.standard_normal((5, 2))).astype("float32")
WEIGHTS = RANDOM.random(50).astype("float32")


def classifier(library):
    return library.Sequential([
        library.Input((5,)),
        library.layers.Dense(8, activation="tanh"),
        library.layers.Dense(3, activation="softmax"),
    ])  # fmt: skip


def regressor(library):
    return library.Sequential([
        library.Input((5,)), library.layers.Dense(7, activation="tanh"), library.layers.Dense(2),
    ])  # fmt: skip


def forked(library):
    x = library.Input((5,))
    hidden = library.layers.Dense(6, activation="tanh")(x)
    first = library.layers.Dense(2, name="first")(hidden)
    second = library.layers.Dense(3, activation="softmax", name="second")(hidden)
    return library.Model(x, {"first": first, "second": second})


def twins(make, **compiled):
    """A model of ours and one of Keras's, with the same weights."""
    mine, other = make(keraunos), make(keras)
    mine.set_weights(other.get_weights())
    mine.compile(**compiled)
    other.compile(**compiled)
    return mine, other


CLASSES = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
NUMBERS = {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}
BOTH = {
    "optimizer": "adam",
    "loss": {"first": "mse", "second": "sparse_categorical_crossentropy"},
    "metrics": {"first": ["mae"], "second": ["accuracy"]},
}
TWO = {"first": TARGETS, "second": LABELS}


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(index * 12, index * 12 + 12)
        return X[rows], LABELS[rows]


TRAININGS = {
    "classes": (classifier, CLASSES, lambda: {"x": X, "y": LABELS}),
    "batches that do not divide": (
        classifier, CLASSES, lambda: {"x": X, "y": LABELS, "batch_size": 16},
    ),
    "weighted classes": (
        classifier, CLASSES, lambda: {"x": X, "y": LABELS, "class_weight": {0: 3.0, 1: 0.25}},
    ),
    "weighted samples": (
        classifier, {**CLASSES, "weighted_metrics": ["accuracy"]},
        lambda: {"x": X, "y": LABELS, "sample_weight": WEIGHTS, "batch_size": 16},
    ),
    "a split": (
        classifier, CLASSES, lambda: {"x": X, "y": LABELS, "validation_split": 0.3},
    ),
    "weighted validation": (
        regressor, NUMBERS,
        lambda: {"x": X, "y": TARGETS, "validation_data": (X[:20], TARGETS[:20], WEIGHTS[:20])},
    ),
    "a sequence": (classifier, CLASSES, lambda: {"x": Sequence()}),
    "a generator": (
        regressor, NUMBERS,
        lambda: {
            "x": ((X[i : i + 9], TARGETS[i : i + 9]) for i in range(40)), "steps_per_epoch": 5,
        },
    ),
    "two outputs": (forked, BOTH, lambda: {"x": X, "y": TWO, "validation_split": 0.2}),
    "two weighted outputs": (
        forked, BOTH, lambda: {
            "x": X, "y": TWO, "sample_weight": {"first": WEIGHTS, "second": WEIGHTS**2},
        },
    ),
    "float64": (
        regressor, NUMBERS, lambda: {"x": X.astype("float64"), "y": TARGETS.astype("float64")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training(name):
    make, compiled, data = TRAININGS[name]
    mine, other = twins(make, **compiled)
    options = {"epochs": 3, "shuffle": False, "verbose": 0}
    received = mine.fit(**data(), **options)
    wanted = other.fit(**data(), **options)
    assert list(received.history) == list(wanted.history)
    for key, values in wanted.history.items():
        np.testing.assert_allclose(received.history[key], values, rtol=2e-4, atol=1e-5)
    assert received.epoch == wanted.epoch
    assert received.params == wanted.params
    for weight, reference in zip(mine.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, reference, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("make", "compiled", "y"), [
    (classifier, CLASSES, LABELS), (regressor, NUMBERS, TARGETS), (forked, BOTH, TWO),
    (regressor, {"loss": "mse"}, TARGETS),
])  # fmt: skip
def test_an_evaluation(make, compiled, y):
    mine, other = twins(make, **compiled)
    for options in ({}, {"sample_weight": WEIGHTS}, {"batch_size": 16, "steps": 2}):
        received = mine.evaluate(X, y, verbose=0, **options)
        wanted = other.evaluate(X, y, verbose=0, **options)
        np.testing.assert_allclose(received, wanted, rtol=1e-4, atol=1e-6)
        received = mine.evaluate(X, y, verbose=0, return_dict=True, **options)
        wanted = other.evaluate(X, y, verbose=0, return_dict=True, **options)
        assert list(received) == list(wanted)
        for key, value in wanted.items():
            np.testing.assert_allclose(received[key], value, rtol=1e-4, atol=1e-6)
