"""Losses and metrics of ``compile`` against Keras's: totals, names and their order."""

import numpy as np
import pytest
from twins import assert_close, draw, keras

from keraunos.frontend.training.compile_loss import CompileLoss
from keraunos.frontend.training.compile_metrics import CompileMetrics

utils = pytest.importorskip("keras.src.trainers.compile_utils")

A, B = draw((6, 4), seed=1), draw((6, 4), seed=2)
TRUE_A, TRUE_B = draw((6, 4), seed=3), draw((6, 4), seed=4)
WEIGHTS = np.abs(draw((6,), seed=5))
CLASSES = draw((6,), "int32", 6, 4)
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
BITS = draw((6, 1), "int32", 7, 2)


def tensors(structure):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, structure)


LISTED, NAMED = ([TRUE_A, TRUE_B], [A, B]), ({"a": TRUE_A, "b": TRUE_B}, {"a": A, "b": B})


@pytest.mark.parametrize(("data", "names", "loss", "loss_weights"), [
    ((TRUE_A, A), ["a"], "mse", None),
    ((TRUE_A, A), ["a"], "mse", 0.5),
    ((CLASSES, A), ["a"], "crossentropy", None),
    ((ONE_HOT, A), ["a"], "crossentropy", None),
    ((BITS, A[:, :1]), ["a"], "crossentropy", None),
    (LISTED, ["a", "b"], "mse", None),
    (LISTED, ["a", "b"], ["mse", "mae"], [2.0, 0.5]),
    (LISTED, ["a", "b"], {"a": "mse", "b": "huber"}, {"a": 2.0, "b": 0.5}),
    (LISTED, ["a", "b"], [None, "mae"], None),
    (NAMED, ["x", "y"], {"a": "mse", "b": "mae"}, None),
    (NAMED, ["x", "y"], {"b": "mae"}, None),
    (({"a": [TRUE_A], "b": TRUE_B}, {"a": [A], "b": B}), ["x", "y"], "mse", None),
])  # fmt: skip
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_losses(data, names, loss, loss_weights, weights):
    ours, theirs = CompileLoss(loss, loss_weights, names), utils.CompileLoss(
        loss, loss_weights, output_names=names
    )  # fmt: skip
    total, parts = ours(*data, weights)
    assert_close(total, np.asarray(theirs(*tensors(data), weights)))
    if len(parts) > 1:
        assert [f"{name}_loss" for name in parts] == [metric.name for metric in theirs.metrics]
        for value, metric in zip(parts.values(), theirs.metrics, strict=True):
            assert_close(value, np.asarray(metric.result()))


@pytest.mark.parametrize(("data", "names", "metrics", "weighted"), [
    ((TRUE_A, A), ["a"], ["mae", "mse"], ["mae"]),
    ((TRUE_A, A), ["a"], ["mae", "mae"], ["mae", "mae", "mse", "mse"]),
    ((CLASSES, A), ["a"], ["acc"], ["accuracy"]),
    ((ONE_HOT, A), ["a"], ["accuracy"], None),
    ((BITS, A[:, :1]), ["a"], ["accuracy", "AUC"], None),
    ((TRUE_A, A), ["a"], {"a": ["mae", "mse"]}, None),
    (LISTED, ["a", "b"], ["mae", "mse"], ["mse", "mse"]),
    (LISTED, ["a", "b"], [["mae", "mse"], []], None),
    (LISTED, ["a", "b"], {"b": "mae"}, {"b": ["mae", "mse"], "a": "mae"}),
    (LISTED, None, ["mae", "mae"], ["mae", "mse"]),
    (NAMED, ["x", "y"], {"b": ["mae"], "a": "mse"}, ["mae", "mae"]),
    (LISTED, ["a", "b"], [None, keras.losses.mean_absolute_error.__name__], None),
])  # fmt: skip
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_metrics(data, names, metrics, weighted, weights):
    ours = CompileMetrics(metrics, weighted, names)
    theirs = utils.CompileMetrics(metrics, weighted, output_names=names)
    ours.update_state(*data, weights)
    theirs.update_state(*tensors(data), weights)
    expected = theirs.result()
    assert list(ours.result()) == list(expected)
    for name, value in ours.result().items():
        assert_close(value, np.asarray(expected[name]))
