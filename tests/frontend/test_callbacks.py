"""Callbacks: what each does on logs that are given, without a training around it."""

import csv
import http.server
import json
import os
import struct
import threading
import urllib.parse
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import callbacks
from keraunos.frontend.callbacks.events import EventWriter, masked_crc


class Metric:
    def __init__(self, name: str, direction: str | None = None) -> None:
        self.name = name
        if direction:
            self._direction = direction


class Optimizer:
    def __init__(self, learning_rate: float = 1.0) -> None:
        self.learning_rate = learning_rate
        self.iterations = 0
        self.name = "optimizer"


class Model:
    """What callbacks ask of a model."""

    def __init__(self, learning_rate: float = 1.0) -> None:
        self.name = "model"
        self.optimizer = Optimizer(learning_rate)
        self.stop_training = False
        self.metrics = [Metric("loss"), Metric("accuracy", "up"), Metric("mae", "down")]
        self.weights: list[Any] = []
        self.values = [np.zeros(1)]
        self.saved: list[str] = []
        self.history: Any = None

    def get_weights(self) -> list[np.ndarray]:
        return [value.copy() for value in self.values]

    def set_weights(self, values: list[np.ndarray]) -> None:
        self.values = values

    def save_weights(self, path: str, overwrite: bool = True) -> None:
        assert overwrite
        self.saved.append(path)


def train(
    given: Any, values: list[Any], model: Any = None, name: str = "val_loss", batches: int = 0
) -> tuple[Any, callbacks.History]:
    """Epochs whose logs are given, with a number of batches each, until one wants to stop."""
    model = model or Model()
    listeners = callbacks.CallbackList(
        given, add_history=True, model=model, epochs=len(values), steps=batches, verbose=0
    )
    listeners.on_train_begin()
    logs: dict[str, Any] = {}
    for epoch, value in enumerate(values):
        listeners.on_epoch_begin(epoch)
        logs = value if isinstance(value, dict) else {name: value}
        for batch in range(batches):
            listeners.on_train_batch_begin(batch)
            listeners.on_train_batch_end(batch, logs)
        model.values = [np.full(1, float(epoch))]
        listeners.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    listeners.on_train_end(logs)
    assert listeners.history is not None
    return model, listeners.history


# The list


def test_hooks_are_called_in_order_with_sorted_floats():
    told: list[Any] = []

    class Told(callbacks.Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            told.append((self.name, epoch, dict(logs), list(logs)))
            logs[self.name] = 1.0

    train([[Told("a")], Told("b")], [{"b": np.float32(0.5), "a": np.array(2), "in": {"c": 1}}])
    assert told[0] == ("a", 0, {"a": 2.0, "b": 0.5, "c": 1.0}, ["a", "b", "c"])
    assert told[1][2] == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert all(type(value) is float for value in told[1][2].values())


def test_history():
    _, history = train(None, [{"loss": 2.0, "acc": 0.1}, {"loss": 1.0, "acc": 0.2, "val_loss": 3}])
    assert history.history == {"acc": [0.1, 0.2], "loss": [2.0, 1.0], "val_loss": [3.0]}
    assert history.epoch == [0, 1]
    assert history.params == {"epochs": 2, "steps": 0, "verbose": 0}
    assert history.model.history is history


class Unread(Mapping[str, Any]):
    """Logs that must not be read."""

    def __getitem__(self, name: str) -> Any:
        raise AssertionError("the logs were read")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the logs were read")

    def __len__(self) -> int:
        return 1


def listeners_of(*given: Any, **params: Any) -> callbacks.CallbackList:
    return callbacks.CallbackList(
        list(given), model=Model(), **{"epochs": 1, "steps": 2, "verbose": 0, **params}
    )


def test_batches_nobody_wants_are_not_read(tmp_path):
    idle = listeners_of(
        callbacks.Callback(),
        callbacks.History(),
        callbacks.EarlyStopping(),
        callbacks.ModelCheckpoint(tmp_path / "a.weights.h5", save_weights_only=True),
        callbacks.TensorBoard(tmp_path),
        callbacks.BackupAndRestore(tmp_path / "backup"),
        callbacks.LambdaCallback(on_epoch_end=print),
    )
    assert not idle.wants_train_batches
    assert not idle.wants_test_batches
    assert not idle.wants_predict_batches
    idle.on_train_batch_end(0, Unread())
    idle.on_test_batch_end(0, Unread())


class Old(callbacks.Callback):
    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen = (batch, logs)


def test_whoever_wants_batches_gets_them(tmp_path):
    class Checkpoint(callbacks.ModelCheckpoint):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None: ...

    class Later(callbacks.Callback):
        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None: ...

    weights = {"filepath": tmp_path / "a.weights.h5", "save_weights_only": True}
    for wanting in (
        Old(),
        Checkpoint(**weights),
        callbacks.ModelCheckpoint(**weights, save_freq=2),
        callbacks.TensorBoard(tmp_path, update_freq="batch"),
        callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2),
        callbacks.LambdaCallback(on_train_batch_end=print),
        callbacks.TerminateOnNaN(),
    ):
        assert listeners_of(wanting).wants_train_batches
        assert not listeners_of(wanting).wants_test_batches
    assert listeners_of(Later()).wants_test_batches
    assert listeners_of(callbacks.LambdaCallback(on_predict_batch_end=print)).wants_predict_batches


