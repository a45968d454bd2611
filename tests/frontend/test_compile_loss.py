"""What compile takes as losses and metrics, brought into order for one output and for several."""

import numpy as np
import pytest

from keraunos import losses, metrics, ops
from keraunos.frontend.ids import checks_of
from keraunos.frontend.programs import TracedProgram
from keraunos.frontend.tracing import Spec, trace_call
from keraunos.frontend.training.compile_loss import CompileLoss
from keraunos.frontend.training.compile_metrics import CompileMetrics

ZEROS, ONES, TWOS = (np.full((4, 3), value, "float32") for value in (0, 1, 2))
LABELS = np.array([0, 1, 2, 1])
SHARES = np.full((4, 3), 1 / 3, "float32")
PAIR, TRUE_PAIR = [ONES, TWOS], [ZEROS, ZEROS]


def error(y_true, y_pred):
    """The mean error of a sample."""
    return ops.mean(y_pred - y_true, -1)


@pytest.mark.parametrize(("loss", "name", "expected"), [
    ("mse", "mse", 4),
    ("mean_absolute_error", "mean_absolute_error", 2),
    (losses.MeanSquaredError(reduction="sum"), "mean_squared_error", 16),
    (losses.MeanSquaredError, "mean_squared_error", 4),
    (losses.mean_absolute_error, "mean_absolute_error", 2),
    (error, "error", 2),
    ({"class_name": "Huber", "config": {"delta": 1.0}}, "huber_loss", 1.5),
    (["mse"], "mse", 4),
])  # fmt: skip
def test_one_loss(loss, name, expected):
    total, parts = CompileLoss(loss)(ZEROS, TWOS)
    assert np.allclose(total, expected)
    assert {key: float(value) for key, value in parts.items()} == {name: pytest.approx(expected)}


def test_an_output_gives_its_name():
    assert list(CompileLoss("mse", output_names=["out"])(ZEROS, ONES)[1]) == ["out"]
    assert list(CompileLoss({"out": "mse"}, output_names=["out"])(ZEROS, ONES)[1]) == ["out"]
    assert list(CompileLoss("mse")({"out": ZEROS}, {"out": ONES})[1]) == ["out"]


def test_weights_of_samples():
    weights = np.array([1.0, 0, 0, 0], "float32")
    assert np.allclose(CompileLoss("mse")(ZEROS, TWOS, weights)[0], 1)
    both = CompileLoss("mse")(TRUE_PAIR, PAIR, weights)
    each = CompileLoss("mse")(TRUE_PAIR, PAIR, [weights, None])
    assert np.allclose([both[0], each[0]], [0.25 + 1, 0.25 + 4])


@pytest.mark.parametrize(("loss", "loss_weights", "parts", "total"), [
    ("mse", None, {"a": 1, "b": 4}, 5),
    (["mse", "mae"], None, {"a": 1, "b": 2}, 3),
    (["mse", "mae"], [2, 0.5], {"a": 1, "b": 2}, 3),
    ({"a": "mae", "b": "mse"}, {"b": 10, "a": 1}, {"a": 1, "b": 4}, 41),
    ({"b": "mse"}, None, {"b": 4}, 4),
    ([None, "mse"], [None, 3], {"b": 4}, 12),
    ({"a": error, "b": losses.MeanSquaredError(name="other")}, None, {"a": 1, "b": 4}, 5),
])  # fmt: skip
def test_several_outputs(loss, loss_weights, parts, total):
    targets = TRUE_PAIR, {"a": ZEROS, "b": ZEROS}, tuple(TRUE_PAIR)
    for y_true in targets:
        compiled = CompileLoss(loss, loss_weights, ["a", "b"])
        value, found = compiled(y_true, PAIR)
        assert {name: float(part) for name, part in found.items()} == parts
        assert float(value) == total


def test_targets_of_outputs_with_a_loss_are_enough():
    compiled = CompileLoss({"b": "mse"}, output_names=["a", "b"])
    assert float(compiled([ZEROS], PAIR)[0]) == float(compiled({"b": ZEROS}, PAIR)[0]) == 4
    assert float(compiled(ZEROS, PAIR)[0]) == 4


