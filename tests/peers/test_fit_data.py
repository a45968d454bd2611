"""The batches of fit are those that Keras makes, value for value, in the same order."""

import random

import numpy as np
import pytest
from twins import keras

from keraunos import utils
from keraunos.frontend.training.loop import evaluate, fit
from keraunos.frontend.training.nested import Intake

RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((23, 3)).astype("float32")
Y = RANDOM.standard_normal((23, 1)).astype("float32")
LABELS = RANDOM.integers(0, 4, 23)
WEIGHTS = RANDOM.random(23)


class Batches:
    """What a model was fed."""

    def __init__(self):
        self.trained, self.tested = [], []


class Ours(Batches):
    """What our loop feeds to a model."""

    optimizer = None
    steps_per_execution = 1
    trainable_variables = ()
    intake = Intake()
    stop_training = False
    built = True

    def train_step_on(self, batch, check=True):
        self.trained.append(copied((batch.x, batch.y, batch.sample_weight)))
        return {"loss": 0.0}

    def test_step_on(self, batch, check=True):
        self.tested.append(copied((batch.x, batch.y, batch.sample_weight)))
        return {"loss": 0.0}

    def reset_metrics(self):
        pass

    def check_data(self, data, like, training):
        pass


class Theirs(keras.Model):
    """What Keras feeds to a model."""

    def __init__(self):
        super().__init__()
        self.fed = Batches()  # lists of its own Keras would track
        self.scale = self.add_weight(shape=())

    def call(self, inputs):
        first = keras.tree.flatten(inputs)[0]
        return keras.ops.cast(first, "float32")[:, :1] * self.scale

    def train_step(self, state, data):
        self.fed.trained.append(copied(keras.utils.unpack_x_y_sample_weight(data)))
        return {"loss": 0.0}, state

    def test_step(self, state, data):
        self.fed.tested.append(copied(keras.utils.unpack_x_y_sample_weight(data)))
        return {"loss": 0.0}, state