def test_the_older_name_of_batches():
    old = Old()
    listeners_of(old).on_train_batch_end(3, {"loss": np.float32(2)})
    assert old.seen == (3, {"loss": 2.0})


def test_outputs_of_predictions_stay_arrays():
    seen: list[Any] = []
    listeners = listeners_of(
        callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs))
    )
    outputs = np.ones((2, 1))
    listeners.on_predict_batch_end(0, {"outputs": outputs})
    assert seen[0]["outputs"] is outputs


def test_what_is_added_later_hears_too():
    listeners = listeners_of()
    late = Old()
    listeners.append(late)
    assert late.model is listeners.model
    assert late.params == listeners.params
    assert listeners.wants_train_batches


@pytest.mark.parametrize("wrong", [callbacks.History, print, "early_stopping", 3])
def test_what_is_no_callback(wrong):
    with pytest.raises(TypeError, match="expected instances"):
        callbacks.CallbackList([wrong])


# Early stopping


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({}, [3, 2, 2, 1], 3),
        ({"patience": 1}, [3, 2, 2, 1, 1, 1], 3),
        ({"patience": 2}, [3, 2, 2, 2.5, 1], 4),
        ({"min_delta": 0.5}, [3, 2.6, 1], 2),
        ({"min_delta": -0.5}, [3, 2.4, 1], 3),
        ({"baseline": 1.0, "patience": 2}, [3, 2, 1.5, 0.5], 4),
        ({"baseline": 1.0, "patience": 2}, [3, 3, 3, 0.5], 2),
        ({"start_from_epoch": 2}, [1, 2, 3, 2, 4], 5),
        ({"mode": "max"}, [1, 2, 2], 3),
        ({"monitor": "val_accuracy"}, [1, 2, 1], 3),
        ({"monitor": "val_mae"}, [2, 1, 2, 1], 3),
        ({}, [5, 6, 4], 2),
        ({}, [float("nan"), float("nan"), 1], 2),
    ],
)
def test_early_stopping(options, values, epochs):
    stopper = callbacks.EarlyStopping(**options)
    model, history = train(stopper, values, name=options.get("monitor", "val_loss"))
    assert len(history.epoch) == epochs
    assert stopper.stopped_epoch == (epochs - 1 if model.stop_training else 0)


def test_early_stopping_takes_the_best_weights_back(capsys):
    stopper = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    model, _ = train(stopper, [3, 1, 2, 2, 0])
    assert model.values == [1.0]
    assert stopper.best_epoch == 1
    assert "Epoch 4: early stopping" in capsys.readouterr().out
    keeper = callbacks.EarlyStopping(patience=2)
    assert train(keeper, [3, 1, 2, 2, 0])[0].values == [3.0]
    assert keeper.best_epoch == 1


def test_early_stopping_takes_the_best_weights_back_at_the_end_too():
    stopper = callbacks.EarlyStopping(patience=9, restore_best_weights=True)
    assert train(stopper, [3, 1, 2])[0].values == [1.0]


def test_early_stopping_begins_anew():
    stopper = callbacks.EarlyStopping()
    train(stopper, [1, 2])
    assert len(train(stopper, [9, 8, 7])[1].epoch) == 3


