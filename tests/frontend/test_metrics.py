"""Metrics: values worked out by hand, states, weights, masks, names, errors."""

import numpy as np
import pytest

import keraunos
from keraunos import metrics, ops
from keraunos.frontend.programs import TracedProgram
from keraunos.frontend.tracing import Spec, trace_call

TRUE, PRED = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9], "float32")
ROWS = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]], "float32")
LABELS = np.array([2, 0, 2])
ONE_HOT = np.eye(3, dtype="float32")[LABELS]


@pytest.mark.parametrize(("metric", "arguments", "expected"), [
    (metrics.Mean(), ([1.0, 3, 5, 7],), 4),
    (metrics.Mean(), ([1.0, 3, 5, 7], [1, 1, 0, 0]), 2),
    (metrics.Mean(), (7.0,), 7),
    (metrics.Mean(), ([[1.0, 3], [5, 7]], [1, 0]), 2),
    (metrics.Sum(), ([[1.0, 3], [5, 7]], [1, 2]), 28),
    (metrics.RootMeanSquaredError(), ([[0.0, 1]], [[3.0, 5]]), np.sqrt(12.5)),
    (metrics.MeanMetricWrapper(lambda t, p: ops.abs(t - p)), ([1.0, 2], [1.0, 5], [1, 3]), 2.25),
    (metrics.CosineSimilarity(), ([[0.0, 1], [1, 1]], [[1.0, 0], [2, 2]]), 0.5),
    (metrics.Accuracy(), ([1, 2, 3, 4], [1, 2, 0, 4]), 0.75),
    (metrics.BinaryAccuracy(), (TRUE, PRED), 0.5),
    (metrics.BinaryAccuracy(threshold=0.3), (TRUE, PRED), 0.75),
    (metrics.CategoricalAccuracy(), (ONE_HOT, ROWS), 2 / 3),
    (metrics.SparseCategoricalAccuracy(), (LABELS, ROWS), 2 / 3),
    (metrics.SparseCategoricalAccuracy(), (LABELS[:, None], ROWS, [1, 0, 1]), 0.5),
    (metrics.TopKCategoricalAccuracy(2), (ONE_HOT, ROWS), 1),
    (metrics.SparseTopKCategoricalAccuracy(1), ([1, 1, 1], ROWS), 1 / 3),
    (metrics.TruePositives(), (TRUE, PRED), 1),
    (metrics.FalsePositives(), (TRUE, PRED, [1, 5, 1, 1]), 5),
    (metrics.TrueNegatives([0.05, 0.5]), (TRUE, PRED), [0, 1]),
    (metrics.FalseNegatives(), (TRUE, PRED), 1),
    (metrics.Precision(0.3), (TRUE, PRED), 2 / 3),
    (metrics.Recall([0.3, 0.5]), (TRUE, PRED), [1, 0.5]),
    (metrics.Precision(top_k=1), (ONE_HOT, ROWS), 2 / 3),
    (metrics.Recall(class_id=2, thresholds=0.3), (ONE_HOT, ROWS), 0.5),
    (metrics.Precision(), ([0, 0], [0.1, 0.2]), 0),
    (metrics.AUC(), (TRUE, PRED), 0.75),
    (metrics.AUC(num_thresholds=3), ([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]), 0.75),
    (metrics.SensitivityAtSpecificity(0.5), (TRUE, PRED), 1),
    (metrics.SpecificityAtSensitivity(0.9), (TRUE, PRED), 0.5),
    (metrics.PrecisionAtRecall(0.4), (TRUE, PRED), 1),
    (metrics.RecallAtPrecision(0.9), (TRUE, PRED), 0.5),
    (metrics.F1Score(), (ONE_HOT, ROWS), [1, 0, 2 / 3]),
    (metrics.F1Score("macro"), (ONE_HOT, ROWS), 5 / 9),
    (metrics.FBetaScore("micro", 2.0), (ONE_HOT, ROWS), 2 / 3),
    (metrics.R2Score(), ([[1.0], [3]], [[1.0], [2]]), 0.5),
    (metrics.IoU(2, [0]), ([0, 0, 1, 1], [0, 1, 0, 1]), 1 / 3),
    (metrics.IoU(2, [0], dtype="float32"), ([0, 0, 1], [0, 1, 0], [0.3, 0.6, 0.3]), 0.25),
    (metrics.MeanIoU(3, ignore_class=2), ([0, 0, 1, 2], [0, 1, 1, 1]), 0.5),
    (metrics.BinaryIoU([1], 0.5), ([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 0.5),
    (metrics.OneHotMeanIoU(3), (ONE_HOT, ROWS), 0.5),
    (metrics.LogCoshError(), ([[0.0]], [[0.0]]), 0),
], ids=lambda value: getattr(value, "name", ""))  # fmt: skip
def test_values(metric, arguments, expected):
    assert np.allclose(metric(*map(np.asarray, arguments)), expected, atol=1e-6)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 2, 200), rng.random(200).astype("float32")
    above = pred[true == 1][:, None] > pred[true == 0][None, :]
    assert np.allclose(metrics.AUC(2000)(true, pred), above.mean(), atol=2e-3)


def test_batches_add_up():
    metric = metrics.Mean()
    metric.update_state([1.0, 2, 3])
    metric.update_state([10.0])
    assert float(metric.result()) == 4
    assert [(v.path, float(v)) for v in metric.variables] == [("mean/total", 16), ("mean/count", 4)]
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_mask_of_the_predictions_drops_samples():
    metric = metrics.MeanAbsoluteError()

    def step(true, pred, mask):
        pred.mask = mask
        metric.update_state(true, pred)
        return metric.result()

    specs = (Spec((None, 2)), Spec((None, 2)), Spec((None,), "bool"))
    program = TracedProgram(trace_call(step, specs))
    true, pred = np.zeros((2, 2), "float32"), np.array([[1, 1], [5, 5]], "float32")
    (result,) = program(true, pred, np.array([True, False]))
    assert float(result) == 1


@pytest.mark.parametrize("make", [
    lambda: metrics.AUC(multi_label=True), lambda: metrics.F1Score(), lambda: metrics.R2Score(),
], ids=["AUC", "F1Score", "R2Score"])  # fmt: skip
def test_variables_made_by_the_first_batch(make):
    """They are made while the step is traced, and kept by what comes after."""
    compiled, eager = make(), make()
    count = len(compiled.variables)
    assert float(compiled.result()) == 0
    program = TracedProgram(
        trace_call(lambda t, p: compiled(t, p), (Spec((None, 3)), Spec((None, 3))))
    )
    assert len(compiled.variables) > count
    for part in (slice(0, 1), slice(1, 3)):
        (result,) = program(ONE_HOT[part], ROWS[part])
        expected = eager(ONE_HOT[part], ROWS[part])
    assert np.allclose(result, expected, atol=1e-6)


class Spread(metrics.Metric):
    """The largest less the smallest value, of metrics and variables of its own."""

    def __init__(self, name="spread", **kwargs):
        super().__init__(name=name, **kwargs)
        self.inner = metrics.Sum()
        self.top = self.add_weight(shape=(), initializer="zeros", name="top")

    def update_state(self, values, sample_weight=None):
        self.top.assign(ops.maximum(self.top, ops.max(values)))
        self.inner.update_state(ops.min(values))

    def result(self):
        return {"spread": self.top - self.inner.result()}


def test_own_metrics():
    metric = Spread(dtype="float32")
    assert float(metric([1.0, 5, 3])["spread"]) == 4
    assert [variable.path for variable in metric.variables] == ["spread/top", "sum/total"]
    described = metrics.serialize(metric)
    assert described["config"] == {"name": "spread", "dtype": "float32"}
    assert isinstance(metrics.deserialize(described, {"Spread": Spread}), Spread)
    metric.reset_state()
    assert not any(float(variable) for variable in metric.variables)


def test_a_wrapper_comes_back_with_its_function():
    wrapper = metrics.MeanMetricWrapper(metrics.binary_accuracy, "wrapped", threshold=0.3)
    again = metrics.deserialize(metrics.serialize(wrapper))
    assert (again.fn, again.options) == (metrics.binary_accuracy, {"threshold": 0.3})


def test_finding_metrics():
    assert isinstance(metrics.get("mse"), metrics.MeanSquaredError)
    assert isinstance(metrics.get("f1_score"), metrics.F1Score)
    assert isinstance(metrics.get({"class_name": "AUC", "config": {"curve": "PR"}}), metrics.AUC)
    assert isinstance(metrics.get(metrics.Recall), metrics.Recall)
    assert metrics.get("huber") is keraunos.losses.huber
    assert metrics.get(None) is None


def test_fractions_of_weights_in_a_matrix_of_integers_are_warned_of():
    with pytest.warns(UserWarning, match='dtype="float32" to keep fractions'):
        metrics.MeanIoU(2)(np.array([0, 1]), np.array([0, 1]), np.array([0.5, 1.5]))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: metrics.get("accuracies"), "unknown metric.*Did you mean"),
    (lambda: metrics.get(5), "expected a metric"),
    (lambda: metrics.Mean()([1.0, 2], [1.0, 2, 3]), r"expected sample_weight of shape \(2,\)"),
    (lambda: metrics.SparseCategoricalAccuracy()(ONE_HOT, ROWS), "take the metric without"),
    (lambda: metrics.CategoricalAccuracy()(LABELS, ROWS), "take the sparse metric"),
    (lambda: metrics.Precision()(LABELS, ROWS), "turn them into one-hot targets"),
    (lambda: metrics.Precision(1.5), "expected thresholds from 0 to 1; received 1.5"),
    (lambda: metrics.Recall(class_id=3)(ONE_HOT, ROWS), "expected class_id as an index"),
    (lambda: metrics.AUC(curve="ROCK"), "expected curve out of 'ROC'.*received 'ROCK'"),
    (lambda: metrics.AUC(num_thresholds=1), "expected num_thresholds of 2 or more"),
    (lambda: metrics.AUC(num_labels=3), "only with multi_label=True"),
    (lambda: metrics.AUC(multi_label=True)(TRUE, PRED), r"shape \(samples, labels\)"),
    (lambda: metrics.PrecisionAtRecall(2), "recall as a number between 0 and 1; received 2"),
    (lambda: metrics.F1Score("mean"), "expected average out of"),
    (lambda: metrics.FBetaScore(beta=2), "expected beta as a float above 0; received 2"),
    (lambda: metrics.F1Score(threshold=1.5), "expected threshold as a float"),
    (lambda: metrics.F1Score()(LABELS, ROWS), r"expected y_true and y_pred of shape \(samples"),
    (lambda: metrics.IoU(2, [2]), r"expected target_class_ids from 0 to 1; received \[2\]"),
    (lambda: metrics.IoU(3, [2])(LABELS, ROWS), "sparse_y_true and sparse_y_pred say"),
    (lambda: metrics.R2Score("sum"), "expected class_aggregation out of"),
    (lambda: metrics.R2Score(num_regressors=-1), "expected num_regressors of 0 or more"),
    (lambda: metrics.deserialize("Meann"), "Did you mean"),
])  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_to_be_defined():
    for method in ("update_state", "result"):
        with pytest.raises(NotImplementedError, match=f"needs an? {method}"):
            getattr(metrics.Metric(), method)()
