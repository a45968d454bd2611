"""Callbacks against Keras's: what they decide, on the same logs; what they keep, in training."""

import inspect
import itertools
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from twins import draw, keras

import keraunos
from keraunos.frontend.callbacks.monitor import sign_of

PACKAGES = {"keras": keras, "keraunos": keraunos}


class Optimizer:
    def __init__(self) -> None:
        self.learning_rate = 1.0


class Model:
    """What callbacks ask of a model, in place of one of either package."""

    def __init__(self) -> None:
        self.optimizer = Optimizer()
        self.stop_training = False
        self.metrics: list[Any] = []
        self.history: Any = None
        self.values = [np.zeros(1)]
        self.saved: list[str] = []
        self.built = True

    def get_weights(self) -> list[np.ndarray]:
        return [value.copy() for value in self.values]

    def set_weights(self, values: list[np.ndarray]) -> None:
        self.values = values

    def save_weights(self, path: Any, overwrite: bool = True) -> None:
        self.saved.append(str(path))


def train(package: ModuleType, callback: Any, values: list[float], batches: int = 3) -> Any:
    """What is left of a training with logs that are given."""
    model = Model()
    several = [callback] if isinstance(callback, package.callbacks.Callback) else callback
    listeners = package.callbacks.CallbackList(
        several, add_history=True, model=model, epochs=len(values), steps=batches, verbose=0
    )
    listeners.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.values = [np.full(1, float(epoch))]
        listeners.on_epoch_begin(epoch)
        for batch in range(batches):
            listeners.on_train_batch_begin(batch)
            listeners.on_train_batch_end(batch, {"loss": value, "val_loss": value + batch})
        listeners.on_epoch_end(epoch, {"loss": value / 2, "val_loss": value})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    listeners.on_train_end({})
    history = model.history
    left = [value.tolist() for value in model.values]
    return history.epoch, history.history, rates, model.saved, left


def metrics_of(package: ModuleType, name: str) -> Any:
    kind = getattr(package.metrics, name)
    options = {
        "num_classes": 3,
        "target_class_ids": [1],
        "fn": package.losses.mean_squared_error,
        **dict.fromkeys(("recall", "precision", "sensitivity", "specificity"), 0.5),
    }
    wanted = inspect.signature(kind.__init__).parameters.values()
    needed = [p.name for p in wanted if p.default is p.empty and p.name in options]
    return kind(**{name: options[name] for name in needed})


METRICS = [
    name
    for name in keraunos.metrics.__all__
    if isinstance(getattr(keras.metrics, name, None), type)
]


@pytest.mark.parametrize("name", METRICS)
def test_which_way_is_better(name):
    expected = getattr(metrics_of(keras, name), "_direction", None)
    sign = sign_of(metrics_of(keraunos, name))
    assert {1: "up", -1: "down", None: None}[sign] == expected


def test_which_way_is_better_of_functions():
    metric = keraunos.metrics.MeanMetricWrapper
    assert sign_of(metric(keraunos.losses.MeanSquaredError())) == -1
    assert sign_of(metric(lambda y_true, y_pred: y_pred)) is None


SERIES = [
    [3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.6, 0.7, 0.8],
    [1.0, 1.1, 0.9, 1.2, 0.95, 0.85, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8],
    list(np.random.default_rng(0).random(12).astype("float32").astype(float)),
    list(np.random.default_rng(1).integers(0, 4, 12).astype(float)),
    [float("nan"), 1.0, float("inf"), 0.5, 0.6, float("nan"), 0.7, 0.1, 0.2, 0.3, 0.4, 0.5],
]


def assert_alike(make: Any, values: list[float]) -> None:
    results = [train(package, make(package), values) for package in PACKAGES.values()]
    np.testing.assert_equal(results[1], results[0])


def choices(**axes: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]