def test_a_metric_that_is_not_there():
    with pytest.warns(UserWarning, match="expected the metric 'val_loss'.*there are: loss"):
        _, history = train(callbacks.EarlyStopping(), [1, 2, 3], name="loss")
    assert len(history.epoch) == 3


def test_a_metric_that_does_not_say_which_way_is_better():
    with pytest.raises(ValueError, match="monitor='val_other'"):
        train(callbacks.EarlyStopping("val_other"), [1.0], name="val_other")


def test_an_unknown_mode():
    with pytest.warns(UserWarning, match='"auto", "min" or "max"'):
        assert callbacks.EarlyStopping(mode="least").mode == "auto"


# Learning rates


def test_reduce_on_plateau(capsys):
    reducer = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, verbose=1)
    _, history = train(reducer, [3, 3, 3, 3, 3, 1])
    assert history.history["learning_rate"] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    assert "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.5." in capsys.readouterr().out


def rates_after(values: list[float], **options: Any) -> list[float]:
    """The learning rate after each epoch."""
    rates: list[float] = []
    model = Model(1.0)
    reducer = callbacks.ReduceLROnPlateau(factor=0.5, **options)
    record = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(model.optimizer.learning_rate)
    )
    train([reducer, record], values, model)
    return rates


def test_patience_cooldown_and_least_rate():
    flat = [3.0] * 6
    assert rates_after(flat, patience=1) == [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert rates_after(flat, patience=2) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates_after(flat, patience=1, cooldown=2) == [1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert rates_after(flat, patience=1, min_lr=0.3) == [1, 0.5, 0.3, 0.3, 0.3, 0.3]
    assert rates_after([3, 2.95, 2.9, 2.8], patience=1, min_delta=0.1) == [1, 0.5, 0.25, 0.25]


def test_a_factor_of_one():
    with pytest.raises(ValueError, match="expected a factor below 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_scheduler(capsys):
    model = Model(1.0)
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1)
    _, history = train(scheduler, [1, 1, 1], model)
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    assert "Epoch 3: LearningRateScheduler setting learning rate to 0.125." in (
        capsys.readouterr().out
    )
    _, history = train(callbacks.LearningRateScheduler(lambda epoch: 0.1 + epoch), [1, 1], model)
    assert history.history["learning_rate"] == [0.1, 1.1]


def test_a_schedule_that_fails_is_not_called_again():
    def schedule(epoch: int, rate: float) -> float:
        raise TypeError("within")

    with pytest.raises(TypeError, match="within"):
        train(callbacks.LearningRateScheduler(schedule), [1])


def test_a_schedule_that_gives_no_float():
    with pytest.raises(ValueError, match="expected a float from the schedule; received 1"):
        train(callbacks.LearningRateScheduler(lambda epoch: 1), [1])


# Checkpoints


def saved(values: list[Any], batches: int = 0, **options: Any) -> list[str]:
    path = options.pop("filepath", "e{epoch:02d}.weights.h5")
    checkpoint = callbacks.ModelCheckpoint(path, save_weights_only=True, **options)
    return [
        name.removesuffix(".weights.h5")
        for name in train(checkpoint, values, batches=batches)[0].saved
    ]


def test_checkpoints_by_epoch(tmp_path):
    assert saved([1, 2]) == ["e01", "e02"]
    name = "{epoch}-{val_loss:.2f}.weights.h5"
    assert saved([1.234], filepath=name) == ["1-1.23"]
    below = tmp_path / "a" / "b" / "c.weights.h5"
    saved([1], filepath=below)
    assert below.parent.is_dir()


def test_no_value_of_a_log_leads_out_of_the_folder():
    assert saved(["../../x"], filepath="a/{val_loss}.weights.h5") == ["a/.._.._x"]


def test_checkpoints_of_the_best():
    assert saved([3, 4, 2, 2], save_best_only=True) == ["e01", "e03"]
    assert saved([3, 4, 2], save_best_only=True, mode="max") == ["e01", "e02"]
    best = {"save_best_only": True, "initial_value_threshold": 3.0}
    assert saved([3, 4, 2], **best) == ["e03"]
    assert saved([3, 4, 2], **best, mode="max") == ["e02"]


def test_checkpoints_by_batch():
    name = "{epoch}-{batch}.weights.h5"
    assert saved([1, 1], 3, save_freq=2, filepath=name) == ["1-2", "2-1", "2-3"]
    assert saved([1, 1], 3, save_freq=3, filepath=name) == ["1-3", "2-3"]
    assert saved([3, 4, 2], 1, save_freq=1, save_best_only=True, filepath=name) == ["1-1", "3-1"]


def test_checkpoints_without_the_metric():
    with pytest.warns(UserWarning, match="expected the metric 'val_loss', which is not available"):
        assert saved([{"loss": 1.0}], save_best_only=True) == ["e01"]
    with pytest.warns(UserWarning, match="as a number"):
        assert saved([{"val_loss": np.ones(2)}], save_best_only=True) == ["e01"]


def test_checkpoints_say_what_they_do(capsys):
    saved([3, 4], save_best_only=True, verbose=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines == [
        "Epoch 1: val_loss improved from None to 3.00000, saving model to e01.weights.h5",
        "Epoch 1: finished saving model to e01.weights.h5",
        "Epoch 2: val_loss did not improve from 3.00000",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filepath": "a.keras", "save_weights_only": True}, r"ends in \.weights\.h5"),
        ({"filepath": "a.ckpt"}, r"ends in \.keras"),
        ({"filepath": "a.keras", "save_freq": "batch"}, "number of batches; received 'batch'"),
        ({"filepath": "a.keras", "save_freq": 0}, "number of batches; received 0"),
    ],
)
def test_checkpoints_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        callbacks.ModelCheckpoint(**options)


def test_a_name_that_asks_for_an_unknown_metric():
    with pytest.raises(ValueError, match="epoch, val_loss in braces; received 'acc'"):
        saved([1.0], filepath="{acc}.weights.h5")


def test_a_model_that_cannot_be_saved_as_a_whole():
    with pytest.raises(ValueError, match="save_weights_only=True"):
        train(callbacks.ModelCheckpoint("a.keras"), [1.0])


def test_checkpoints_load(tmp_path):
    model = keraunos.Sequential([keraunos.Input((2,)), keraunos.layers.Dense(1)])
    model.optimizer, model.stop_training = Optimizer(), False
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_weights_only=True)
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {})
    expected = model.get_weights()
    model.set_weights([weight * 0 + 5 for weight in expected])
    model.load_weights(tmp_path / "m.weights.h5")
    for weight, value in zip(model.weights, expected, strict=True):
        np.testing.assert_array_equal(weight.value, value)


