"""The loops of fit and evaluate, around a model whose steps are counted and not computed."""

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Mapping

import numpy as np
import pytest

from keraunos import callbacks, utils
from keraunos.frontend.callbacks import Callback, CallbackList, History, ProgbarLogger
from keraunos.frontend.training.loop import evaluate, fit
from keraunos.frontend.training.nested import Intake

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10, dtype="float32")


class Results(Mapping):
    """Logs that are counted when they are read."""

    def __init__(self, model, values):
        self.model = model
        self.values_ = values

    def __getitem__(self, name):
        self.model.reads += 1
        return self.values_[name]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


class Counting:
    """A model whose loss is the mean of the targets that it has seen since the last reset."""

    built = True
    optimizer = None
    steps_per_execution = 1
    trainable_variables = ()
    intake = Intake()

    def __init__(self):
        self.events = []
        self.trained = []
        self.tested = []
        self.checked = []
        self.reads = 0
        self.seen = []
        self.stop_training = self.stop_evaluating = False

    def train_step_on(self, batch, check=True):
        self.trained.append(copied(batch))
        return self._results("train", batch)

    def test_step_on(self, batch, check=True):
        self.tested.append(copied(batch))
        return self._results("test", batch)

    def _results(self, kind, batch):
        self.events.append(kind)
        self.seen += list(np.ravel(batch.y))
        mean = float(np.mean(self.seen))
        return Results(self, {"loss": mean, "accuracy": mean / 10})

    def reset_metrics(self):
        self.events.append("reset")
        self.seen = []

    def rehearse(self, batch):
        self.prepared = True

    def check_data(self, data, like, training):
        self.checked.append(data.y)


def copied(batch):
    return tuple(None if part is None else part.copy() for part in (
        batch.x, batch.y, batch.sample_weight
    ))  # fmt: skip


class Recording(Callback):
    """Writes down every hook, with what it is told."""

    def __init__(self):
        self.heard = []

    def __getattribute__(self, name):
        if not name.startswith("on_") or name in ("on_batch_begin", "on_batch_end"):
            return super().__getattribute__(name)
        heard = self.heard
        return lambda *args, **kwargs: heard.append((name, *args, *kwargs.values()))


@pytest.fixture
def model():
    return Counting()


def trained(model, *args, **options):
    return fit(model, *args, **{"verbose": 0, "shuffle": False, **options})


# What is trained on


def test_every_sample_once_an_epoch(model):
    trained(model, X, Y, batch_size=4, epochs=2)
    assert [y.tolist() for _, y, _ in model.trained] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9],
    ] * 2  # fmt: skip
    assert all(weights is None for _, _, weights in model.trained)
    assert model.events == ["reset", *["train"] * 3] * 2
    assert len(model.checked) == 1
    np.testing.assert_array_equal(model.checked[0], Y)


def test_shuffling_is_seeded_and_keeps_samples_together(model):
    utils.set_random_seed(3)
    trained(model, X, Y, batch_size=4, epochs=2, shuffle=True)
    first, second = (
        np.concatenate([y for _, y, _ in model.trained[i : i + 3]]) for i in (0, 3)
    )  # fmt: skip
    np.random.seed(3)
    assert first.tolist() == np.random.permutation(10).tolist()
    assert second.tolist() == np.random.permutation(10).tolist()
    for x, y, _ in model.trained:
        np.testing.assert_array_equal(x, X[y.astype(int)])
    utils.set_random_seed(3)
    again = Counting()
    trained(again, X, Y, batch_size=4, epochs=2, shuffle=True)
    assert [y.tolist() for _, y, _ in again.trained] == [y.tolist() for _, y, _ in model.trained]


def test_weights_of_samples_and_classes(model):
    trained(model, X, Y, sample_weight=Y * 2, shuffle=True)
    _, y, weights = model.trained[0]
    np.testing.assert_array_equal(weights, y * 2)
    trained(model, X, Y % 2, class_weight={1: 5.0}, shuffle=True)
    _, y, weights = model.trained[1]
    np.testing.assert_array_equal(weights, 1 + 4 * y)


def test_validation_is_on_the_last_part_and_not_shuffled(model):
    history = trained(
        model, X, Y, sample_weight=Y, validation_split=0.3, shuffle=True, batch_size=2,
    )  # fmt: skip
    assert sorted(np.concatenate([y for _, y, _ in model.trained])) == [0, 1, 2, 3, 4, 5, 6]
    assert [y.tolist() for _, y, _ in model.tested] == [[7, 8], [9]]
    assert [weights.tolist() for _, _, weights in model.tested] == [[7, 8], [9]]
    assert history.history["val_loss"] == [8.0]
    assert [y.tolist() for y in model.checked] == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]