def copied(data):
    if isinstance(data, dict):
        return {key: copied(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [copied(value) for value in data]
    return None if data is None else np.array(data)


def theirs() -> Theirs:
    model = Theirs()
    model.compile("sgd", run_eagerly=True)
    return model


def same(received, wanted) -> None:
    assert type(received) is type(wanted)
    if isinstance(wanted, dict):
        assert received.keys() == wanted.keys()
        for key in wanted:
            same(received[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(received) == len(wanted)
        for pair in zip(received, wanted, strict=True):
            same(*pair)
    elif wanted is not None:
        assert received.dtype.kind == wanted.dtype.kind
        np.testing.assert_array_equal(received, wanted)


class Sequence(keras.utils.PyDataset):
    """Keras's own class, which ours reads by what it can do."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[index * 5 : index * 5 + 5], LABELS[index * 5 : index * 5 + 5]


FITS = {
    "as they are": lambda: {"x": X, "y": Y},
    "in float64": lambda: {"x": X.astype("float64"), "y": Y.astype("float64")},
    "of some size": lambda: {"x": X, "y": Y, "batch_size": 5, "epochs": 3},
    "weighted": lambda: {"x": X, "y": Y, "sample_weight": WEIGHTS, "batch_size": 5},
    "weighted by class": lambda: {"x": X, "y": LABELS, "class_weight": {0: 2, 2: 0.5}},
    "weighted by class in a column": lambda: {
        "x": X, "y": LABELS[:, None], "class_weight": {1: 3.0},
    },
    "weighted by class in one-hot rows": lambda: {
        "x": X, "y": np.eye(4)[LABELS], "class_weight": {1: 3.0, 3: 0.0},
    },
    "weighted by classes that are floats": lambda: {
        "x": X, "y": LABELS.astype("float32"), "class_weight": {1: 3.0},
    },
    "in nestings": lambda: {"x": {"b": X, "a": X + 1}, "y": [Y, Y + 1], "batch_size": 5},
    "in nestings, weighted at once": lambda: {
        "x": X, "y": {"p": Y, "q": Y + 1}, "sample_weight": WEIGHTS,
    },
    "in nestings, weighted apart": lambda: {
        "x": X, "y": {"p": Y, "q": Y + 1}, "sample_weight": {"p": WEIGHTS, "q": WEIGHTS * 2},
    },
    "with a split": lambda: {
        "x": X, "y": Y, "sample_weight": WEIGHTS, "validation_split": 0.3, "batch_size": 5,
    },
    "with a small split": lambda: {"x": X, "y": Y, "validation_split": 0.05},
    "with a split, weighted by class": lambda: {
        "x": X, "y": LABELS, "class_weight": {1: 2.0}, "validation_split": 0.5,
    },
    "with validation": lambda: {
        "x": X, "y": Y, "validation_data": (X[:9], Y[:9], WEIGHTS[:9]), "batch_size": 5,
        "epochs": 4, "validation_freq": 2,
    },
    "with validation of another size": lambda: {
        "x": X, "y": Y, "validation_data": (X, Y), "validation_batch_size": 4,
        "validation_steps": 2, "epochs": 4,
    },
    "with steps": lambda: {"x": X, "y": Y, "steps_per_epoch": 4, "epochs": 2},
    "with steps that pass the end": lambda: {
        "x": X, "y": Y, "batch_size": 5, "steps_per_epoch": 3, "epochs": 3,
    },
    "with steps that divide it": lambda: {
        "x": X[:20], "y": Y[:20], "batch_size": 5, "steps_per_epoch": 2, "epochs": 3,
    },
    "from a sequence": lambda: {"x": Sequence(), "epochs": 2},
    "from a sequence, weighted by class": lambda: {"x": Sequence(), "class_weight": {1: 2.0}},
    "from a sequence, with steps": lambda: {"x": Sequence(), "steps_per_epoch": 3, "epochs": 3},
    "from a generator": lambda: {
        "x": ((X + i, Y, WEIGHTS.astype("float32")) for i in range(9)), "steps_per_epoch": 2,
        "epochs": 3,
    },
    "from a first epoch on": lambda: {"x": X, "y": Y, "initial_epoch": 2, "epochs": 4},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize("name", FITS)
def test_batches_of_fit(name):
    model, other = Ours(), theirs()
    fit(model, **FITS[name](), shuffle=False, verbose=0)
    other.fit(**FITS[name](), shuffle=False, verbose=0)
    assert model.trained
    same(model.trained, other.fed.trained)
    same(model.tested, other.fed.tested)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_the_order_of_shuffled_batches(shuffle):
    """Keras draws an order more before the first epoch, while it builds the model."""
    other = theirs()
    np.random.seed(7)
    other.fit(X, Y, batch_size=5, epochs=3, shuffle=shuffle, verbose=0)
    other.fed.trained.clear()
    model = Ours()
    np.random.seed(3)
    random.seed(3)
    other.fit(X, Y, batch_size=5, epochs=3, shuffle=shuffle, verbose=0)
    np.random.seed(3)
    random.seed(3)
    fit(model, X, Y, batch_size=5, epochs=3, shuffle=shuffle, verbose=0)
    same(model.trained, other.fed.trained)


def test_the_order_of_a_shuffled_sequence():
    model, other = Ours(), theirs()
    other.fit(Sequence(), verbose=0)
    other.fed.trained.clear()
    random.seed(3)
    other.fit(Sequence(), epochs=2, verbose=0)
    random.seed(3)
    fit(model, Sequence(), epochs=2, verbose=0)
    same(model.trained, other.fed.trained)


@pytest.mark.parametrize("options", [
    {}, {"batch_size": 5}, {"steps": 3}, {"batch_size": 5, "steps": 2},
    {"sample_weight": WEIGHTS},
])  # fmt: skip
def test_batches_of_evaluate(options):
    model, other = Ours(), theirs()
    evaluate(model, X, Y, verbose=0, **options)
    other.evaluate(X, Y, verbose=0, **options)
    same(model.tested, other.fed.tested)


class Told(keras.callbacks.Callback):
    """A callback of Keras's own, whose hooks both loops call."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(("epoch_begin", epoch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(("epoch_end", epoch, logs))

    def on_train_batch_begin(self, batch, logs=None):
        self.heard.append(("batch_begin", batch, logs))

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append(("batch_end", batch, logs))

    def on_test_begin(self, logs=None):
        self.heard.append(("test_begin", logs))

    def on_test_batch_end(self, batch, logs=None):
        self.heard.append(("test_batch_end", batch, logs))

    def on_test_end(self, logs=None):
        self.heard.append(("test_end", logs))

    def on_train_begin(self, logs=None):
        self.heard.append(("train_begin", logs))

    def on_train_end(self, logs=None):
        self.heard.append(("train_end", logs))


def test_what_callbacks_are_told():
    ours, other = Told(), Told()
    options = {"batch_size": 5, "epochs": 2, "validation_split": 0.3, "verbose": 0}
    mine = fit(Ours(), X, Y, callbacks=[ours], **options)
    history = theirs().fit(X, Y, callbacks=[other], **options)
    assert ours.heard == other.heard
    assert ours.params == other.params
    assert mine.history == history.history
    assert mine.epoch == history.epoch
    assert mine.params == history.params


@pytest.mark.parametrize("options", [
    {}, {"maxlen": 2}, {"maxlen": 7, "padding": "post"}, {"maxlen": 2, "truncating": "post"},
    {"dtype": "float32", "value": -1.5}, {"padding": "post", "truncating": "pre", "maxlen": 4},
])  # fmt: skip
def test_padding(options):
    rows = [[1, 2, 3], [4], [], [5, 6, 7, 8, 9]]
    padded, wanted = (each.pad_sequences(rows, **options) for each in (utils, keras.utils))
    assert padded.dtype == wanted.dtype
    np.testing.assert_array_equal(padded, wanted)