# Files and servers


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    logs = [{"loss": 1.5, "acc": np.array([1, 2])}, {"loss": 1.0, "acc": 0.5, "val_loss": 2.0}]
    train(callbacks.CSVLogger(path), logs)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["epoch", "acc", "loss", "val_acc", "val_loss"],
        ["0", '"[1, 2]"', "1.5", "NA", "NA"],
        ["1", "0.5", "1.0", "NA", "2.0"],
    ]


def test_csv_goes_on_or_begins_anew(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        train(callbacks.CSVLogger(path, separator=";", append=True), [{"loss": 1.0}])
    assert path.read_text().splitlines() == ["epoch;loss;val_loss", "0;1.0;NA", "0;1.0;NA"]
    train(callbacks.CSVLogger(path), [{"loss": 1.0}])
    assert len(path.read_text().splitlines()) == 2


def test_terminate_on_nan(capsys):
    for value in (float("nan"), float("inf")):
        _, history = train(callbacks.TerminateOnNaN(), [{"loss": value}] * 3, batches=2)
        assert history.epoch == [0]
        assert "Batch 0: Invalid loss" in capsys.readouterr().out
    assert len(train(callbacks.TerminateOnNaN(), [{"loss": 1.0}] * 3, batches=2)[1].epoch) == 3
    with pytest.raises(RuntimeError, match="nan at batch 0"):
        train(callbacks.TerminateOnNaN(raise_error=True), [{"loss": float("nan")}], batches=1)


def test_lambda_callback():
    told: list[Any] = []
    names = ["on_train_begin", "on_train_end", "on_test_begin"]
    epochs = ["on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"]
    hooks: dict[str, Any] = {name: lambda logs, name=name: told.append(name) for name in names}
    hooks |= {name: lambda at, logs, name=name: told.append((name, at)) for name in epochs}
    train(callbacks.LambdaCallback(**hooks, extra=3), [1.0], batches=1)
    assert told == [
        "on_train_begin",
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0),
        ("on_epoch_end", 0),
        "on_train_end",
    ]
    assert callbacks.LambdaCallback(extra=3).extra == 3
    with pytest.raises(TypeError, match="on_epoch_end as a function"):
        callbacks.LambdaCallback(on_epoch_end=3)