def test_class_weights_are_not_for_validation(model):
    trained(model, X, Y % 2, class_weight={1: 5.0}, validation_split=0.5)
    assert model.tested[0][2] is None


def test_validation_data_come_before_a_split(model):
    trained(model, X, Y, validation_split=0.5, validation_data=(X[:2], Y[:2]))
    assert len(model.trained[0][1]) == 10
    assert model.tested[0][1].tolist() == [0, 1]


@pytest.mark.parametrize("data", [
    (X, Y, Y), [X, Y, Y], (pair for pair in [(X, Y, Y)]), iter([(X, Y, Y)]),
])  # fmt: skip
def test_forms_of_validation_data(model, data):
    trained(model, X, Y, validation_data=data)
    x, y, weights = model.tested[0]
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_array_equal(weights, Y)


def test_batches_of_validation(model):
    trained(model, X, Y, batch_size=5, validation_data=(X, Y))
    assert [len(y) for _, y, _ in model.tested] == [5, 5]
    model.tested.clear()
    trained(model, X, Y, batch_size=5, validation_data=(X, Y), validation_batch_size=8)
    assert [len(y) for _, y, _ in model.tested] == [8, 2]
    model.tested.clear()
    trained(model, X, Y, batch_size=5, validation_data=(X, Y), validation_steps=1, epochs=3)
    assert [y[0] for _, y, _ in model.tested] == [0, 0, 0]
    model.tested.clear()
    stream = ((X[:i], Y[:i]) for i in range(1, 9))
    trained(model, X, Y, batch_size=5, validation_data=stream, validation_steps=2, epochs=2)
    assert [len(y) for _, y, _ in model.tested] == [1, 2, 3, 4]


@pytest.mark.parametrize(("frequency", "epochs"), [
    (1, [0, 1, 2, 3]), (2, [1, 3]), ([1, 4], [0, 3]), ((2,), [1]), ({3}, [2]),
])  # fmt: skip
def test_how_often_validation_comes(model, frequency, epochs):
    recording = Recording()
    history = trained(
        model, X, Y, epochs=4, validation_data=(X, Y), validation_freq=frequency,
        callbacks=[recording],
    )  # fmt: skip
    told = [event for event in recording.heard if event[0] == "on_epoch_end"]
    assert [epoch for _, epoch, logs in told if "val_loss" in logs] == epochs
    assert len(history.history["val_loss"]) == len(epochs)
    assert len(history.history["loss"]) == 4


def test_streams(model):
    class Data(utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return X, Y + index

    trained(model, Data(), epochs=2)
    trained(model, ((X, Y + i) for i in range(3)))
    trained(model, iter([(X, Y), (X, Y + 1), (X, Y + 2)]), steps_per_epoch=1, epochs=3)
    assert [y[0] for _, y, _ in model.trained] == [0, 1, 2] * 4
    assert not model.checked


def test_an_iterator_that_ends_early_ends_the_training(model):
    stream = ((X, Y + i) for i in range(5))
    recording = Recording()
    with pytest.warns(UserWarning, match="ran out of data; interrupting training") as told:
        history = trained(model, stream, steps_per_epoch=3, epochs=9, callbacks=[recording])
    assert [warning.filename for warning in told] == [__file__]
    assert len(model.trained) == 5
    assert history.epoch == [0, 1]
    assert recording.heard[-1][0] == "on_train_end"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(model, ((X, Y) for _ in range(2)))


def test_validation_without_data_left_is_left_out(model):
    with pytest.warns(UserWarning, match="ran out of data"):
        history = trained(model, X, Y, epochs=3, validation_data=iter([(X, Y)]))
    assert len(history.history["loss"]) == 3
    assert len(history.history["val_loss"]) == 1


def test_initial_epoch_and_none(model):
    assert trained(model, X, Y, epochs=5, initial_epoch=3).epoch == [3, 4]
    recording = Recording()
    history = trained(model, X, Y, epochs=0, callbacks=[recording])
    assert history.epoch == []
    assert history.history == {}
    hooks = [event[0] for event in recording.heard]
    assert hooks == ["on_train_begin", "on_train_end"]


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"x": iter([(X, Y)]), "validation_split": 0.5}, ValueError, "Pass validation_data"),
    ({"x": iter([(X, Y)]), "y": Y}, ValueError, "expected no y beside data that give batches"),
    ({"x": iter([(X, Y)]), "batch_size": 3}, ValueError, "expected no batch_size beside"),
    ({"x": iter([])}, ValueError, "at least one batch; the data gave none"),
    ({"x": X, "y": Y[:4]}, ValueError, "one number of samples"),
    ({"x": X[:0], "y": Y[:0]}, ValueError, "at least one sample"),
    ({"x": X, "y": Y, "verbose": 3}, ValueError, "verbose: expected 0, 1, 2"),
    ({"x": X, "y": Y, "shuffle": "all"}, ValueError, "shuffle: expected True, False or"),
    ({"x": X, "y": Y, "steps_per_epoch": 0}, ValueError, "steps of 1 or more"),
    ({"x": X, "y": Y, "validation_data": (X, Y), "validation_freq": 0}, ValueError,
     "validation_freq: expected"),
    ({"x": X, "y": Y, "validation_data": (X, Y[:3])}, ValueError, "one number of samples"),
    ({"x": X, "y": Y, "validation_data": (X, Y, Y, Y)}, ValueError, "tuple of 4 parts"),
    ({"x": X, "y": Y, "validation_split": 1.5}, ValueError, "between 0 and 1; received 1.5"),
    ({"x": X, "y": Y, "callbacks": [3]}, TypeError, "callbacks: expected instances"),
])  # fmt: skip
def test_what_does_not_fit_together(model, options, error, message):
    with pytest.raises(error, match=message):
        trained(model, **options)
    assert not model.trained


