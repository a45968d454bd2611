"""Programs are made anew where something that user code read has changed, though nothing tells.

``CALLS`` counts traces.
"""

import functools
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops
from keraunos.frontend.programs import MOST_VARIANTS
from keraunos.frontend.surroundings import names_in

ONE = np.ones((1, 2), "float32")
CALLS: list[str] = []
TRACES = 0

FACTOR = 1.0
SIZES = [1.0, 2.0]
OPTIONS = {"deep": {"factor": 1.0}, "unread": 0}
TABLE = np.ones(2, "float32")
LARGE = list(range(5000))
NOTES = SimpleNamespace(factor=1.0, unread=0)
SETTINGS = ModuleType("settings")
SETTINGS.factor = 1.0


class Defaults:
    factor = 1.0


@dataclass(slots=True)
class Slots:
    factor: float = 1.0


SLOTS = Slots()


def helper():
    return FACTOR


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    CALLS.clear()
    monkeypatch.setitem(globals(), "OPTIONS", {"deep": {"factor": 1.0}, "unread": 0})
    monkeypatch.setitem(globals(), "SIZES", [1.0, 2.0])
    monkeypatch.setitem(globals(), "helper", helper)
    monkeypatch.setitem(globals(), "FACTOR", 1.0)


class Reads(layers.Layer):
    """Multiplies by what ``factor`` gives, which the class may say otherwise."""

    def call(self, x):
        global TRACES
        TRACES += 1
        CALLS.append(self.name)
        return x * self.factor()


def reading(factor, **attributes):
    layer = type("Given", (Reads,), {"factor": lambda self: factor(self)})()
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def set_global(layer, value):
    globals()["FACTOR"] = value


def set_item(layer, value):
    OPTIONS["deep"]["factor"] = value


def set_array(layer, value):
    TABLE[:] = value


def set_helper(layer, value):
    globals()["helper"] = lambda: value


