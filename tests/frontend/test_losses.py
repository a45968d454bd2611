"""Losses: values worked out by hand, weights, masks, reductions, names, errors."""

import itertools
import math

import numpy as np
import pytest

import keraunos
from keraunos import losses, ops
from keraunos.frontend.scope import Scope, entered
from keraunos.frontend.tensor import KerasTensor
from keraunos.frontend.tracing import Spec, trace_call

TRUE = np.array([[0, 1], [2, 4]], "float32")
PRED = np.array([[1, 1], [0, 5]], "float32")
LOG2 = math.log(2)


@pytest.mark.parametrize(("name", "true", "pred", "expected"), [
    ("mse", TRUE, PRED, [0.5, 2.5]),
    ("mae", TRUE, PRED, [0.5, 1.5]),
    ("mape", TRUE[1:], PRED[1:], [62.5]),
    ("msle", TRUE[1:], PRED[1:], [(math.log(3) ** 2 + math.log(6 / 5) ** 2) / 2]),
    ("cosine_similarity", [[0.0, 2], [3, 4]], [[5.0, 0], [6, 8]], [0, -1]),
    ("huber", [[0.0, 0]], [[0.5, 3]], [(0.125 + 2.5) / 2]),
    ("log_cosh", [[0.0]], [[1000.0]], [1000 - LOG2]),
    ("hinge", [[1.0, -1]], [[0.5, -3]], [0.25]),
    ("hinge", [[1.0, 0]], [[0.5, -3]], [0.25]),
    ("squared_hinge", [[1.0, -1]], [[0.5, -3]], [0.125]),
    ("categorical_hinge", [[0.0, 1, 0]], [[0.5, 0.25, 0.0]], [1.25]),
    ("kld", [[0.5, 0.5]], [[0.25, 0.75]], [0.5 * math.log(2) + 0.5 * math.log(2 / 3)]),
    ("poisson", [[2.0]], [[1.0]], [1.0]),
    ("bce", [[1.0, 0]], [[0.5, 0.75]], [(LOG2 + math.log(4)) / 2]),
    ("binary_focal_crossentropy", [[1.0]], [[0.5]], [0.25 * LOG2]),
    ("categorical_crossentropy", [[0.0, 1]], [[0.5, 0.5]], [LOG2]),
    ("categorical_crossentropy", [[0.0, 1]], [[2.0, 6.0]], [math.log(4 / 3)]),
    ("categorical_focal_crossentropy", [[0.0, 1]], [[0.5, 0.5]], [0.0625 * LOG2]),
    ("sparse_categorical_crossentropy", [1, 0], [[0.5, 0.5], [1.0, 3.0]], [LOG2, math.log(4)]),
    ("dice", [[1.0, 0]], [[1.0, 0.5]], 0.2),
    ("tversky", [[1.0, 0]], [[1.0, 0.5]], 0.2),
])  # fmt: skip
def test_values(name, true, pred, expected):
    assert np.allclose(losses.get(name)(np.array(true), np.array(pred)), expected, atol=1e-6)


def test_probabilities_are_held_off_zero_and_one():
    wrong = losses.binary_crossentropy([[1.0]], [[0.0]])
    assert np.allclose(wrong, -math.log(1e-7))
    assert np.allclose(losses.sparse_categorical_crossentropy([0], [[0.0, 1.0]]), wrong)


def test_logits_are_not():
    assert np.allclose(losses.binary_crossentropy([[1.0]], [[-500.0]], from_logits=True), 500)
    assert np.allclose(losses.sparse_categorical_crossentropy([0], [[-500.0, 0]], True), 500)


@pytest.mark.parametrize("labels", [
    [1, 0], [[1], [0]], [1.0, 0.0], np.array([1, 0], "uint8"), np.array([[1], [0]], "int64"),
], ids=lambda labels: f"{np.asarray(labels).dtype}{np.shape(labels)}")  # fmt: skip
def test_sparse_labels_of_any_kind(labels):
    loss = losses.SparseCategoricalCrossentropy(reduction=None)
    assert np.allclose(loss(labels, [[0.5, 0.5], [0.25, 0.75]]), [LOG2, math.log(4)])


def test_smoothing():
    certain = losses.binary_crossentropy([[1.0]], [[0.25]], label_smoothing=1.0)
    assert np.allclose(certain, -(math.log(0.25) + math.log(0.75)) / 2)
    even = losses.categorical_crossentropy([[1.0, 0]], [[0.25, 0.75]], label_smoothing=1.0)
    assert np.allclose(even, certain)


@pytest.mark.parametrize(("reduction", "expected"), [
    ("sum_over_batch_size", (0.5 * 3 + 2.5) / 2), ("mean", (0.5 * 3 + 2.5) / 2), ("sum", 4.0),
    ("mean_with_sample_weight", 1.0), ("none", [1.5, 2.5]), (None, [1.5, 2.5]),
])  # fmt: skip
def test_reductions(reduction, expected):
    loss = losses.MeanSquaredError(reduction)
    weights = np.array([3.0, 1.0])
    assert np.allclose(loss(TRUE, PRED, weights), expected)
    assert np.allclose(np.ravel(loss(TRUE, PRED, weights[:, None])), expected)
    if reduction == "mean":
        assert np.allclose(loss(TRUE, PRED), 1.5)


def test_weights_of_first_axes_count_for_all_that_follows():
    true, pred = np.zeros((2, 3, 4)), np.ones((2, 3, 4))
    values = losses.MeanSquaredError("none")(true, pred, [1.0, 5.0])
    assert np.array_equal(values, [[1] * 3, [5] * 3])


def test_ignored_classes_count_neither_above_nor_below():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert np.allclose(loss([1, -1, -1], [[0.5, 0.5]] * 3), LOG2)
    assert np.allclose(loss([-1], [[0.5, 0.5]]), 0)