def test_nested_outputs():
    y_pred = {"x": [ONES, TWOS], "y": {"z": TWOS}}
    y_true = {"x": [ZEROS, ZEROS], "y": {"z": ZEROS}}
    names = ["a", "b", "c"]
    total, parts = CompileLoss({"x": ["mse", "mae"], "y": {"z": "mse"}}, None, names)(
        y_true, y_pred
    )
    assert {name: float(part) for name, part in parts.items()} == {"x/a": 1, "x/b": 2, "y/z": 4}
    assert float(total) == 7
    assert list(CompileLoss({"x": "mse"})(y_true, y_pred)[1]) == ["x/0", "x/1"]


def test_outputs_without_names_are_called_by_their_losses():
    assert list(CompileLoss(["mse", "mae"])(TRUE_PAIR, PAIR)[1]) == ["mse", "mae"]
    assert list(CompileLoss("mse")(TRUE_PAIR, PAIR)[1]) == ["mse", "mse_1"]


@pytest.mark.parametrize(("y_true", "y_pred", "expected"), [
    (LABELS, SHARES, losses.sparse_categorical_crossentropy),
    (LABELS[:, None], SHARES, losses.sparse_categorical_crossentropy),
    (ONES, SHARES, losses.categorical_crossentropy),
    (ONES[:, :1], SHARES[:, :1], losses.binary_crossentropy),
])  # fmt: skip
def test_a_crossentropy_by_shape(y_true, y_pred, expected):
    for name in ("crossentropy", "ce"):
        compiled = CompileLoss(name)
        compiled.build(y_true, y_pred)
        assert compiled.entries[0].loss.fn is expected


def test_a_traced_step_for_any_batch():
    compiled = CompileLoss(["mse", "mae"], [1, 2], ["a", "b"])
    kept = CompileMetrics({"a": "mae"}, {"b": ["mse"]}, ["a", "b"])

    def step(y_true, y_pred, weights):
        kept.update_state(y_true, y_pred, weights)
        return *compiled(y_true, y_pred, weights), kept.result()

    spec = Spec((None, 3))
    program = TracedProgram(trace_call(step, ([spec, spec], [spec, spec], Spec((None,)))))
    for count in (2, 4):
        arrays = [each[:count] for each in (*TRUE_PAIR, *PAIR)]
        weights = np.full(count, 0.5, "float32")
        total, *parts, mae, mse = program(*arrays, weights)
        assert [float(each) for each in (total, *parts)] == [0.5 + 2, 0.5, 1]
        assert (float(mae), float(mse)) == (1, 4)
    assert float(kept.metrics[0].count.value) == 6
    assert list(kept.result()) == ["a_mae", "b_mse"]


@pytest.mark.parametrize(("given", "message"), [
    (("mze",), "unknown loss: received 'mze'"),
    (({"a": "mze"},), "unknown loss: received 'mze'"),
    ((3,), "expected a loss"),
    (("mse", "heavy"), "expected loss_weights as numbers; received 'heavy'"),
])  # fmt: skip
def test_errors_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        CompileLoss(*given)


@pytest.mark.parametrize(("loss", "loss_weights", "y_true", "message"), [
    (["mse"], None, TRUE_PAIR, r"loss: expected one entry for each output, 'a', 'bee'; received"),
    (["mse"] * 3, None, TRUE_PAIR, "loss: expected one entry"),
    ({"be": "mse"}, None, TRUE_PAIR, "loss: .*'a', 'bee'; received 'be'. Did you mean 'bee'?"),
    ("mse", [1], TRUE_PAIR, "loss_weights: expected one entry"),
    ("mse", {"c": 1}, TRUE_PAIR, "loss_weights: .*received 'c'"),
    ("mse", {"a": 1}, TRUE_PAIR, "loss_weights: expected a number for each .*without 'bee'"),
    ({"a": None}, None, TRUE_PAIR, "expected a loss for some output"),
    ("mse", None, ZEROS, "expected targets for 2 outputs, 'a', 'bee'.*received one array"),
    ("mse", None, None, "expected targets for each output.*none for 'a', 'bee'"),
    ("mse", None, {"a": ZEROS}, "none for 'bee'. Pass them as y"),
    ("mse", None, {"a": ZEROS, "c": ZEROS}, "targets: .*received 'c'"),
    ("mse", None, [ZEROS] * 3, r"targets: expected one entry .*received \[\(4, 3\)"),
    ("mse", None, [LABELS, ZEROS], r'loss of output "a", shape \(4, 3\), with targets of shape'),
    ("categorical_crossentropy", None, [LABELS, ZEROS], "'sparse_categorical_crossentropy'"),
    ("sparse_categorical_crossentropy", None, TRUE_PAIR, "'categorical_crossentropy'"),
    (losses.MeanSquaredError("none"), None, TRUE_PAIR, r"one number; received shape \(4,\)"),
])  # fmt: skip
def test_errors_of_outputs(loss, loss_weights, y_true, message):
    with pytest.raises(ValueError, match=message):
        CompileLoss(loss, loss_weights, ["a", "bee"])(y_true, PAIR)