# Who is told


def test_callbacks_hear_of_everything_in_order(model):
    recording = Recording()
    trained(model, X, Y, batch_size=5, validation_data=(X[:1], Y[:1]), callbacks=[recording])
    mean = {"accuracy": 0.45, "loss": 4.5}
    validated = {"accuracy": 0.0, "loss": 0.0}
    assert recording.heard == [
        ("on_train_begin", {}),
        ("on_epoch_begin", 0, {}),
        ("on_train_batch_begin", 0, {}),
        ("on_train_batch_end", 0, {"accuracy": 0.2, "loss": 2.0}),
        ("on_train_batch_begin", 1, {}),
        ("on_train_batch_end", 1, mean),
        ("on_test_begin", {}),
        ("on_test_batch_begin", 0, {}),
        ("on_test_batch_end", 0, validated),
        ("on_test_end", validated),
        ("on_epoch_end", 0, {**mean, "val_accuracy": 0.0, "val_loss": 0.0}),
        ("on_train_end", {**mean, "val_accuracy": 0.0, "val_loss": 0.0}),
    ]
    assert recording.params == {"verbose": 0, "epochs": 1, "steps": 2}
    assert recording.model is model


def test_evaluation_is_told_too(model):
    recording = Recording()
    evaluate(model, X, Y, batch_size=5, verbose=0, callbacks=[recording])
    assert [event[0] for event in recording.heard] == [
        "on_test_begin", *["on_test_batch_begin", "on_test_batch_end"] * 2, "on_test_end",
    ]  # fmt: skip
    assert recording.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_the_history(model):
    history = trained(model, X, Y, batch_size=5, epochs=3, validation_data=(X[5:], Y[5:]))
    assert isinstance(history, History)
    assert model.history is history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.history["loss"] == [4.5] * 3
    assert history.history["val_loss"] == [7.0] * 3
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 2}
    assert trained(model, ((X, Y) for _ in range(2))).params["steps"] is None


def test_a_history_and_a_list_of_callbacks_may_be_given(model):
    own = History()
    assert trained(model, X, Y, callbacks=own) is own
    assert own.history["loss"] == [4.5]
    listeners = CallbackList([Recording()])
    history = trained(model, X, Y, callbacks=listeners)
    assert history is listeners.history
    assert listeners.model is model


def test_logs_are_read_only_where_somebody_reads_them(model):
    trained(model, X, Y, batch_size=1, epochs=2)
    assert model.reads == 2 * 2  # two values at the end of each epoch
    trained(model, X, Y, batch_size=1, callbacks=[Recording()])
    assert model.reads == 4 + 10 * 2 + 2


class StopAt(Callback):
    def __init__(self, batch=None, epoch=None):
        self.batch, self.epoch = batch, epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.batch:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.stop_training = True


def test_a_callback_stops_the_training(model):
    history = trained(
        model, X, Y, batch_size=1, epochs=5, callbacks=[StopAt(batch=3)], validation_split=0.2
    )  # fmt: skip
    assert len(model.trained) == 4
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    model.trained.clear()
    history = trained(model, X, Y, epochs=5, callbacks=[StopAt(epoch=1)])
    assert history.epoch == [0, 1]
    assert len(trained(model, X, Y, epochs=3).epoch) == 3