def test_a_mask_of_the_predictions():
    def masked(true, pred, mask):
        pred.mask = mask
        return losses.MeanSquaredError()(true, pred)

    run = keraunos.compile(masked, TRUE, PRED, np.array([True, False]))
    assert np.allclose(run(TRUE, PRED, np.array([True, False])), 0.5)
    assert np.allclose(run(TRUE, PRED, np.array([True, True])), 1.5)
    assert np.allclose(run(TRUE, PRED, np.array([False, False])), 0)


def spread_over(steps, labels):
    """All ways to say labels in so many steps, blanks (0) and repetitions left out."""
    for path in itertools.product(range(3), repeat=steps):
        said = [label for label, _ in itertools.groupby(path) if label]
        if said == labels:
            yield path


@pytest.mark.parametrize("labels", [[1], [1, 2], [1, 1], [2, 1, 2]], ids=str)
def test_ctc_sums_over_all_ways_to_spread_labels(labels):
    logits = np.random.default_rng(0).standard_normal((1, 5, 3)).astype("float32")
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True)
    ways = [shares[np.arange(5), path].prod() for path in spread_over(5, labels)]
    expected = -np.log(np.sum(ways))
    assert np.allclose(losses.ctc([labels], logits), expected, rtol=1e-5)
    padded = np.array([[*labels, 0, 0]], "float32")
    assert np.allclose(losses.CTC()(padded, logits), expected, rtol=1e-5)


def test_one_program_serves_any_batch():
    loss = losses.CategoricalCrossentropy(from_logits=True)
    traced = trace_call(loss, (Spec((None, 3)), Spec((None, 3)), Spec((None,))))
    run = keraunos.compile(traced.graph)
    for count in (1, 7):
        true = np.eye(3, dtype="float32")[np.arange(count) % 3]
        weights = np.arange(count, dtype="float32")
        expected = weights.mean() * math.log(3)
        assert np.allclose(run(true, np.zeros((count, 3), "float32"), weights), expected)


def test_functions_join_functional_models():
    x = keraunos.Input((2,))
    model = keraunos.Model(x, losses.mean_squared_error(x, ops.zeros_like(x)))
    assert np.allclose(model.predict(PRED, verbose=0), [1, 12.5])


def double(y_true, y_pred):
    """Twice the error."""
    return 2 * ops.absolute(y_true - y_pred)


class Doubled(losses.Loss):
    """As ``double``."""

    def call(self, y_true, y_pred):
        return double(y_true, y_pred)


def test_own_functions_and_classes():
    assert losses.get(double) is double
    wrapped = losses.LossFunctionWrapper(double, name="double")
    assert np.allclose(wrapped(TRUE, PRED), 2)
    assert np.allclose(Doubled()(TRUE, PRED), 2)
    assert isinstance(losses.get(Doubled), Doubled)


def test_own_ones_come_back_from_their_configs():
    config = losses.serialize(losses.LossFunctionWrapper(double, "sum"))
    again = losses.deserialize(config, {"double": double})
    assert (again.fn, again.reduction) == (double, "sum")
    described = losses.serialize(Doubled(name="twice"))
    assert described["registered_name"] == "Doubled"
    assert losses.deserialize(described, {"Doubled": Doubled}).name == "twice"
    with pytest.raises(ValueError, match="unknown loss: received 'double'"):
        losses.deserialize(config)


@pytest.mark.parametrize("name", ["mse", "MSE", "mean_squared_error"])
def test_short_names(name):
    assert losses.get(name) is losses.mean_squared_error


def test_names_of_classes_make_instances():
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    config = {"class_name": "Huber", "config": {"delta": 3.0}}
    assert losses.get(config).options == {"delta": 3.0}
    assert losses.get(None) is None


@pytest.mark.parametrize(("call", "message"), [
    (lambda: losses.get("mze"), "unknown loss: received 'mze'. Did you mean"),
    (lambda: losses.get(3), "expected a loss: a name such as 'mse'.*received 3"),
    (lambda: losses.Huber(reduction="max"), "expected reduction out of .*received 'max'"),
    (lambda: losses.CategoricalGeneralizedCrossEntropy(1.5), "expected q between 0 and 1"),
    (lambda: losses.mean_squared_error(TRUE, np.zeros((2, 3))),
     r"mean_squared_error: expected y_true of the shape of y_pred, \(2, 3\); received \(2, 2\)"),
    (lambda: losses.mean_squared_error(TRUE[0], np.zeros((2, 3, 4))), r"received \(2,\)"),
    (lambda: losses.categorical_crossentropy([1, 0], PRED), r"take the sparse loss"),
    (lambda: losses.categorical_crossentropy(TRUE, PRED, axis=2), "expected axis as an int"),
    (lambda: losses.sparse_categorical_crossentropy(TRUE, PRED), "For one-hot targets take"),
    (lambda: losses.sparse_categorical_crossentropy([1], PRED), r"shape \(2,\).*received \(1,\)"),
    (lambda: losses.ctc([1], np.zeros((1, 3, 2))), r"ctc: expected y_true of shape \(N, labels"),
    (lambda: losses.Huber()(TRUE, PRED, [1.0, 2, 3]), r"expected sample_weight .*\(3,\)"),
])  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_single_class_is_warned_of():
    with pytest.warns(UserWarning, match="always 0"):
        losses.categorical_crossentropy([[1.0]], [[0.3]])


def test_inside_a_layer_a_loss_is_a_tensor():
    with entered(Scope()):
        value = losses.MeanSquaredError()(KerasTensor((None, 3)), KerasTensor((None, 3)))
    assert isinstance(value, KerasTensor)
    assert value.shape == ()