def test_errors_of_one_output():
    for loss, message in ((["mse", "mae"], "one entry"), ({"b": "mse"}, "received 'b'")):
        with pytest.raises(ValueError, match=message):
            CompileLoss(loss, None, ["a"])(ZEROS, ONES)
    with pytest.raises(ValueError, match=r"expected a list; received 'b'"):
        CompileLoss({"b": "mse"})(ZEROS, ONES)
    with pytest.raises(ValueError, match=r"targets: .*'a'; received 'b'"):
        CompileLoss("mse", None, ["a"])({"b": ZEROS}, ONES)


# Metrics


@pytest.mark.parametrize(("y_true", "y_pred", "expected"), [
    (LABELS, SHARES, metrics.SparseCategoricalAccuracy),
    (LABELS[:, None], SHARES, metrics.SparseCategoricalAccuracy),
    (ONES, SHARES, metrics.CategoricalAccuracy),
    (ONES[:, :1], SHARES[:, :1], metrics.BinaryAccuracy),
])  # fmt: skip
def test_accuracy_by_shape(y_true, y_pred, expected):
    for name in ("accuracy", "acc", "Accuracy"):
        compiled = CompileMetrics([name])
        compiled.build(y_true, y_pred)
        assert type(compiled.metrics[0]) is expected
        assert compiled.metrics[0].name == name


@pytest.mark.parametrize(("given", "weighted", "names"), [
    (["mae", "MeanSquaredError"], None, ["mae", "MeanSquaredError"]),
    ([error, losses.Huber(), metrics.AUC(name="area")], None, ["error", "huber_loss", "area"]),
    (["mae", "mae"], ["mae", "mae"], ["mae", "mae_1", "weighted_mae", "weighted_mae_1"]),
    ({"out": ["mae", "mse"]}, {"out": "mape"}, ["mae", "mse", "mape"]),
    (None, None, []),
    ([], [], []),
])  # fmt: skip
def test_names_of_one_output(given, weighted, names):
    compiled = CompileMetrics(given, weighted, ["out"])
    assert compiled.metrics == []
    compiled.update_state(ZEROS, SHARES)
    assert list(compiled.result()) == names
    assert len(compiled.metrics) == len(names)


@pytest.mark.parametrize(("given", "weighted", "names"), [
    (["mae", "mse"], None, ["a_mae", "b_mse"]),
    ([["mae", "mse"], []], None, ["a_mae", "a_mse"]),
    ({"b": ["mae"]}, None, ["b_mae"]),
    ([["mae"], "mse"], ["mae", None], ["a_mae", "b_mse", "a_weighted_mae"]),
])  # fmt: skip
def test_names_of_several(given, weighted, names):
    compiled = CompileMetrics(given, weighted, ["a", "b"])
    compiled.update_state(TRUE_PAIR, PAIR, np.ones(4))
    assert list(compiled.result()) == names


def test_only_weighted_metrics_see_weights():
    compiled = CompileMetrics(["mae"], ["mae"])
    compiled.update_state(ZEROS, ONES * np.arange(4)[:, None], np.array([0, 0, 0, 5.0]))
    assert {name: float(value) for name, value in compiled.result().items()} == {
        "mae": 1.5, "weighted_mae": 3,
    }  # fmt: skip
    compiled.reset_state()
    assert set(map(float, compiled.result().values())) == {0}
    assert len(compiled.variables) == 4


class Largest(metrics.Metric):
    """The largest prediction; takes no weights."""

    def __init__(self):
        super().__init__(name="largest")
        self.most = self.add_weight(name="most")

    def update_state(self, y_true, y_pred):
        self.most.assign(ops.maximum(self.most, ops.max(y_pred)))

    def result(self):
        return self.most