class Setter:
    """Sets an attribute of something, or of what a layer has."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __call__(self, layer, value):
        owner = self.owner(layer) if callable(self.owner) else self.owner
        setattr(owner, self.name, value)


# What is read, and how it is changed.
PLACES = {
    "a global": (lambda: reading(lambda self: FACTOR), set_global),
    "a global of a function that is called": (lambda: reading(lambda self: helper()), set_global),
    "a function": (lambda: reading(lambda self: helper()), set_helper),
    "a list": (
        lambda: reading(lambda self: SIZES[0]),
        lambda layer, value: SIZES.__setitem__(0, value),
    ),
    "a dict in a dict": (lambda: reading(lambda self: OPTIONS["deep"]["factor"]), set_item),
    "an array": (lambda: reading(lambda self: TABLE), set_array),
    "an object": (lambda: reading(lambda self: NOTES.factor), Setter(NOTES, "factor")),
    "an object without a dict": (
        lambda: reading(lambda self: SLOTS.factor), Setter(SLOTS, "factor"),
    ),
    "a module": (lambda: reading(lambda self: SETTINGS.factor), Setter(SETTINGS, "factor")),
    "a class": (
        lambda: reading(lambda self: Defaults.factor),
        lambda layer, value: setattr(Defaults, "factor", value),
    ),
    "a list of the layer": (
        lambda: reading(lambda self: self.sizes[0], sizes=[1.0]),
        lambda layer, value: layer.sizes.__setitem__(0, value),
    ),
    "an array of the layer": (
        lambda: reading(lambda self: self.mask, mask=np.ones(2, "float32")),
        lambda layer, value: layer.mask.fill(value),
    ),
    "an object of the layer": (
        lambda: reading(lambda self: self.options.factor, options=SimpleNamespace(factor=1.0)),
        Setter(lambda layer: layer.options, "factor"),
    ),
    "an object in a list of the layer": (
        lambda: reading(lambda self: self.all[0].factor, all=[SimpleNamespace(factor=1.0)]),
        Setter(lambda layer: layer.all[0], "factor"),
    ),
    "an argument of a partial function": (
        lambda: reading(
            lambda self: self.part(), part=functools.partial(lambda x: x[0], x=[1.0])
        ),
        lambda layer, value: layer.part.keywords["x"].__setitem__(0, value),
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_the_next_call_sees_what_user_code_reads(place):
    make, change = PLACES[place]
    layer = make()
    try:
        for value in (1.0, 5.0, 5.0, -2.0, 1.0):
            change(layer, value)
            CALLS.clear()
            assert layer(ONE)[0, 0] == layer(ONE)[0, 0] == value
            assert len(CALLS) <= 1
    finally:
        change(layer, 1.0)


def enclosed():
    factor = 1.0

    def read(x):
        return ops.sum(x * factor)

    def change(value):
        nonlocal factor
        factor = value

    return read, change


def test_what_a_function_encloses_is_seen():
    read, change = enclosed()
    slope = keras.grad(read)
    inner = layers.Lambda(lambda x: x * read(x))
    for value in (1.0, 3.0, 1.0):
        change(value)
        assert slope(ONE)[0, 0] == value and inner(ONE)[0, 0] == 2 * value


class Base(layers.Layer):
    shift = 0.0

    def call(self, x):
        CALLS.append(self.name)
        return x + self.shift


class Derived(Base):
    def call(self, x):
        return super().call(x) * 2.0


def test_attributes_and_methods_of_classes_are_seen(monkeypatch):
    layer = Derived()
    assert layer(ONE)[0, 0] == 2
    monkeypatch.setattr(Base, "shift", 1.0)
    assert layer(ONE)[0, 0] == 4
    monkeypatch.setattr(Derived, "shift", 2.0, raising=False)
    assert layer(ONE)[0, 0] == 6
    monkeypatch.delattr(Derived, "shift")
    assert layer(ONE)[0, 0] == 4
    monkeypatch.setattr(Base, "call", lambda self, x: x * 5.0)
    assert layer(ONE)[0, 0] == 10
    monkeypatch.undo()
    assert layer(ONE)[0, 0] == 2


def scaled_loss(y, predicted):
    return ops.mean(ops.square(y - predicted)) * FACTOR


def offset(y, predicted):
    return ops.mean(predicted) * 0.0 + FACTOR


class Stepping(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = Base()

    def call(self, x):
        return self.layer(x) * FACTOR

    def predict_step(self, data):
        return super().predict_step(data) + FACTOR


def test_every_way_to_run_a_model_sees_them():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Lambda(lambda x: x * FACTOR)(inputs))
    model.compile(keras.optimizers.SGD(0.0), scaled_loss, metrics=[offset])
    stepping = Stepping()
    stepping.compile("sgd")
    for value in (1.0, 2.0, 3.0, 2.0):
        set_global(None, value)
        for run in (model, lambda x: model(x, training=True), model.predict_on_batch):
            assert np.asarray(run(ONE))[0, 0] == value
        assert model.predict(ONE, verbose=0)[0, 0] == value
        assert model.evaluate(ONE, ONE * 0, verbose=0) == [value**3, value]
        assert model.test_on_batch(ONE, ONE * 0) == [value**3, value]
        assert stepping(ONE)[0, 0] == value
        assert stepping.predict(ONE, verbose=0)[0, 0] == 2 * value


def test_steps_of_fit_see_them_within_a_training():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(inputs))
    model.compile(keras.optimizers.SGD(0.0), scaled_loss)
    anneal = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: set_global(None, float(epoch))
    )
    history = model.fit(ONE, ONE[:, :1] * 0, epochs=3, verbose=0, callbacks=[anneal]).history
    assert history["loss"] == [0, 4, 8]


# What makes no new programs


def test_what_nobody_reads_and_what_traces_change_make_no_new_programs():
    first, second = (reading(lambda self: OPTIONS["deep"]["factor"] * NOTES.factor) for _ in "ab")
    first(ONE), second(ONE)  # each changes CALLS and TRACES, which the other's trace has read
    CALLS.append("more")
    NOTES.unread += 1
    globals()["FACTOR"] = 7.0
    before = TRACES
    for layer in (first, second, first):
        layer(ONE)
    assert before == TRACES


def test_equal_values_in_other_objects_find_their_programs():
    layer = reading(lambda self: FACTOR * SIZES[0] * self.sizes[0], sizes=[1.0])
    for _ in range(3):
        set_global(None, float("1"))
        SIZES[:] = [float("1"), 2.0]
        layer.sizes = [float("1")]
        assert layer(ONE)[0, 0] == 1
    assert len(CALLS) == 1
    layer.sizes[0] = 3.0  # of the list that was found equal
    assert layer(ONE)[0, 0] == 3


def test_programs_kept_for_what_changes_are_bounded():
    layer = reading(lambda self: FACTOR)
    for value in range(3 * MOST_VARIANTS):
        set_global(None, float(value))
        assert layer(ONE)[0, 0] == value
    assert sum(map(len, layer.programs.values())) <= MOST_VARIANTS


def test_programs_of_the_packages_own_layers_look_at_nothing():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, activation="relu")])
    model.predict_on_batch(ONE)
    assert model.hot.around is None
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(ONE, ONE)
    assert all(step.around is None for step in model.hot_steps.values())


def test_large_containers_are_known_by_their_identity():
    layer = reading(lambda self: float(len(LARGE)))
    assert layer(ONE)[0, 0] == 5000
    globals()["LARGE"] = LARGE[:4000]
    assert layer(ONE)[0, 0] == 4000


def test_names_are_found_in_code_and_in_the_code_within():
    def outer(self):
        return [self.sizes[0] * FACTOR for _ in self.each()] + (lambda: NOTES.factor)()

    assert names_in(outer.__code__) == ({"FACTOR", "NOTES"}, {"sizes", "each", "factor"})


class Mode:
    def __init__(self):
        self.factor = 1.0

    def total(self, x):
        return ops.sum(x * self.factor)


class Moded(layers.Layer):
    def call(self, x, mode):
        return x * mode.factor


class Sloped(layers.Layer):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def call(self, x):
        return self.slope(x) * 1.0


def test_objects_that_are_arguments_and_whose_methods_are_differentiated_are_seen():
    mode = Mode()
    slope = keras.grad(mode.total)
    moded, sloped = Moded(), Sloped(slope)
    for value in (1.0, 3.0, 1.0):
        mode.factor = value
        assert moded(ONE, mode)[0, 0] == value
        assert slope(ONE)[0, 0] == sloped(ONE)[0, 0] == value


def test_a_function_that_gives_the_learning_rate_is_seen():
    inputs = keras.Input((1,))
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(inputs, dense(inputs))
    model.compile(keras.optimizers.SGD(lambda: 0.1 * FACTOR), "mse")
    for value in (1.0, 2.0):
        set_global(None, value)
        dense.kernel.assign([[1.0]])
        model.train_on_batch(ONE[:, :1], ONE[:, :1] * 0)
        assert dense.kernel.numpy().item() == pytest.approx(1 - 0.2 * value)


class Stack(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = [layers.Rescaling(2.0)]

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def test_layers_in_a_list_are_exchanged_in_place():
    model = Stack()
    assert model(ONE)[0, 0] == 2
    model.parts.append(layers.Rescaling(3.0))
    assert model(ONE)[0, 0] == model.predict(ONE, verbose=0)[0, 0] == 6
    model.parts[0] = layers.Rescaling(5.0)
    assert model(ONE)[0, 0] == model.predict_on_batch(ONE)[0, 0] == 15
    model.parts.pop()
    assert model(ONE)[0, 0] == model.predict_on_batch(ONE)[0, 0] == 5