def shown(options: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


@pytest.mark.parametrize(
    "options",
    choices(
        patience=[0, 2],
        min_delta=[0, 0.2],
        mode=["auto", "max"],
        baseline=[None, 0.9],
        restore_best_weights=[False, True],
        start_from_epoch=[0, 3],
    ),
    ids=shown,
)
def test_early_stopping(options):
    for values in SERIES:
        assert_alike(lambda package: package.callbacks.EarlyStopping(**options), values)


@pytest.mark.parametrize(
    "options",
    choices(
        patience=[1, 2],
        mode=["min", "max"],
        min_delta=[1e-4, 0.2],
        cooldown=[0, 2],
        min_lr=[0, 0.1],
    ),
    ids=shown,
)
def test_reduce_on_plateau(options):
    for values in SERIES:
        assert_alike(
            lambda package: package.callbacks.ReduceLROnPlateau(factor=0.5, **options), values
        )


@pytest.mark.parametrize(
    "options",
    choices(
        save_best_only=[False, True],
        mode=["auto", "max"],
        save_freq=["epoch"],
        initial_value_threshold=[None, 0.9],
    )
    + choices(save_best_only=[False], save_freq=[1, 2, 4, 7]),
    ids=shown,
)
def test_model_checkpoint(options):
    batch = "" if options["save_freq"] == "epoch" else "-{batch:03d}"
    path = "m{epoch:02d}" + batch + "-{val_loss:.3f}.weights.h5"
    for values in SERIES:
        assert_alike(
            lambda package: package.callbacks.ModelCheckpoint(
                path, save_weights_only=True, **options
            ),
            values,
        )


def test_learning_rate_scheduler():
    schedules = [lambda epoch, rate: rate * 0.9, lambda epoch: 0.1 * epoch]
    for schedule in schedules:
        assert_alike(
            lambda package, made=schedule: package.callbacks.LearningRateScheduler(made), SERIES[0]
        )


def test_callbacks_see_what_earlier_ones_did():
    assert_alike(
        lambda package: [
            package.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            package.callbacks.EarlyStopping("learning_rate", mode="max", patience=2),
        ],
        SERIES[0],
    )


@pytest.mark.parametrize("stops", [False, True])
def test_terminate_on_nan(stops):
    values = [1.0, float("nan") if stops else 2.0, 3.0]
    assert_alike(lambda package: package.callbacks.TerminateOnNaN(), values)


@pytest.mark.parametrize("options", choices(append=[False, True], separator=[",", ";"]), ids=shown)
def test_csv_logger(options, tmp_path):
    written = []
    for name, package in PACKAGES.items():
        path = tmp_path / f"{name}.csv"
        for values in SERIES[:2]:
            train(package, package.callbacks.CSVLogger(path, **options), values)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_messages(capsys):
    """What is printed with verbose=1, apart from blanks."""
    printed = []
    for package in PACKAGES.values():
        made = package.callbacks
        train(
            package,
            [
                made.EarlyStopping(patience=3, restore_best_weights=True, verbose=1),
                made.ReduceLROnPlateau(patience=1, verbose=1),
                made.ModelCheckpoint(
                    "{epoch}.weights.h5", save_best_only=True, save_weights_only=True, verbose=1
                ),
            ],
            SERIES[0],
        )
        printed.append([line for line in capsys.readouterr().out.splitlines() if line])
    assert printed[0] == printed[1]


def test_warnings_of_a_metric_that_is_not_there():
    """Both warn, and both go on."""
    for name in ("EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"):
        results = []
        for package in PACKAGES.values():
            options: dict[str, Any] = {"monitor": "val_other", "mode": "min"}
            if name == "ModelCheckpoint":
                options |= {"filepath": "{epoch}.weights.h5", "save_best_only": True}
                options |= {"save_weights_only": True}
            with pytest.warns(UserWarning, match="val_other"):
                callback = getattr(package.callbacks, name)(**options)
                results.append(train(package, callback, SERIES[0]))
        np.testing.assert_equal(results[1], results[0])


def test_the_order_of_hooks(tmp_path: Path):
    """Of a callback that has them all, in a list that is driven by hand."""
    told: dict[str, list[Any]] = {name: [] for name in PACKAGES}
    for name, package in PACKAGES.items():
        hooks = [hook for hook in dir(package.callbacks.Callback) if hook.startswith("on_")]

        def teller(hook: str, list_: list[Any]) -> Any:
            def tell(self: Any, *args: Any, **kwargs: Any) -> None:
                list_.append((hook, *args, *kwargs.values()))

            return tell

        methods = {hook: teller(hook, told[name]) for hook in hooks}
        callback = type("Told", (package.callbacks.Callback,), methods)()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            train(package, callback, [1.0, 2.0], batches=2)
    assert told["keras"] == told["keraunos"]
    assert told["keras"]


# In trainings


def trained(package: ModuleType, optimizer: Any, given: Any, metrics: Any = ("mae",)) -> Any:
    """The model and its history after six epochs, from the same weights on the same data."""
    layers = package.layers
    model = package.Sequential([package.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1)])
    model.set_weights([draw(w.shape, seed=i) * 0.5 for i, w in enumerate(model.weights)])
    model.compile(optimizer, "mse", metrics=list(metrics))
    x, y = draw((40, 4), seed=8), draw((40, 1), seed=9)
    history = model.fit(
        x, y, batch_size=8, epochs=6, validation_split=0.2, shuffle=False, verbose=0,
        callbacks=given,
    )  # fmt: skip
    return model, history


def assert_trained_alike(make: Any) -> Any:
    """``make`` gives the optimizer and the callbacks of a package; our history is returned."""
    (theirs, expected), (ours, history) = (
        trained(package, *make(package)) for package in PACKAGES.values()
    )
    assert history.epoch == expected.epoch
    assert history.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=2e-4, err_msg=name)
    for weight, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(weight, reference, rtol=1e-3, atol=1e-4)
    return history


def test_stopping_and_best_weights():
    history = assert_trained_alike(
        lambda package: (
            package.optimizers.SGD(0.3),
            [package.callbacks.EarlyStopping("val_mae", patience=1, restore_best_weights=True)],
        )
    )
    assert len(history.epoch) < 6


def test_learning_rates():
    assert_trained_alike(
        lambda package: (
            package.optimizers.SGD(0.2, momentum=0.5),
            [
                package.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8),
                package.callbacks.ReduceLROnPlateau("val_mae", patience=1, factor=0.5),
            ],
        )
    )


def test_averages_are_what_is_validated():
    assert_trained_alike(
        lambda package: (
            package.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7),
            [package.callbacks.SwapEMAWeights()],
        )
    )


def test_averages_are_what_is_saved(tmp_path):
    kept = {}
    for name, package in PACKAGES.items():
        path = tmp_path / (name + "-{epoch}.weights.h5")
        saving = package.callbacks.ModelCheckpoint(path, save_weights_only=True)
        optimizer = package.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7)
        swapping = package.callbacks.SwapEMAWeights(swap_on_epoch=True)
        model, _ = trained(package, optimizer, [swapping, saving])
        kept[name] = [model.get_weights()]
        for epoch in range(1, 7):
            fresh = package.Sequential(
                [package.Input((4,)), package.layers.Dense(5), package.layers.Dense(1)]
            )
            fresh.load_weights(str(path).format(epoch=epoch))
            kept[name].append(fresh.get_weights())
    for ours, theirs in zip(kept["keraunos"], kept["keras"], strict=True):
        for weight, reference in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(weight, reference, rtol=1e-4, atol=1e-5)