class Server:
    """A web server that keeps what it is sent."""

    def __init__(self, status: int = 200) -> None:
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                received.append((self.path, self.headers, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_remote_monitor():
    with Server() as server:
        train(callbacks.RemoteMonitor(server.root, headers={"X-Key": "k"}), [1.5])
        train(callbacks.RemoteMonitor(server.root, "/in", send_as_json=True), [1.5])
    (path, headers, body), (other_path, _, text) = server.received
    assert (path, headers["X-Key"]) == ("/publish/epoch/end/", "k")
    expected = {"epoch": 0, "val_loss": 1.5}
    assert json.loads(urllib.parse.parse_qs(body)["data"][0]) == expected
    assert (other_path, json.loads(text)) == ("/in", expected)


def test_remote_monitor_without_a_server():
    with Server() as server:
        pass
    with pytest.warns(UserWarning, match="could not reach the server"):
        train(callbacks.RemoteMonitor(server.root), [1.5])


def test_remote_monitor_that_is_declined():
    with Server(403) as server, pytest.warns(UserWarning, match="403"):
        train(callbacks.RemoteMonitor(server.root), [1.5])


# TensorBoard


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer, read as its specification tells."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        size = {1: 8, 5: 4}.get(kind)
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind == 2:
            size = varint()
        assert size is not None
        raw = data[at : at + size]
        at += size
        yield key >> 3, struct.unpack({1: "<d", 5: "<f"}[kind], raw)[0] if kind != 2 else raw


def events(folder: Path) -> list[tuple[str, int, Any]]:
    """Name, step and value of each event; histograms as dicts of fields."""
    found = []
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            head, data = data[:12], data[12:]
            length, check = struct.unpack("<QI", head)
            assert check == masked_crc(head[:8])
            event, (check,), data = (
                data[:length],
                struct.unpack("<I", data[length : length + 4]),
                data[length + 4 :],
            )
            assert check == masked_crc(event)
            parts = dict(fields(event))
            if 5 not in parts:
                assert parts[3] == b"brain.Event:2"
                continue
            value = dict(fields(dict(fields(parts[5]))[1]))
            content = value[2] if 2 in value else dict(fields(value[5]))
            found.append((value[1].decode(), parts.get(2, 0), content))
    return found


def test_checksums():
    """The check value of CRC-32C, of the digits 1 to 9, is e3069283 (RFC 3720)."""
    crc = 0xE3069283
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    assert masked_crc(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) % 2**32


def test_events_as_bytes(tmp_path, monkeypatch):
    """What TensorFlow's own writer makes of the same event."""
    monkeypatch.setattr("time.time", lambda: 1.0)
    writer = EventWriter(tmp_path)
    writer.scalar("x", 0.5, 300)
    writer.close()
    data = writer.path.read_bytes()
    second = data[12 + struct.unpack("<Q", data[:8])[0] + 4 :]
    event = bytes.fromhex("09000000000000f03f10ac022a0a0a080a0178150000003f")
    assert second[8 + 4 : -4] == event


def test_no_name_of_a_machine_leads_out_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "../../host")
    writer = EventWriter(tmp_path / "events")
    writer.close()
    assert os.listdir(tmp_path) == ["events"]
    assert os.listdir(tmp_path / "events") == [writer.path.name]


def test_tensorboard_by_epoch(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    train(board, [{"loss": 2.0, "val_loss": 3.0}, {"loss": 1.0, "val_loss": 2.5}], Model(0.25))
    assert events(tmp_path / "train") == [
        ("epoch_loss", 0, 2.0),
        ("epoch_learning_rate", 0, 0.25),
        ("epoch_loss", 1, 1.0),
        ("epoch_learning_rate", 1, 0.25),
    ]
    assert events(tmp_path / "validation") == [("epoch_loss", 0, 3.0), ("epoch_loss", 1, 2.5)]


def test_tensorboard_by_batch(tmp_path):
    board = callbacks.TensorBoard(tmp_path, update_freq=2)
    train(board, [{"loss": 2.0}, {"loss": 1.0}], batches=3)
    by_batch = [event for event in events(tmp_path / "train") if event[0] == "batch_loss"]
    assert by_batch == [("batch_loss", 2, 2.0), ("batch_loss", 4, 1.0), ("batch_loss", 6, 1.0)]


def test_tensorboard_of_evaluations(tmp_path):
    board, model = callbacks.TensorBoard(tmp_path), Model()
    model.optimizer.iterations = 7
    listeners = callbacks.CallbackList(board, model=model)
    listeners.on_test_begin()
    listeners.on_test_end({"loss": 2.0})
    assert events(tmp_path / "validation") == [("evaluation_loss_vs_iterations", 7, 2.0)]


def test_tensorboard_speed(tmp_path):
    board = callbacks.TensorBoard(tmp_path, write_steps_per_second=True, update_freq=1)
    train(board, [{"loss": 2.0}], batches=1)
    names = [name for name, _, _ in events(tmp_path / "train")]
    assert "batch_steps_per_second" in names
    assert "epoch_steps_per_second" in names


def test_tensorboard_histograms(tmp_path):
    model = Model()
    values = np.array([[0.0, 1.0], [3.0, np.nan]])
    model.weights = [keraunos.Variable(values, name="kernel", path="dense/kernel")]
    train(callbacks.TensorBoard(tmp_path, histogram_freq=2), [{"loss": 1.0}] * 3, model)
    written = [event for event in events(tmp_path / "train") if "histogram" in event[0]]
    assert [(name, step) for name, step, _ in written] == [
        ("dense/kernel/histogram", 0),
        ("dense/kernel/histogram", 2),
    ]
    histogram = written[0][2]
    assert [histogram[field] for field in range(1, 6)] == [0.0, 3.0, 3.0, 4.0, 10.0]
    limits, counts = (np.frombuffer(histogram[field], "<f8") for field in (6, 7))
    assert limits[-1] == 3.0
    assert counts.sum() == 3


def test_no_files_without_events(tmp_path):
    train(callbacks.TensorBoard(tmp_path / "logs"), [{}])
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("option", ["write_images", "profile_batch", "embeddings_freq"])
def test_what_tensorboard_is_not_given(option):
    with pytest.raises(ValueError, match=f"expected no {option}"):
        callbacks.TensorBoard(**{option: 2})


# Averages


class Averaging(Optimizer):
    use_ema = True

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.averages = [(weight, keraunos.Variable(np.array([10.0])))]


def test_swap_ema_weights():
    weight = keraunos.Variable(np.array([1.0]))
    model = Model()
    model.optimizer = Averaging(weight)
    seen: list[float] = []
    look = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(weight.value.item()),
        on_epoch_end=lambda epoch, logs: seen.append(weight.value.item()),
        on_test_begin=lambda logs: seen.append(weight.value.item()),
        on_predict_begin=lambda logs: seen.append(weight.value.item()),
    )
    listeners = callbacks.CallbackList(
        [callbacks.SwapEMAWeights(swap_on_epoch=True), look], model=model, epochs=2
    )
    listeners.on_epoch_begin(0)
    listeners.on_test_begin()
    listeners.on_test_end()
    assert weight.value == 1.0
    listeners.on_predict_begin()
    listeners.on_predict_end()
    assert weight.value == 1.0
    listeners.on_epoch_end(0)
    listeners.on_epoch_begin(1)
    listeners.on_epoch_end(1)
    assert seen == [1.0, 10.0, 10.0, 10.0, 1.0, 10.0]
    assert model.optimizer.averages[0][1].value == 10.0


def test_swap_ema_weights_without_averages():
    with pytest.raises(ValueError, match="use_ema=True"):
        callbacks.CallbackList(callbacks.SwapEMAWeights(), model=Model()).on_test_begin()


def test_no_warnings_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train([callbacks.EarlyStopping(), callbacks.ReduceLROnPlateau()], [3, 2, 1])


def test_the_metrics_of_compile_tell_whether_more_of_them_is_better():
    keraunos.utils.set_random_seed(0)
    last = keraunos.layers.Dense(2, activation="softmax")
    network = keraunos.Sequential([keraunos.Input((3,)), last])
    network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = np.ones((4, 3), "float32"), np.ones(4, "int32")
    stopping = callbacks.EarlyStopping("val_accuracy", patience=1)
    history = network.fit(*data, validation_data=data, epochs=9, verbose=0, callbacks=[stopping])
    assert stopping.find_direction() == 1
    assert len(history.epoch) < 9