def test_a_callback_says_where_to_go_on(model):
    class Restore(Callback):
        def on_train_begin(self, logs=None):
            self.model._initial_epoch, self.model._initial_step = 2, 1

    recording = Recording()
    utils.set_random_seed(4)
    history = trained(
        model, X, Y, batch_size=4, epochs=4, shuffle=True, callbacks=[Restore(), recording]
    )  # fmt: skip
    assert history.epoch == [2, 3]
    begun = [event[1] for event in recording.heard if event[0] == "on_train_batch_begin"]
    assert begun == [1, 2, 0, 1, 2]
    np.random.seed(4)
    order = np.random.permutation(10)[4:].tolist() + np.random.permutation(10).tolist()
    assert np.concatenate([y for _, y, _ in model.trained]).tolist() == order
    assert trained(model, X, Y, epochs=2).epoch == [0, 1]


class Interrupting(Counting):
    def train_step_on(self, batch, check=True):
        if len(self.trained) == 5:
            raise KeyboardInterrupt
        return super().train_step_on(batch, check)


def test_an_interrupt_ends_in_good_order():
    model, recording = Interrupting(), Recording()
    with pytest.raises(KeyboardInterrupt):
        trained(model, X, Y, batch_size=4, epochs=9, callbacks=[recording])
    assert recording.heard[-1] == ("on_train_end", {"accuracy": 0.45, "loss": 4.5})
    assert model.history.history == {"accuracy": [0.45], "loss": [4.5]}
    assert model.history.epoch == [0]
    model.trained.clear()
    assert trained(model, X, Y).epoch == [0]


def test_an_error_of_a_step_is_the_callers(model):
    model.train_step_on = lambda batch, check: 1 / 0
    recording = Recording()
    with pytest.raises(ZeroDivisionError):
        trained(model, X, Y, callbacks=[recording])
    assert [event[0] for event in recording.heard][-1] == "on_train_batch_begin"


@pytest.mark.parametrize("broken", [False, True])
def test_averages_of_weights_take_their_places_at_the_end(model, broken):
    class Averaging:
        def finalize_variable_values(self, variables):
            model.events.append(variables)

    model.optimizer = Averaging()
    model.trainable_variables = ["kernel"]

    class Breaking(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ZeroDivisionError

    if broken:
        with pytest.raises(ZeroDivisionError):
            trained(model, X, Y, callbacks=[Breaking()])
    else:
        trained(model, X, Y, epochs=2)
    assert model.events.count(["kernel"]) == 1
    assert model.events[-1] == ["kernel"]


def test_there_are_no_averages_before_the_first_step(model):
    class Averaging:
        def finalize_variable_values(self, variables):
            raise AssertionError("zeros would take the place of the weights")

    model.optimizer = Averaging()
    trained(model, X, Y, epochs=0)
    model.train_step_on = lambda batch, check: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trained(model, X, Y)


def test_averages_have_taken_their_places_before_an_end_is_told():
    class Averaging:
        def finalize_variable_values(self, variables):
            recording.heard.append(("finalized",))

    for model in (Counting(), Interrupting()):
        recording = Recording()
        model.optimizer = Averaging()
        with contextlib.suppress(KeyboardInterrupt):
            trained(model, X, Y, batch_size=1, callbacks=[recording])
        assert [event[0] for event in recording.heard][-2:] == ["finalized", "on_train_end"]


# Evaluation


def test_evaluate_returns_the_loss_then_the_rest(model):
    assert evaluate(model, X, Y, verbose=0) == [4.5, 0.45]
    assert model.events == ["reset", "test"]
    named = evaluate(model, X, Y, verbose=0, return_dict=True)
    assert named == {"accuracy": 0.45, "loss": 4.5}
    assert list(named) == ["accuracy", "loss"]
    model._results = lambda kind, batch: {"loss": 2.0}
    assert evaluate(model, X, Y, verbose=0) == 2.0


def test_evaluate_takes_what_fit_takes(model):
    assert evaluate(model, iter([(X[:5], Y[:5]), (X[5:], Y[5:])]), verbose=0)[0] == 4.5
    evaluate(model, X, Y, batch_size=4, sample_weight=Y, verbose=0)
    assert [weights.tolist() for _, _, weights in model.tested[2:]] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9],
    ]  # fmt: skip
    assert evaluate(model, X, Y, batch_size=2, steps=2, verbose=0)[0] == 1.5
    assert evaluate(model, X, Y, steps=3, verbose=0)[0] == 4.5
    with pytest.raises(ValueError, match="gave none"):
        evaluate(model, iter([]), verbose=0)
    with pytest.raises(ValueError, match="verbose"):
        evaluate(model, X, Y, verbose="loud")


