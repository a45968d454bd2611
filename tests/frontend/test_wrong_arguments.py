"""Every argument of what is public, replaced by what it is not: the package's own error, or none.

Ordinarily a part of the calls is made, another part of each family's; all of them are `slow`.
"""

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import wrong_calls
from wrong_calls import Call

import keraunos
from keraunos import frontend, layers, ops
from keraunos.compiler.ir.graph import IRError
from keraunos.frontend import accepted, arguments
from keraunos.frontend.errors import TooLarge, UsageError, UsageTypeError
from keraunos.frontend.ops import core

FAMILIES = ("layers", "ops", "objects", "functions", "models")
OWN = (UsageError, UsageTypeError, IRError)

# What is accepted, by call and argument, and why.
ACCEPTED = {
    ("model.fit", "epochs"): "so many epochs are what was asked for",
    ("compare", "repeats"): "so many rounds are what was asked for",
    ("Lambda", "arguments"): "they are those of the user's own function, and so is its error",
}
EVERY = {"layers": 2, "ops": 3, "objects": 3, "functions": 3, "models": 4}


def calls(family: str, folder: Path) -> list[Call]:
    make: Any = getattr(wrong_calls, f"of_{family}")
    return make(folder) if family == "models" else make()


def complaints(variants: Iterable[Call]) -> list[str]:
    """The calls that raise something else than the package's own errors."""
    found = []
    for call in variants:
        if any((call.name, name) in ACCEPTED for name in call.kwargs):
            continue
        try:
            call.run()
        except OWN:
            continue
        except Exception as error:  # noqa: BLE001, whatever it is
            found.append(f"{call}: {type(error).__name__}: {error}")
    return found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """Some of the calls write files; some warn; some set the seeds."""
    monkeypatch.chdir(tmp_path)
    state = np.random.get_state(), keraunos.random.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    np.random.set_state(state[0])
    keraunos.random.set_state(state[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_right_calls_are_right(family, tmp_path):
    for call in calls(family, tmp_path):
        call.run()


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_arguments_are_answered(family, tmp_path):
    variants = [each for call in calls(family, tmp_path) for each in call.variants()]
    assert len(variants) > 300
    told = complaints(islice(variants, FAMILIES.index(family), None, EVERY[family]))
    assert not told, "\n".join(told)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_all_wrong_arguments_are_answered(family, tmp_path):
    told = complaints(each for call in calls(family, tmp_path) for each in call.variants())
    assert not told, "\n".join(told)


T = np.ones((2, 3), "float32")
NOTHING = np.ones((0, 3), "float32")


def _two_of_one_name() -> Any:
    inputs = keraunos.Input((5,))
    return keraunos.Model(inputs, layers.Dense(2, name="a")(layers.Dense(3, name="a")(inputs)))


def _two_in_a_stack() -> Any:
    return keraunos.Sequential([layers.Dense(2, name="a"), layers.ReLU(), layers.ReLU(name="a")])


def _one_more_in_a_stack() -> Any:
    model = keraunos.Sequential([keraunos.Input((5,)), layers.Dense(2, name="a")])
    with pytest.raises(UsageError) as refused:
        model.add(layers.ReLU(name="a"))
    assert len(model.layers) == 1 and model.output_shape == (None, 2)
    raise refused.value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.sum(T, axis=(0, 0)), "each once, or None; received"),
        (lambda: ops.sum(T, axis=(0, -2)), "expected each axis once"),
        (lambda: ops.transpose(T, (0, 0)), "each once, or None; received"),
        (lambda: ops.transpose(T, (0,)), "expected each of 2 axes once"),
        (lambda: ops.expand_dims(T, (0, -4)), "expected each axis once"),
        (lambda: ops.max(NOTHING, axis=0), "max: expected 1 element or more along the axes"),
        (lambda: ops.min(NOTHING), "min: expected 1 element or more"),
        (lambda: ops.argmin(NOTHING, axis=0), "argmin: expected 1 element or more"),
        (lambda: ops.logsumexp(NOTHING, axis=0), "logsumexp: expected 1 element or more"),
        (lambda: ops.pad(T, [(-1, 1), (0, 0)]), "each 0 or more"),
        (lambda: ops.slice(T, (0, 0), (5, 5)), "within axis 0 of size 2; received 5 elements"),
        (lambda: ops.slice(T, (0,), (1,)), "a start and a size for each of 2 axes"),
        (lambda: ops.take(T, [0.5], axis=1), "indices as integers; received float32"),
        (lambda: ops.arange(0, 5, 0), "a step other than 0"),
        (lambda: ops.arange(0, float("inf"), 1), "finite bounds"),
        (lambda: ops.one_hot([1], -3), "num_classes as an int of 0 or more; received -3"),
        (lambda: ops.split(T, -1, 1), "that -1 divides"),
        (lambda: ops.concatenate([]), "a list of tensors, 1 or more"),
        (lambda: ops.tensordot(T, T.T, 3), "expected 0 to 2 axes"),
        (lambda: ops.add(np.ones(2, "int32"), 10**12), "a number that int32 holds"),
        (lambda: ops.conv(T, T), "inputs and a kernel of 3 axes"),
        (lambda: keraunos.Input((5,), batch_size=-1), "batch_size as an int of 0 or more"),
        (_two_of_one_name, 'layers of different names; received 2 layers "a"'),
        (_two_in_a_stack, 'layers of different names; received 2 layers "a"'),
        (_one_more_in_a_stack, 'layers of different names; received 2 layers "a"'),
        (lambda: layers.BatchNormalization(epsilon=-1.0), "epsilon as a number of 0 or more"),
        (lambda: keraunos.constraints.MaxNorm("a"), "max_value as a number of 0 or more"),
        (lambda: keraunos.random.randint((2,), 5, 5), "minval below maxval"),
        (lambda: keraunos.parse_ir(b"graph"), "text of a graph as a string"),
    ],
)
def test_what_means_nothing_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_the_largest_of_nothing_is_what_it_begins_with():
    np.testing.assert_array_equal(ops.max(NOTHING, axis=0, initial=-1.0), [-1.0] * 3)


