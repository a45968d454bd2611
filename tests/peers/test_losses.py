"""Every loss and its options against Keras: values, reductions, weights, masks, configurations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from twins import assert_close, draw, keras

import keraunos
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.tracing import Spec, trace_call

jax = pytest.importorskip("jax")

N, C = 6, 5
REAL, GUESS = draw((N, C), seed=1), draw((N, C), seed=2)
COUNTS = np.abs(draw((N, C), seed=3)) * 3
SHARES = np.abs(draw((N, C), seed=4)) + 0.01
SHARES /= SHARES.sum(-1, keepdims=True)
UNNORMAL = (SHARES * 1.7).astype("float32")
EXTREME = np.eye(C, dtype="float32")[[0, 1, 2, 3, 4, 0]]
CLASSES = draw((N,), "int32", 5, C)
ONE_HOT = np.eye(C, dtype="float32")[CLASSES]
BITS = draw((N, C), "int32", 6, 2)
UNIT = np.clip(np.abs(draw((N, C), seed=7)) / 3, 0, 1).astype("float32")
SIGNS = (2 * BITS - 1).astype("float32")
IMAGE, CHANNELS_FIRST = draw((2, 3, 4, C), seed=8), draw((2, C, 3, 4), seed=9)
PIXELS = draw((2, 3, 4), "int32", 10, C)
EMBEDDINGS = REAL / np.linalg.norm(REAL, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Case:
    """A class of losses with options, its function, and arguments for both."""

    cls: str
    function: str
    y_true: Any
    y_pred: Any
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options)
        kind = f"{self.y_true.dtype}{list(self.y_true.shape)}-{list(self.y_pred.shape)}"
        return f"{self.cls}({options})-{kind}"

    def loss(self, package: Any, **further: Any) -> Any:
        return getattr(package.losses, self.cls)(**dict(self.options), **further)


def case(cls: str, function: str, y_true: Any, y_pred: Any, **options: Any) -> Case:
    return Case(cls, function, y_true, y_pred, tuple(options.items()))


def elementwise() -> list[Case]:
    return [
        case("MeanSquaredError", "mean_squared_error", REAL, GUESS),
        case("MeanSquaredError", "mean_squared_error", REAL[:, 0], GUESS[:, :1]),
        case("MeanSquaredError", "mean_squared_error", REAL[:, :1], GUESS),
        case("MeanSquaredError", "mean_squared_error", BITS, GUESS),
        case("MeanAbsoluteError", "mean_absolute_error", REAL, GUESS),
        case("MeanAbsolutePercentageError", "mean_absolute_percentage_error", REAL, GUESS),
        case("MeanAbsolutePercentageError", "mean_absolute_percentage_error", BITS, GUESS),
        case("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", COUNTS, GUESS),
        case("CosineSimilarity", "cosine_similarity", REAL, GUESS),
        case("CosineSimilarity", "cosine_similarity", REAL, GUESS * 0, axis=0),
        case("Huber", "huber", REAL, GUESS),
        case("Huber", "huber", REAL, GUESS, delta=0.3),
        case("LogCosh", "log_cosh", REAL * 30, GUESS),
        case("Hinge", "hinge", SIGNS, GUESS),
        case("Hinge", "hinge", BITS, GUESS),
        case("Hinge", "hinge", REAL, GUESS),
        case("SquaredHinge", "squared_hinge", SIGNS, GUESS),
        case("SquaredHinge", "squared_hinge", BITS, GUESS),
        case("CategoricalHinge", "categorical_hinge", ONE_HOT, GUESS),
        case("KLDivergence", "kl_divergence", SHARES, UNIT),
        case("KLDivergence", "kl_divergence", EXTREME, UNIT),
        case("Poisson", "poisson", COUNTS, UNIT),
        case("Dice", "dice", BITS, UNIT),
        case("Dice", "dice", BITS, UNIT, axis=1),
        case("Dice", "dice", BITS, UNIT, axis=(0, 1)),
        case("Tversky", "tversky", BITS, UNIT),
        case("Tversky", "tversky", BITS, UNIT, alpha=0.2, beta=0.7, axis=1),
        case("Circle", "circle", CLASSES, EMBEDDINGS),
        case("Circle", "circle", np.array([0, 0, 1, 1, 2, 2]), EMBEDDINGS, gamma=4.0, margin=0.2),
        case("Circle", "circle", CLASSES, EMBEDDINGS, remove_diagonal=False),
    ]


def binary() -> list[Case]:
    plain, focal = "BinaryCrossentropy", "BinaryFocalCrossentropy"
    functions = {plain: "binary_crossentropy", focal: "binary_focal_crossentropy"}
    sets: dict[str, list[dict[str, Any]]] = {
        plain: [{}, {"label_smoothing": 0.1}, {"axis": 0}],
        focal: [{}, {"apply_class_balancing": True, "alpha": 0.4}, {"gamma": 1.5, "axis": 0},
                {"label_smoothing": 0.2}],
    }  # fmt: skip
    return [
        case(cls, functions[cls], BITS, pred, from_logits=logits, **options)
        for cls, several in sets.items()
        for options in several
        for logits, pred in ((False, UNIT), (True, GUESS * 9), (False, BITS.astype("float32")))
    ]


def categorical() -> list[Case]:
    plain, focal = "CategoricalCrossentropy", "CategoricalFocalCrossentropy"
    functions = {plain: "categorical_crossentropy", focal: "categorical_focal_crossentropy"}
    sets: dict[str, list[dict[str, Any]]] = {
        plain: [{}, {"label_smoothing": 0.1}, {"axis": 0}],
        focal: [{}, {"alpha": 0.4, "gamma": 1.5}, {"label_smoothing": 0.2}],
    }
    return [
        case(cls, functions[cls], true, pred, from_logits=logits, **options)
        for cls, several in sets.items()
        for options in several
        for true in (ONE_HOT, SHARES)
        for logits, pred in ((False, SHARES), (True, GUESS * 9), (False, UNNORMAL))
    ]


def sparse() -> list[Case]:
    cls, function = "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"
    targets = (CLASSES, CLASSES[:, None], CLASSES.astype("float32"), CLASSES.astype("uint8"))
    arguments = ((False, SHARES), (True, GUESS * 9), (False, UNNORMAL), (False, EXTREME))
    return [
        *(case(cls, function, t, p, from_logits=f) for t in targets for f, p in arguments),
        case(cls, function, CLASSES, SHARES, ignore_class=2),
        case(cls, function, CLASSES[:, None], GUESS, ignore_class=2, from_logits=True),
        case(cls, function, CLASSES - 1, SHARES, ignore_class=-1),
        case(cls, function, PIXELS, IMAGE, from_logits=True),
        case(cls, function, PIXELS, IMAGE, from_logits=True, ignore_class=0),
    ]


def sequences() -> list[Case]:
    repeated = np.array([[1, 1, 2], [2, 1, 0], [3, 3, 3], [4, 0, 0]], "int32")
    logits = draw((4, 7, C), seed=13)
    return [
        case("CTC", "ctc", repeated, logits),
        case("CTC", "ctc", repeated[:, :1], logits * 4),
        case("CTC", "ctc", repeated.astype("float32"), logits[:, :5]),
        case("CTC", "ctc", repeated, np.ones_like(logits)),
    ]


CASES = [*sequences(), *elementwise(), *binary(), *categorical(), *sparse()]
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]
WEIGHTS = np.array([0.5, 2, 0, 1, 3, 0.25], "float32")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_function(case):
    theirs, ours = (getattr(p.losses, case.function) for p in (keras, keraunos))
    options = dict(case.options)
    if case.function == "circle":  # Keras's function names its options in another order
        options = {"gamma": 80.0, **options}
    assert_close(ours(case.y_true, case.y_pred, **options),
                 np.asarray(theirs(case.y_true, case.y_pred, **options)))  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_class(case):
    ours, theirs = (case.loss(package)(case.y_true, case.y_pred) for package in (keraunos, keras))
    assert_close(ours, np.asarray(theirs))


@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_compiled(case):
    """One program for any batch size gives what the reference gives."""
    loss = case.loss(keraunos, reduction="none")
    specs = [Spec((None, *a.shape[1:]), a.dtype.name) for a in (case.y_true, case.y_pred)]
    run = keraunos.compile(trace_call(lambda t, p: loss(t, p), tuple(specs)).graph)
    expected = case.loss(keras, reduction="none")(case.y_true, case.y_pred)
    assert_close(run(case.y_true, case.y_pred), np.asarray(expected))


@pytest.mark.parametrize("case", [c for c in CASES if c.y_pred.any()], ids=str)
def test_gradient(case):
    """What training follows, by predictions off the edges at which slopes are a convention."""
    pred = (case.y_pred * 0.7).astype("float32")
    loss, reference = case.loss(keraunos), case.loss(keras)
    slope = keraunos.grad(lambda true, pred: loss(true, pred), wrt=1)
    (ours,) = evaluate(keraunos.trace(slope, case.y_true, pred), [case.y_true, pred])
    theirs = jax.grad(lambda pred: reference(case.y_true, pred))(pred)
    assert_close(ours, np.asarray(theirs))


WEIGHTED = [
    case("MeanSquaredError", "mean_squared_error", REAL, GUESS),
    case("SparseCategoricalCrossentropy", "", CLASSES, SHARES, ignore_class=2),
    case("Dice", "", BITS, UNIT),
    case("Dice", "", BITS, UNIT, axis=1),
]


@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None], 0.5], ids=np.shape)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", WEIGHTED, ids=str)
def test_reductions_and_weights(case, reduction, weights):
    ours, theirs = (
        case.loss(package, reduction=reduction)(case.y_true, case.y_pred, weights)
        for package in (keraunos, keras)
    )
    assert_close(ours, np.asarray(theirs))


@pytest.mark.parametrize("weights", [None, WEIGHTS, np.stack([WEIGHTS] * C, 1)[..., None]])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_masks(reduction, weights):
    """Steps under a mask of the predictions do not count."""
    mask = np.arange(N * C).reshape(N, C) % 3 > 0
    true, pred = draw((N, C, 2), seed=11), draw((N, C, 2), seed=12)
    if weights is not None and weights.ndim == 1:
        mask, true, pred = mask[:, 0], REAL, GUESS

    def masked(y_true, y_pred, mask, *weights):
        y_pred.mask = mask
        return keraunos.losses.MeanAbsoluteError(reduction)(y_true, y_pred, *weights)

    arrays = (true, pred, mask, *([] if weights is None else [weights]))
    run = keraunos.compile(masked, *arrays)
    tensor = keras.ops.convert_to_tensor(pred)
    tensor._keras_mask = keras.ops.convert_to_tensor(mask)
    expected = keras.losses.MeanAbsoluteError(reduction)(true, tensor, weights)
    assert_close(run(*arrays), np.asarray(expected))


def test_generalized_crossentropy():
    ours, theirs = (
        package.losses.CategoricalGeneralizedCrossEntropy(0.3)(CLASSES, SHARES)
        for package in (keraunos, keras)
    )
    assert_close(ours, np.asarray(theirs))


def test_the_same_names():
    assert {name for name in dir(keras.losses) if name[0] != "_"} <= set(dir(keraunos.losses))


def names() -> list[str]:
    table = keras.src.losses.ALL_OBJECTS_DICT
    return sorted(set(table) - {"Loss", "LossFunctionWrapper"})


@pytest.mark.parametrize("name", names())
def test_get(name):
    ours, theirs = keraunos.losses.get(name), keras.losses.get(name)
    assert isinstance(ours, keraunos.losses.Loss) == isinstance(theirs, keras.losses.Loss)
    assert getattr(ours, "name", None) == getattr(theirs, "name", None)
    if not isinstance(ours, keraunos.losses.Loss):
        assert ours.__name__ == theirs.__name__


@pytest.mark.parametrize("case", CASES, ids=str)
def test_config(case):
    """What Keras writes is read here and the other way round; here no option is left out."""
    ours, theirs = (case.loss(package, name="mine") for package in (keraunos, keras))
    config = theirs.get_config()
    assert {key: ours.get_config()[key] for key in config} == config
    assert keraunos.losses.serialize(ours)["module"] == keras.losses.serialize(theirs)["module"]
    again = keraunos.losses.deserialize(keraunos.losses.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert again.get_config().items() >= dict(case.options).items()
    assert keras.losses.deserialize(keraunos.losses.serialize(ours)).name == "mine"


def test_functions_are_serialized_alike():
    for name in ("mse", "huber"):
        ours, theirs = (p.losses.serialize(p.losses.get(name)) for p in (keraunos, keras))
        assert ours == theirs
        assert keraunos.losses.deserialize(theirs) is keraunos.losses.get(name)