def test_own_metrics():
    compiled = CompileMetrics([Largest()])
    compiled.update_state(ZEROS, TWOS)
    compiled.update_state(ZEROS, ONES)
    assert float(compiled.result()["largest"]) == 2


@pytest.mark.parametrize(("given", "y_true", "message"), [
    (["mae"], TRUE_PAIR, "metrics: expected one entry for each output, 'a', 'b'"),
    ({"c": "mae"}, TRUE_PAIR, "metrics: expected keys among the outputs, 'a', 'b'; received 'c'"),
    ({"a": "mae"}, {"b": ZEROS}, "none for 'a'. Pass them as y"),
    ({"a": "acc"}, [ONES[:, :2], None], r'metric "a_acc" of predictions of shape \(4, 3\)'),
])  # fmt: skip
def test_errors_of_metrics(given, y_true, message):
    with pytest.raises(ValueError, match=message):
        CompileMetrics(given, None, ["a", "b"]).update_state(y_true, PAIR)


@pytest.mark.parametrize(("given", "message"), [
    ("mae", "metrics: expected a list or a dict of metrics; received 'mae'"),
    (["meow"], "unknown metric: received 'meow'"),
    ({"a": [3]}, "expected a metric"),
])  # fmt: skip
def test_errors_of_metrics_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        CompileMetrics(given)


# Labels

SPARSE = "sparse_categorical_crossentropy"


def check_labels(loss, labels, shape):
    """Raises as a step with this loss would, of predictions of a shape or of several."""
    several = isinstance(shape, list)
    targets = list(labels.values()) if isinstance(labels, dict) else labels
    arrays = targets if several else [targets]
    specs = [Spec((None, *each.shape[1:]), each.dtype.name, "y") for each in arrays]
    preds = [Spec(each, "float32") for each in (shape if several else [shape])]
    nested = (specs, preds) if several else (specs[0], preds[0])
    for check in checks_of(trace_call(loss, nested)):
        check(arrays)


@pytest.mark.parametrize("labels", [
    LABELS, LABELS[:, None], LABELS.astype("float32"), LABELS.astype("uint8"), LABELS[:0],
], ids=lambda labels: f"{labels.dtype}{labels.shape}")  # fmt: skip
def test_labels_in_range(labels):
    check_labels(CompileLoss(SPARSE), labels, (None, 3))
    check_labels(losses.sparse_categorical_crossentropy, labels, (None, 3))


@pytest.mark.parametrize(("labels", "received"), [
    (LABELS + 1, r"received 3 at index \(2,\), and 1 such"),
    (LABELS - 1, r"received -1 at index \(0,\)"),
    (np.array([[0.0], [1.5], [np.nan]]), r"received 1.5 at index \(1, 0\), and 2 such"),
], ids=["above", "below", "fractions"])  # fmt: skip
def test_labels_out_of_range(labels, received):
    with pytest.raises(ValueError, match=f'input "y": expected targets from 0 to 2.*{received}'):
        check_labels(CompileLoss(SPARSE, None, ["out"]), labels, (None, 3))


def test_other_losses_take_any_targets():
    check_labels(CompileLoss("mse"), ONES * 9, (None, 3))
    check_labels(losses.mean_squared_error, ONES * 9, (None, 3))
    check_labels(CompileLoss(SPARSE), LABELS + 5, (None, None))


def test_the_ignored_class_and_the_axis():
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    check_labels(CompileLoss(ignoring), LABELS - 1, (None, 3))
    with pytest.raises(ValueError, match="received 3"):
        check_labels(CompileLoss(ignoring), LABELS + 1, (None, 3))
    first = losses.SparseCategoricalCrossentropy(axis=1)
    check_labels(CompileLoss(first), np.full((2, 5), 3), (None, 4, 5))
    with pytest.raises(ValueError, match="for the 4 classes"):
        check_labels(CompileLoss(first), np.full((2, 5), 4), (None, 4, 5))


def test_labels_of_several_outputs():
    compiled = CompileLoss({"a": "mse", "b": SPARSE}, None, ["a", "b"])
    check_labels(compiled, [ONES * 9, LABELS], [(None, 3), (None, 3)])
    with pytest.raises(ValueError, match='"y_1": expected targets from 0 to 1'):
        check_labels(compiled, {"a": ONES, "b": LABELS}, [(None, 3), (None, 2)])