def test_a_block_of_what_is_left():
    np.testing.assert_array_equal(ops.slice(np.arange(5), (2,), (-1,)), [2, 3, 4])


@pytest.mark.parametrize(
    "call",
    [
        lambda: layers.Dense(10**12)(keraunos.Input((5,))),
        lambda: layers.Embedding(10**12, 4)(keraunos.Input((5,))),
        lambda: ops.one_hot([1], 10**13),
        lambda: ops.arange(10**13),
        lambda: ops.eye(10**8),
        lambda: ops.linspace(0.0, 1.0, 10**13),
        lambda: ops.zeros((10**7, 10**7)),
        lambda: ops.repeat(T, 10**13, 0),
        lambda: ops.tile(T, 10**13),
        lambda: keraunos.random.normal((10**7, 10**7)),
        lambda: keraunos.metrics.MeanIoU(10**8),
        lambda: keraunos.utils.to_categorical([0], 10**8),
    ],
)
def test_sizes_beyond_the_memory_are_told_before_anything_is_allocated(call):
    with pytest.raises(TooLarge, match=r"memory of this machine.*received shape .*(TiB|PiB)"):
        call()
    assert issubclass(TooLarge, MemoryError)


def test_copies_side_by_side_are_one_op_however_many():
    wide = ops.tile(keraunos.Input((2,)), (1, 10**9))
    assert wide.shape == (None, 2 * 10**9)


@pytest.mark.parametrize("template", ["{}", "{0}", "{epoch", "{epoch:z}", "{epoch.a}", "{loss[a]}"])
def test_a_checkpoint_of_no_name(template):
    checkpoint = keraunos.callbacks.ModelCheckpoint(
        f"{template}.weights.h5", save_weights_only=True
    )
    checkpoint.set_model(keraunos.Sequential([keraunos.Input((1,)), layers.Dense(1)]))
    with pytest.raises(UsageError, match="names of epoch, loss in braces"):
        checkpoint.on_epoch_end(0, {"loss": 1.0})


