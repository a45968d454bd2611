"""Every metric and its options against Keras: batch after batch, at once and compiled."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from twins import assert_close, draw, keras

import keraunos
from keraunos.frontend.programs import TracedProgram
from keraunos.frontend.tracing import Spec, trace_call

N, C = 12, 5
REAL, GUESS = draw((N, C), seed=1), draw((N, C), seed=2)
COUNTS = np.abs(draw((N, C), seed=3)) * 3
SHARES = np.abs(draw((N, C), seed=4)) + 0.01
SHARES /= SHARES.sum(-1, keepdims=True)
CLASSES = draw((N,), "int32", 5, C)
CALLED = draw((N,), "int32", 15, C)
ONE_HOT = np.eye(C, dtype="float32")[CLASSES]
BITS = draw((N, C), "int32", 6, 2)
UNIT = np.clip(np.abs(draw((N, C), seed=7)) / 2, 0, 1).astype("float32")
TIED = (np.round(UNIT * 4) / 4).astype("float32")
PIXELS, CALLED_PIXELS = draw((N, 3, 4), "int32", 10, 3), draw((N, 3, 4), "int32", 11, 3)
SCORES = draw((N, 3, 4, 3), seed=12)
STEPS, STEP_SCORES = draw((N, 6), "int32", 13, C), draw((N, 6, C), seed=14)
WEIGHTS = np.abs(draw((N,), seed=16))


@dataclass(frozen=True)
class Case:
    """A class of metrics with options, and what it is updated with."""

    cls: str
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options)
        kinds = "-".join(f"{a.dtype}{list(a.shape)}" for a in self.arguments)
        return f"{self.cls}({options})-{kinds}"

    def metric(self, package: Any, **further: Any) -> Any:
        return getattr(package.metrics, self.cls)(**dict(self.options), **further)


def case(cls: str, *arguments: Any, **options: Any) -> Case:
    return Case(cls, arguments, tuple(options.items()))


def means() -> list[Case]:
    return [
        case("Mean", REAL[:, 0]),
        case("Mean", REAL),
        case("Mean", SCORES),
        case("Sum", REAL),
        case("MeanSquaredError", REAL, GUESS),
        case("MeanSquaredError", REAL[:, 0], GUESS[:, :1]),
        case("MeanAbsoluteError", REAL, GUESS),
        case("MeanAbsolutePercentageError", REAL, GUESS),
        case("MeanSquaredLogarithmicError", COUNTS, COUNTS[::-1].copy()),
        case("LogCoshError", REAL, GUESS),
        case("RootMeanSquaredError", REAL, GUESS),
        case("RootMeanSquaredError", REAL[:, 0], GUESS[:, :1]),
        case("CosineSimilarity", REAL, GUESS),
        case("PearsonCorrelation", REAL, GUESS),
        case("ConcordanceCorrelation", REAL, GUESS),
        case("Hinge", BITS, GUESS),
        case("SquaredHinge", BITS, GUESS),
        case("CategoricalHinge", ONE_HOT, GUESS),
        case("KLDivergence", SHARES, UNIT),
        case("Poisson", COUNTS, UNIT),
        case("BinaryCrossentropy", BITS, UNIT),
        case("BinaryCrossentropy", BITS, GUESS, from_logits=True, label_smoothing=0.1),
        case("CategoricalCrossentropy", ONE_HOT, SHARES),
        case("CategoricalCrossentropy", ONE_HOT, GUESS, from_logits=True, label_smoothing=0.1),
        case("SparseCategoricalCrossentropy", CLASSES, SHARES),
        case("SparseCategoricalCrossentropy", CLASSES[:, None], GUESS, from_logits=True),
        case("SparseCategoricalCrossentropy", STEPS, STEP_SCORES, from_logits=True, ignore_class=1),
    ]


def accuracies() -> list[Case]:
    return [
        case("Accuracy", CLASSES, CALLED),
        case("Accuracy", CLASSES[:, None], CALLED),
        case("Accuracy", BITS, BITS[::-1].copy()),
        case("BinaryAccuracy", BITS, UNIT),
        case("BinaryAccuracy", BITS[:, 0], UNIT[:, :1], threshold=0.3),
        case("BinaryAccuracy", BITS.astype("float32"), TIED),
        case("CategoricalAccuracy", ONE_HOT, SHARES),
        case("CategoricalAccuracy", ONE_HOT, TIED),
        case("SparseCategoricalAccuracy", CLASSES, SHARES),
        case("SparseCategoricalAccuracy", CLASSES[:, None].astype("float32"), SHARES),
        case("SparseCategoricalAccuracy", STEPS, STEP_SCORES),
        case("SparseCategoricalAccuracy", STEPS[..., None], STEP_SCORES),
        case("TopKCategoricalAccuracy", ONE_HOT, SHARES, k=2),
        case("TopKCategoricalAccuracy", ONE_HOT, TIED, k=2),
        case("SparseTopKCategoricalAccuracy", CLASSES, SHARES, k=3),
        case("SparseTopKCategoricalAccuracy", CLASSES[:, None], TIED, k=2),
        case("SparseTopKCategoricalAccuracy", STEPS, STEP_SCORES, k=2),
        case("SparseTopKCategoricalAccuracy", CLASSES, np.argsort(-UNIT).astype("int32"), k=2,
             from_sorted_ids=True),
    ]  # fmt: skip


def counted() -> list[Case]:
    counts = ["TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives"]
    shares = ["Precision", "Recall"]
    thresholds = [None, 0.3, [0.2, 0.9], [0.0, 0.5, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]]
    points = {
        "SensitivityAtSpecificity": "specificity", "SpecificityAtSensitivity": "sensitivity",
        "PrecisionAtRecall": "recall", "RecallAtPrecision": "precision",
    }  # fmt: skip
    return [
        *(case(cls, BITS, TIED, thresholds=t) for cls in counts for t in thresholds),
        *(case(cls, BITS, UNIT) for cls in counts),
        *(case(cls, BITS, TIED, thresholds=t) for cls in shares for t in thresholds),
        *(case(cls, ONE_HOT, p, top_k=2) for cls in shares for p in (UNIT, TIED)),
        *(case(cls, ONE_HOT, UNIT, top_k=2, class_id=3) for cls in shares),
        *(case(cls, BITS, UNIT, class_id=1) for cls in shares),
        *(case(cls, BITS[:, 0], UNIT[:, :1]) for cls in shares),
        *(case(cls, BITS, UNIT, **{name: value}) for cls, name in points.items()
          for value in (0.2, 0.6)),
        *(case(cls, BITS, UNIT, **{name: 0.5}, num_thresholds=1) for cls, name in points.items()),
        *(case(cls, BITS, TIED, **{name: 0.5}, num_thresholds=5, class_id=2)
          for cls, name in points.items()),
    ]  # fmt: skip


def areas() -> list[Case]:
    curves, methods = ["ROC", "PR", "PRGAIN"], ["interpolation", "minoring", "majoring"]
    return [
        *(case("AUC", BITS, UNIT, curve=c, summation_method=m) for c in curves for m in methods),
        *(case("AUC", BITS, TIED, curve=c, num_thresholds=5) for c in curves),
        *(case("AUC", BITS, UNIT, curve=c, multi_label=True) for c in curves),
        case("AUC", BITS, UNIT, multi_label=True, num_labels=C, label_weights=[1.0, 2, 0, 1, 3]),
        case("AUC", BITS, UNIT, label_weights=[1.0, 2, 0, 1, 3]),
        case("AUC", BITS, UNIT, thresholds=[0.1, 0.7, 0.4]),
        case("AUC", BITS, TIED, thresholds=[0.25, 0.5, 0.75]),
        case("AUC", BITS[:, 0], UNIT[:, 0]),
        case("AUC", BITS[:, 0], UNIT[:, :1]),
        case("AUC", BITS, GUESS, from_logits=True),
    ]


def scores() -> list[Case]:
    averages = [None, "micro", "macro", "weighted"]
    return [
        *(case("F1Score", ONE_HOT, SHARES, average=a) for a in averages),
        *(case("F1Score", BITS, UNIT, average=a, threshold=0.4) for a in averages),
        *(case("FBetaScore", ONE_HOT, TIED, average=a, beta=2.0) for a in averages),
        case("R2Score", REAL, REAL + 0.3 * GUESS),
        case("R2Score", REAL[:, 0], (REAL + GUESS)[:, :1]),
        case("R2Score", REAL, GUESS, class_aggregation=None),
        case("R2Score", REAL, REAL + 0.3 * GUESS, class_aggregation="variance_weighted_average"),
        case("R2Score", REAL, REAL + 0.3 * GUESS, num_regressors=2),
        case("IoU", PIXELS, CALLED_PIXELS, num_classes=3, target_class_ids=[0, 2]),
        case("IoU", PIXELS, SCORES, num_classes=3, target_class_ids=[1], sparse_y_pred=False),
        case("IoU", PIXELS, CALLED_PIXELS, num_classes=2, target_class_ids=[0, 1]),
        case("IoU", PIXELS, CALLED_PIXELS, num_classes=3, target_class_ids=[0, 2], dtype="float32"),
        case("BinaryIoU", BITS, UNIT, target_class_ids=[1], threshold=0.3),
        case("MeanIoU", PIXELS, CALLED_PIXELS, num_classes=3, ignore_class=1),
        case("MeanIoU", PIXELS, CALLED_PIXELS, num_classes=4),
        case("OneHotIoU", ONE_HOT, SHARES, num_classes=C, target_class_ids=[0, 3]),
        case("OneHotMeanIoU", ONE_HOT, CALLED, num_classes=C, sparse_y_pred=True),
    ]


CASES = [*means(), *accuracies(), *counted(), *areas(), *scores()]
HALVES = (slice(0, 5), slice(5, None))


def with_weights(case: Case, part: slice) -> tuple[Any, ...]:
    return (*(array[part] for array in case.arguments), WEIGHTS[part])


def without(case: Case, part: slice) -> tuple[Any, ...]:
    return tuple(array[part] for array in case.arguments)


def takes_weights(case: Case) -> bool:
    """Keras wants integers for matrices of integers, and cannot mask steps of weighted samples."""
    return "IoU" not in case.cls and "ignore_class" not in dict(case.options)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_batches(case, weighted):
    ours, theirs = case.metric(keraunos), case.metric(keras)
    chosen = with_weights if weighted and takes_weights(case) else without
    for part in HALVES:
        for metric in (ours, theirs):
            metric.update_state(*chosen(case, part))
        assert_close(ours.result(), np.asarray(theirs.result()))
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        assert one.name == other.name
        assert one.dtype == other.dtype
        assert_close(one.value, np.asarray(other.value))
    ours.reset_state()
    assert not any(np.any(variable.value) for variable in ours.variables)
    assert_close(ours(*chosen(case, HALVES[1])), after_reset(theirs, chosen(case, HALVES[1])))


def after_reset(metric: Any, arguments: tuple[Any, ...]) -> np.ndarray:
    metric.reset_state()
    return np.asarray(metric(*arguments))


pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")

COMPILED = [
    *means()[::5], *accuracies()[::3], *counted()[::9], *areas()[::4], *scores()[::3],
]  # fmt: skip


@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_compiled(case):
    """One program adds batches of any size and gives the result so far."""
    ours, theirs = case.metric(keraunos), case.metric(keras)
    specs = tuple(Spec((None, *a.shape[1:]), a.dtype.name) for a in case.arguments)

    def step(*tensors):
        ours.update_state(*tensors)
        return ours.result()

    program = TracedProgram(trace_call(step, specs))
    for part in HALVES:
        (result,) = program(*(np.ascontiguousarray(each) for each in without(case, part)))
        theirs.update_state(*without(case, part))
        assert_close(result, np.asarray(theirs.result()))
    assert_close(ours.result(), result)


def test_iou_with_weights():
    weights = draw((N, 3, 4), "int32", 20, 4)
    ours, theirs = (p.metrics.MeanIoU(3) for p in (keraunos, keras))
    for metric in (ours, theirs):
        metric.update_state(PIXELS, CALLED_PIXELS, weights)
    assert_close(ours.result(), np.asarray(theirs.result()))
    assert_close(ours.total_cm.value, np.asarray(theirs.total_cm.value))


@pytest.mark.parametrize("weights", [WEIGHTS, np.stack([WEIGHTS] * 6, 1) * REAL[:, :1]])
def test_weights_of_steps(weights):
    values = draw((N, 6), seed=21)
    for cls in ("Mean", "Sum"):
        ours, theirs = (getattr(p.metrics, cls)() for p in (keraunos, keras))
        assert_close(ours(values, weights), np.asarray(theirs(values, weights)))


FUNCTIONS = [
    ("binary_accuracy", (BITS, UNIT), {"threshold": 0.3}),
    ("categorical_accuracy", (ONE_HOT, SHARES), {}),
    ("sparse_categorical_accuracy", (STEPS[..., None], STEP_SCORES), {}),
    ("top_k_categorical_accuracy", (ONE_HOT, SHARES), {"k": 2}),
    ("sparse_top_k_categorical_accuracy", (CLASSES, SHARES), {"k": 2}),
    ("sparse_top_k_categorical_accuracy", (CLASSES[:, None], SHARES), {"k": 2}),
    ("pearson_correlation", (REAL, GUESS), {"axis": 0}),
    ("concordance_correlation", (REAL, GUESS), {"axis": 0}),
]


@pytest.mark.parametrize(
    ("name", "arguments", "options"), FUNCTIONS, ids=lambda value: str(value)[:9]
)
def test_functions(name, arguments, options):
    ours, theirs = (getattr(p.metrics, name)(*arguments, **options) for p in (keraunos, keras))
    assert_close(ours, np.asarray(theirs))


def test_the_same_names():
    assert {name for name in dir(keras.metrics) if name[0] != "_"} <= set(dir(keraunos.metrics))


def names() -> list[str]:
    return sorted(keras.src.metrics.ALL_OBJECTS_DICT)


@pytest.mark.parametrize("name", names())
def test_get(name):
    """Each name means the same class; those that need arguments are refused alike."""
    results = []
    for package in (keraunos, keras):
        try:
            results.append(type(package.metrics.get(name)).__name__)
        except TypeError:
            results.append("needs arguments")
    assert results[0] == results[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_config(case):
    ours, theirs = (case.metric(package, name="mine") for package in (keraunos, keras))
    config = theirs.get_config()
    if config.get("label_weights") is not None:  # in Keras an array, which JSON cannot hold
        config["label_weights"] = np.asarray(config["label_weights"]).tolist()
    assert {key: ours.get_config()[key] for key in config} == config
    again = keraunos.metrics.deserialize(keraunos.metrics.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    assert keraunos.metrics.serialize(ours)["module"] == keras.metrics.serialize(theirs)["module"]


def test_default_names():
    for each in (keraunos, keras):
        each.utils.clear_session()
    for cls in ("AUC", "Precision", "TruePositives", "MeanSquaredError", "LogCoshError", "F1Score"):
        ours, theirs = (getattr(p.metrics, cls)() for p in (keraunos, keras))
        assert ours.name == theirs.name
