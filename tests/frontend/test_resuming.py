"""A training that was interrupted goes on to the very numbers of one that was not."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiers import deep

import keraunos
from keraunos import callbacks, layers
from keraunos.frontend.errors import UsageError
from keraunos.frontend.saving.state import Position, RandomState, load_state, save_state

EPOCHS, STEPS = 4, 5


def model_of(seed: int = 0, optimizer: Any = "adam", units: int = 6) -> Any:
    keraunos.utils.set_random_seed(seed)
    model = keraunos.Sequential(
        [
            keraunos.Input((4,)),
            layers.Dense(units, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Lambda(lambda x: keraunos.random.dropout(x, 0.1)),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(0).standard_normal((48, 5)).astype("float32")
    return drawn[:, :4], drawn[:, 4:]


def fit(model: Any, *given: Any, epochs: int = EPOCHS, **options: Any) -> callbacks.History:
    """Five steps an epoch, of which the last is smaller, and a validation."""
    x, y = data()
    options = {"batch_size": 8, "validation_split": 0.25, "verbose": 0, **options}
    return model.fit(x, y, epochs=epochs, callbacks=list(given), **options)


class Interrupt(callbacks.Callback):
    """Raises before a step, counted over all epochs."""

    def __init__(self, step: int, error: type[BaseException] = RuntimeError) -> None:
        self.left = step
        self.error = error

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error("interrupted")


def assert_goes_on_as(model: Any, history: Any, whole: Any, reference: Any) -> None:
    """The same weights and, from where it went on, the same history: bit for bit."""
    assert history.epoch == whole.epoch[-len(history.epoch) :]
    tail = {name: values[-len(history.epoch) :] for name, values in whole.history.items()}
    assert history.history == tail
    for variable, other in zip(state_of(model), state_of(reference), strict=True):
        np.testing.assert_array_equal(variable.value, other.value)


def state_of(model: Any) -> list[Any]:
    return [*model.weights, *model.optimizer.variables, model.layers[2].seed_generator.state]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[Any, Any]:
    model = model_of()
    return model, fit(model)


@pytest.mark.parametrize(
    ("frequency", "step", "first_epoch"),
    [
        ("epoch", 2, 0),  # before the first backup: it begins anew
        ("epoch", 13, 2),
        (1, 10, 2),
        (5, 12, 2),
        *deep(1, 3, 0),
        *deep(2, 13, 2),
        *deep(3, 14, 2),
        *deep(7, 8, 1),
    ],
)
def test_goes_on(folder, uninterrupted, frequency, step, first_epoch):
    reference, whole = uninterrupted
    backup = callbacks.BackupAndRestore(folder, save_freq=frequency)
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(model_of(), backup, Interrupt(step))
    # Nothing of the first process is left: other weights, other random streams.
    model = model_of(seed=first_epoch)
    history = fit(model, callbacks.BackupAndRestore(folder, save_freq=frequency))
    assert history.epoch[0] == first_epoch
    assert_goes_on_as(model, history, whole, reference)
    assert not folder.exists()


@pytest.mark.parametrize("frequency", ["epoch", 2])
def test_goes_on_again_and_again(folder, uninterrupted, frequency):
    reference, whole = uninterrupted
    for step in (6, 6, 3, 4):
        with pytest.raises(RuntimeError, match="interrupted"):
            backup = callbacks.BackupAndRestore(folder, save_freq=frequency)
            fit(model_of(), backup, Interrupt(step))
    model = model_of()
    history = fit(model, callbacks.BackupAndRestore(folder, save_freq=frequency))
    assert_goes_on_as(model, history, whole, reference)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keraunos.optimizers.SGD(0.1, momentum=0.9),
        lambda: keraunos.optimizers.Adam(
            keraunos.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), use_ema=True
        ),
        lambda: keraunos.optimizers.RMSprop(gradient_accumulation_steps=3),
    ],
    ids=["momentum", "schedule and averages", "accumulation"],
)
def test_optimizers_go_on(folder, optimizer):
    reference = model_of(optimizer=optimizer())
    whole = fit(reference)
    with pytest.raises(RuntimeError, match="interrupted"):
        backup = callbacks.BackupAndRestore(folder, save_freq=2)
        fit(model_of(optimizer=optimizer()), backup, Interrupt(13))
    model = model_of(optimizer=optimizer())
    history = fit(model, callbacks.BackupAndRestore(folder, save_freq=2))
    assert_goes_on_as(model, history, whole, reference)


def test_another_frequency_goes_on_within_the_epoch(folder, uninterrupted):
    reference, whole = uninterrupted
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(model_of(), callbacks.BackupAndRestore(folder, save_freq=2), Interrupt(13))
    model = model_of()
    history = fit(model, callbacks.BackupAndRestore(folder))
    assert_goes_on_as(model, history, whole, reference)


def test_a_finished_training_leaves_no_trace(folder):
    model = model_of()
    fit(model, callbacks.BackupAndRestore(folder))
    assert not folder.exists()
    assert fit(model, epochs=1).epoch == [0]


def test_a_folder_with_other_files_stays(folder):
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    fit(model_of(), callbacks.BackupAndRestore(folder), epochs=1)
    assert os.listdir(folder) == ["mine.txt"]


def test_a_backup_may_be_kept_and_is_a_file_of_weights(folder):
    model = model_of()
    fit(model, callbacks.BackupAndRestore(folder, delete_checkpoint=False))
    other = model_of(seed=3)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(folder / "latest.weights.h5")
    for weight, expected in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight.value, expected.value)
    assert int(other.optimizer.iterations) == EPOCHS * STEPS
    done = fit(model_of(), callbacks.BackupAndRestore(folder, delete_checkpoint=False))
    assert done.epoch == []


def test_ctrl_c_keeps_the_backup(folder, uninterrupted):
    reference, whole = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        backup = callbacks.BackupAndRestore(folder)
        fit(model_of(), backup, Interrupt(13, KeyboardInterrupt))
    model = model_of()
    history = fit(model, callbacks.BackupAndRestore(folder))
    assert history.epoch == [2, 3]
    assert_goes_on_as(model, history, whole, reference)


def interrupted(folder: Path, **options: Any) -> None:
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(model_of(), callbacks.BackupAndRestore(folder, **options), Interrupt(18))


def test_damage_is_seen(folder):
    interrupted(folder)
    path = folder / "latest.weights.h5"
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/0"][0, 0] += 1
    model = model_of()
    before = model.get_weights()
    with pytest.raises(ValueError, match="is damaged"):
        fit(model, callbacks.BackupAndRestore(folder))
    for weight, expected in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.value, expected)


def test_a_changed_byte_of_a_state_is_seen_or_changes_nothing(folder):
    interrupted(folder)
    path = folder / "latest.weights.h5"
    whole = path.read_bytes()
    model = model_of()
    model.optimizer.build(model.trainable_variables)
    expected = load_state(model, path)
    declined = 0
    for place, mask in zip(range(0, len(whole), len(whole) // 30), itertools.cycle((1, 128, 255))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        try:
            found = load_state(model, path)
        except UsageError:
            declined += 1
            continue
        assert found.position == expected.position
        for (_, ours), (_, theirs) in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert declined > 10


def test_damage_leads_back_to_the_backup_before(folder, uninterrupted):
    reference, whole = uninterrupted
    interrupted(folder, double_checkpoint=True)
    (folder / "latest.weights.h5").write_bytes(b"damaged")
    model = model_of()
    with pytest.warns(UserWarning, match="the backup before it is taken") as told:
        history = fit(model, callbacks.BackupAndRestore(folder, double_checkpoint=True))
    assert [each.filename for each in told] == [__file__]
    assert history.epoch == [2, 3]
    assert_goes_on_as(model, history, whole, reference)


def test_a_backup_of_another_model_or_optimizer(folder):
    interrupted(folder)
    with pytest.raises(ValueError, match=r"expected shape \(4, 7\) of kernel"):
        fit(model_of(units=7), callbacks.BackupAndRestore(folder))
    with pytest.raises(ValueError, match=r'optimizer "sgd.*expected 2 variables'):
        fit(model_of(optimizer="sgd"), callbacks.BackupAndRestore(folder))


def test_weights_alone_are_no_state(folder):
    model = model_of()
    folder.mkdir()
    model.save_weights(folder / "latest.weights.h5")
    with pytest.raises(ValueError, match="holds weights alone"):
        fit(model, callbacks.BackupAndRestore(folder))


class Drawing(keraunos.utils.PyDataset):
    """Draws an order, and noise for each batch, from the global streams."""

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = data()
        rows = slice(8 * index, 8 * index + 8)
        return x[rows] + np.random.standard_normal((8, 4)) + random.random(), y[rows]


class OwnStep(keraunos.Sequential):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class SeesWeights(callbacks.Callback):
    seen = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.seen = len(self.model.weights)


@pytest.mark.parametrize(
    ("kind", "eager", "frequency"),
    [
        (keraunos.Sequential, False, 2),
        (keraunos.Sequential, True, 2),
        (OwnStep, False, "epoch"),
        (OwnStep, True, 2),
    ],
)
def test_models_that_are_built_by_the_data_go_on(folder, kind, eager, frequency):
    def trained(*given: Any, seed: int = 0) -> tuple[Any, Any]:
        keraunos.utils.set_random_seed(seed)
        model = kind([layers.Dense(3, activation="tanh"), layers.Dropout(0.3), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"], run_eagerly=eager)
        backup = callbacks.BackupAndRestore(folder, save_freq=frequency)
        history = model.fit(Drawing(), epochs=3, verbose=0, callbacks=[backup, *given])
        return model, history

    seeing = SeesWeights()
    whole, expected = trained(seeing)
    assert seeing.seen == 4
    with pytest.raises(RuntimeError, match="interrupted"):
        trained(Interrupt(STEPS + 3))
    model, history = trained(seed=1)
    assert history.epoch == [1, 2]
    for name, values in history.history.items():
        assert values == expected.history[name][1:]
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_that_a_model_is_built_by_are_trained_on():
    """Of a generator none can be had twice."""
    x, y = data()
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]

    def trained(given: Any, *built: Any, **options: Any) -> Any:
        keraunos.utils.set_random_seed(0)
        model = keraunos.Sequential([*built, layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(given, verbose=0, shuffle=False, **options)
        return model

    expected = trained(batches_of(batches), keraunos.Input((4,)))
    assert int(expected.optimizer.iterations.numpy()) == len(batches)
    for model in (trained(batches_of(batches)), trained(batches_of(batches), steps_per_epoch=5)):
        np.testing.assert_array_equal(model.optimizer.iterations, len(batches))
        for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="gave none"):
        trained(batches_of([]))


def batches_of(batches: list[Any]) -> Any:
    yield from batches


def test_a_model_that_is_not_built(folder):
    backup = callbacks.BackupAndRestore(folder)
    backup.set_model(keraunos.Sequential([layers.Dense(1)]))
    with pytest.raises(ValueError, match="expected a built model"):
        backup.on_train_begin()


@pytest.mark.parametrize(("given", "message"), [(("",), "folder"), (("a", "batch"), "save_freq")])
def test_arguments_that_cannot_be(given, message):
    with pytest.raises(ValueError, match=message):
        callbacks.BackupAndRestore(*given)


# The state itself


def drawn() -> list[Any]:
    own = keraunos.random.normal((2,)).tolist()
    return [random.random(), np.random.random(), np.random.normal(), own]


def test_random_streams(tmp_path):
    model = model_of(seed=4)
    model.optimizer.build(model.trainable_variables)
    np.random.normal()  # keeps a second number for the next call
    now = RandomState.now()
    save_state(model, tmp_path / "s.weights.h5", Position(3, 2, now, now))
    expected = drawn()
    assert drawn() != expected
    state = load_state(model, tmp_path / "s.weights.h5")
    assert (state.position.epoch, state.position.step) == (3, 2)
    state.position.now.restore()
    assert drawn() == expected


TRAIN = """
import json, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parent)]
from test_resuming import callbacks, fit, model_of
class Told(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(json.dumps([epoch, logs]), flush=True)
class Begun(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("step", flush=True)
model = model_of()
backup = callbacks.BackupAndRestore(sys.argv[1], save_freq=2, double_checkpoint=True)
fit(model, Told(), Begun(), backup)
model.save_weights(sys.argv[3])
"""


def test_killed_at_any_moment(folder, tmp_path, uninterrupted):
    """Restarted until it is done, whenever it was killed, it ends with the same weights."""
    reference, whole = uninterrupted
    end = tmp_path / "end.weights.h5"
    command = [sys.executable, "-c", TRAIN, os.fspath(folder), str(Path(__file__).parent), end]
    told: dict[int, Any] = {}
    kills = 0
    for seed in range(20):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            steps_to_live = random.Random(seed).randrange(5, 12)
            for line in process.stdout:
                if line != "step\n":
                    epoch, logs = json.loads(line)
                    told[epoch] = logs
                    continue
                steps_to_live -= 1
                if not steps_to_live:
                    process.send_signal(signal.SIGKILL)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    for epoch in range(EPOCHS):
        assert told[epoch] == {name: values[epoch] for name, values in whole.history.items()}
    model = model_of(seed=9)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(end)
    for weight, expected in zip(model.weights, reference.weights, strict=True):
        np.testing.assert_array_equal(weight.value, expected.value)