def test_an_interrupt_of_evaluate_ends_in_good_order(model, capsys):
    def batches():
        yield X, Y
        raise KeyboardInterrupt

    recording = Recording()
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, batches(), callbacks=[recording])
    assert recording.heard[-1] == ("on_test_end", {})
    assert capsys.readouterr().out.endswith("\n")


def test_evaluate_stops_when_asked(model):
    class Stop(Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = True

    assert evaluate(model, X, Y, batch_size=2, verbose=0, callbacks=[Stop()])[0] == 0.5
    assert evaluate(model, X, Y, batch_size=2, verbose=0)[0] == 4.5


# What is shown

TIMES = re.compile(r"\d+(s|ms|us)\b")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str) -> list[str]:
    """The lines that stay on the screen, without colours, times as 0."""
    text = re.sub(r"\x1b\[\d+m", "", text)
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [TIMES.sub(r"0\1", line).replace("ms/", "s/").replace("us/", "s/") for line in lines]


def test_nothing_is_shown_with_verbose_0(model, capsys):
    trained(model, X, Y, epochs=2)
    evaluate(model, X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2, "auto", True])
def test_a_file_gets_a_line_an_epoch(model, capsys, verbose):
    trained(model, X, Y, batch_size=4, epochs=2, verbose=verbose, validation_data=(X, Y))
    trained(model, X, Y, batch_size=4, verbose=verbose)
    evaluate(model, X, Y, batch_size=4, verbose=verbose)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\r" not in text
    line = "3/3 - 0s - 0s/step - accuracy: 0.4500 - loss: 4.5000"
    both = f"{line} - val_accuracy: 0.4500 - val_loss: 4.5000"
    assert shown(text) == ["Epoch 1/2", both, "Epoch 2/2", both, line, line, ""]


def test_a_terminal_gets_one_line_redrawn(model, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    trained(model, X, Y, batch_size=4, verbose="auto", validation_data=(X, Y))
    text = terminal.getvalue()
    bar = "━" * 20
    both = "accuracy: 0.4500 - loss: 4.5000 - val_accuracy: 0.4500 - val_loss: 4.5000"
    assert shown(text) == [f"3/3 {bar} 0s 0s/step - {both}", ""]
    assert text.count("\n") == 1
    assert 2 <= text.count("\r") <= 4
    first = text.split("\r")[1]
    assert "1/3" in first
    assert "accuracy: 0.1500 - loss: 1.5000" in first


def test_redrawn_lines_fit_on_one_row(model, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "50")
    model._results = lambda kind, batch: {"loss": 1.0, **{f"metric_{i}": 1.0 for i in range(9)}}
    trained(model, X, Y, batch_size=1, verbose=1)
    *redrawn, last = terminal.getvalue().split("\r")[1:]
    widths = [len(re.sub(r"\x1b\[\d+m", "", line)) for line in redrawn]
    assert max(widths) == 49
    assert "metric_8: 1.0000" in last


def test_a_stream_of_unknown_length_is_shown(model, capsys, monkeypatch):
    trained(model, ((X, Y) for _ in range(4)), verbose=1)
    assert shown(capsys.readouterr().out)[0].startswith("4/4 - 0s - 0s/step - accuracy")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    trained(model, ((X, Y) for _ in range(4)), verbose=1)
    assert "      1/Unknown" in terminal.getvalue()
    assert shown(terminal.getvalue())[0].startswith("4/4 ━━━━")


def test_an_interrupt_leaves_the_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupting(), X, Y, batch_size=4, epochs=9, verbose=1)
    assert terminal.getvalue().endswith("\n")


def test_logs_are_read_only_when_they_are_shown(model, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    many = np.zeros((300, 1), "float32")
    trained(model, many, many, batch_size=1, verbose=1)
    assert model.reads < 100
    model.reads = 0
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    trained(model, many, many, batch_size=1, verbose=1)
    assert model.reads == 2


def test_an_own_progress_bar(model, capsys):
    trained(model, X, Y, verbose=1, callbacks=[ProgbarLogger()])
    assert capsys.readouterr().out.count("1/1") == 1
    assert callbacks.ProgbarLogger is ProgbarLogger