@pytest.mark.parametrize(
    "make",
    [
        lambda path: keraunos.callbacks.BackupAndRestore(path, save_freq=1),
        lambda path: keraunos.callbacks.ModelCheckpoint(
            path / "m.weights.h5", save_weights_only=True
        ),
        lambda path: keraunos.callbacks.TensorBoard(path),
        lambda path: keraunos.callbacks.CSVLogger(path / "log.csv"),
    ],
)
def test_a_file_in_place_of_a_folder(make, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    model = keraunos.Sequential([keraunos.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="folder"):
        model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0, callbacks=[make(path)])


def test_a_model_of_the_package_says_what_its_methods_take():
    model = keraunos.Sequential([keraunos.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((2, 1))
    with pytest.raises(UsageError, match=r"Sequential.fit \(.*: expected epochs as an int of 0"):
        model.fit(x, x, epochs=1.5)
    with pytest.raises(UsageError, match="validation_split as a number of 0 or more, below 1"):
        model.fit(x, x, validation_split=1.0)
    with pytest.raises(UsageError, match="class_weight as a dict, each key an int, each value a n"):
        model.fit(x, x, class_weight={0: "a"})
    with pytest.raises(UsageError, match="expected x as an array"):
        model.train_on_batch(None)
    with pytest.raises(UsageError, match=r"set_weights .*: expected weights as a list"):
        model.set_weights(None)


# How arguments are checked


def checked() -> list[Any]:
    """All functions and constructors of the frontend whose arguments are checked."""
    found = {}
    for info in pkgutil.walk_packages(frontend.__path__, f"{frontend.__name__}."):
        for value in vars(importlib.import_module(info.name)).values():
            made = vars(value).get("__init__") if inspect.isclass(value) else value
            layers_of = []
            while inspect.isfunction(made):
                layers_of.append(made.__code__.co_filename)
                made = getattr(made, "__wrapped__", None)
            if {arguments.__file__, core.__file__} & set(layers_of[:-1]):
                found[value] = inspect.unwrap(
                    value if not inspect.isclass(value) else value.__init__
                )
    return list(found.values())


def test_annotations_of_what_is_checked_can_be_read():
    functions = checked()
    assert len(functions) > 300
    for function in functions:
        arguments.rules_of(function)


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (int, [1, -1, np.int64(3), np.array(2)], [True, 1.0, "1", None]),
        (float, [1, 0.5, np.float32(1), float("inf")], [True, float("nan"), "1", None]),
        (bool, [True, False, np.True_, 0, 1], [2, None, "yes", T]),
        (str | None, ["a", None], [1, b"a"]),
        (accepted.Count, [1, 10], [0, -1, 1.0]),
        (accepted.Axes, [0, (0, 1), [-1], range(2)], [(0, 0), 1.0, "0", ([0],), T]),
        (accepted.Shape | None, [3, (2, 0), None], [-1, (2, -1), (None,), "ab"]),
        (list[str], [["a"], ()], ["a", [1], None]),
        (Iterable[str], [["a"], {"a"}, iter([1])], ["a", [1], None]),
        (dict[str, int] | None, [{}, {"a": 1}, None], [[], 1, {1: 1}, {"a": "b"}]),
        (Callable[..., Any], [len], [1]),
        (Literal["a", "b"], ["a"], ["c", 1, ["a"]]),
        (Any, [None, object()], []),
        (Any | None, [object()], []),
    ],
)
def test_what_an_annotation_takes(annotation, right, wrong):
    rule = arguments.rule_of(annotation)
    for value in right:
        assert rule is None or rule.accepts(value), value
    for value in wrong:
        assert rule is not None and not rule.accepts(value), value


def test_subclasses_of_users_take_what_they_like():
    class Mine(layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units

    assert Mine("several").units == "several"
    with pytest.raises(UsageError, match=r"Mine .*: expected trainable as True or False"):
        Mine(3, trainable="a")


def test_an_error_of_an_argument_is_one_of_type_and_of_value():
    for kind in (TypeError, ValueError):
        with pytest.raises(kind, match="expected units as an int of 1 or more; received 'a'"):
            layers.Dense("a")


# Calls that no signature takes, and what users write that is called by the package

ROWS, TARGETS = np.ones((4, 6), "float32"), np.ones((4, 3), "float32")


def _trained(*stack: Any, **options: Any) -> Any:
    """A model of some layers, or of one, compiled; its ``fit`` runs a step."""
    model = keraunos.Sequential([keraunos.Input((6,)), *(stack or [layers.Dense(3)])])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model


def _fitted(*stack: Any, callbacks: Any = None, **options: Any) -> Any:
    return _trained(*stack, **options).fit(ROWS, TARGETS, verbose=0, callbacks=callbacks)


class _Nothing(keraunos.Model):
    def call(self, x: Any) -> Any:
        x + 1


class _OfTargets(keraunos.metrics.Metric):
    def update_state(self, y: Any) -> None: ...
    def result(self) -> Any:
        return 0.0


class _Unmade(keraunos.metrics.Metric):
    def __init__(self) -> None:
        self.total = self.add_variable(())


class _UnmadeLoss(keraunos.losses.Loss):
    def __init__(self) -> None:
        self.factor = 2.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.abs(y_true - y_pred)


class _Early(keraunos.callbacks.Callback):
    def on_epoch_end(self, epoch: int) -> None: ...  # type: ignore[override]


class _Swapping(keraunos.Sequential):
    def train_step(self, data: Any) -> Any:
        x, y = data
        weights = self.trainable_variables
        slopes = keraunos.grad(lambda: self.compute_loss(y=y, y_pred=self(x)), wrt=weights)()
        self.optimizer.apply(weights, slopes)
        return {}


def _swapped() -> Any:
    model = _Swapping([keraunos.Input((6,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    return model.fit(ROWS, TARGETS, verbose=0)


def _changed() -> None:
    keraunos.Input((6,))[0] = 3  # type: ignore[index]


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "misspelt in fit": (
        lambda: _trained().fit(ROWS, TARGETS, epoch=3),
        r"Sequential\.fit .*unexpected arguments: epoch\. Did you mean 'epochs'",
    ),
    "misspelt in compile": (lambda: _trained(metric=[]), "metric. Did you mean 'metrics'"),
    "misspelt in an op": (lambda: ops.sum(T, axes=1), "sum: .*: axes. Did you mean 'axis'"),
    "misspelt in an op, symbolic": (
        lambda: ops.sum(keraunos.Input((3,)), axes=1), "sum: .*: axes. Did you mean 'axis'"
    ),
    "misspelt in a loss": (
        lambda: keraunos.losses.MeanSquaredError(reductio="sum"), "Did you mean 'reduction'"
    ),
    "misspelt in a call": (lambda: _trained()(ROWS, trainin=True), "Did you mean 'training'"),
    "misspelt in Model": (lambda: keraunos.Model(input=3), "Did you mean 'inputs'"),
    "nothing in predict": (
        lambda: _trained().predict(), r"missing a required argument: 'x'\. It takes \(x, batch_size"
    ),
    "sizes one by one": (
        lambda: ops.reshape(T, 3, 2), r"reshape: too many .*It takes \(x, newshape\)"
    ),
    "a layer without units": (layers.Dense, "Dense .*missing a required argument: 'units'"),
    "x and y in a call": (
        lambda: layers.Dense(3)(ROWS, TARGETS), "layer .*call: too many positional arguments"
    ),
    "a loss of predictions": (
        lambda: _fitted(loss=lambda y_pred: y_pred), r"calls <lambda> with 2 .*takes \(y_pred\)"
    ),
    "a loss of nothing": (lambda: _fitted(loss=lambda t, p: None), "loss of output .*None"),
    "a metric of predictions": (
        lambda: _fitted(metrics=[lambda p: p]), r"calls <lambda> with 2 .*takes \(p\)"
    ),
    "a metric of nothing": (lambda: _fitted(metrics=[lambda t, p: None]), "metric .*None"),
    "an own metric of targets": (
        lambda: _fitted(metrics=[_OfTargets()]), r"update_state with 2 .*takes \(y\)"
    ),
    "an own metric, never made": (_Unmade, r"_Unmade: expected a call of super\(\)"),
    "an own loss, never made": (lambda: _fitted(loss=_UnmadeLoss()), r"a call of super\(\)"),
    "a callback without logs": (
        lambda: _fitted(callbacks=[_Early()]), r"on_epoch_end of _Early .*takes \(epoch\)"
    ),
    "a schedule of nothing": (
        lambda: _fitted(callbacks=[keraunos.callbacks.LearningRateScheduler(lambda: 0.1)]),
        r"LearningRateScheduler calls <lambda> with 1 .*takes \(\)",
    ),
    "a Lambda of nothing": (lambda: layers.Lambda(lambda: 1)(ROWS), "Lambda calls <lambda> with 1"),
    "a regularizer of nothing": (
        lambda: _fitted(layers.Dense(3, kernel_regularizer=lambda: 1)), "regularizer of .*kernel"
    ),
    "a regularizer without result": (
        lambda: _fitted(layers.Dense(3, kernel_regularizer=lambda w: None)), "a result; .*None"
    ),
    "a constraint without result": (
        lambda: _fitted(layers.Dense(3, kernel_constraint=lambda w: None)),
        "the constraint of .*kernel.*: expected a result; received None",
    ),
    "an initializer without dtype": (
        lambda: layers.Dense(3, kernel_initializer=lambda shape: np.ones(shape))(ROWS),
        "unexpected arguments: dtype",
    ),
    "an initializer of another shape": (
        lambda: layers.Dense(3, kernel_initializer=lambda shape, dtype: np.ones((2, 2)))(ROWS),
        r"expected values of shape \(6, 3\); received shape \(2, 2\)",
    ),
    "a function of too much": (
        lambda: keraunos.grad(lambda a: ops.sum(a))(T, T), r"with 2 arguments: .*takes \(a\)"
    ),
    "gradients and weights swapped": (_swapped, r"apply\(gradients, variables\)"),
    "a model without result": (lambda: _Nothing()(ROWS), "call: expected tensors as results"),
    "a model without result, predict": (
        lambda: _Nothing().predict(ROWS, verbose=0), "call: expected tensors as results"
    ),
    "a generator that is not called": (
        lambda: _trained().fit(lambda: iter([]), verbose=0), "received function. Call it"
    ),
    "nothing to a model": (lambda: _trained()(None), "expected numbers; received None"),
    "a tensor changed": (_changed, "a KerasTensor cannot be changed.*ops.where"),
    "an array as an input of Model": (
        lambda: keraunos.Model(np.ones((40, 3)), None), r"received ndarray of shape \(40, 3\)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_in_the_words_of_the_package(name):
    call, message = MISTAKES[name]
    with pytest.raises((UsageError, UsageTypeError), match=message) as caught:
        call()
    assert not caught.value.__cause__ or isinstance(caught.value.__cause__, OWN)
    assert len(str(caught.value)) < 600


def test_type_errors_of_users_keep_what_caused_them():
    def failing(y_true: Any, y_pred: Any) -> Any:
        raise TypeError("mine") from KeyError("why")

    with pytest.raises(TypeError, match=r"^mine$") as caught:
        _fitted(loss=failing)
    assert isinstance(caught.value.__cause__, KeyError)
    assert not isinstance(caught.value, UsageTypeError)
