"""Programs are made anew where an attribute that their trace read has another value, and only then.

``CALLS`` counts traces: a layer's ``call`` runs once for each.
"""

import threading

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops
from keraunos.frontend.watching import Generation, Watched

ONE = np.ones((1, 2), "float32")
CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls():
    CALLS.clear()


class Scale(layers.Layer):
    shift = 0.0

    def __init__(self, k=1.0, **kwargs):
        super().__init__(**kwargs)
        self.k = k
        self.sizes = [1.0, 2.0]
        self.unread = 0

    def call(self, x):
        CALLS.append(self.name)
        return x * self.k + self.shift


class Nest(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = [Scale(), Scale(2.0)]
        self.offset = 0.0

    def call(self, x):
        for layer in self.inner:
            x = layer(x)
        return x + self.offset


def functional(layer):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    return model


def slope_of(layer):
    slope = keras.grad(lambda x: ops.sum(layer(x)))
    return lambda: slope(ONE)[0, 0]


def through_model(run):
    """A way that makes a model of a layer once, then runs it."""

    def begin(layer):
        model = functional(layer)
        return lambda: run(model)

    return begin


WAYS = {
    "call of the layer": lambda layer: lambda: layer(ONE)[0, 0],
    "call of the model": through_model(lambda m: m(ONE)[0, 0]),
    "call in training": through_model(lambda m: m(ONE, training=True)[0, 0]),
    "predict": through_model(lambda m: m.predict(ONE, verbose=0)[0, 0]),
    "predict_on_batch": through_model(lambda m: m.predict_on_batch(ONE)[0, 0]),
    "evaluate": through_model(lambda m: m.evaluate(ONE, ONE * 0, verbose=0)[1]),
    "test_on_batch": through_model(lambda m: m.test_on_batch(ONE, ONE * 0)[1]),
    "gradient": slope_of,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_next_call_sees_an_attribute_that_was_assigned(way):
    layer = Scale()
    run = WAYS[way](layer)
    for k in (1.0, 5.0, 5.0, -2.0, 1.0):
        layer.k = k
        CALLS.clear()
        expected = k if way not in ("evaluate", "test_on_batch") else abs(k)
        assert run() == run() == run() == pytest.approx(expected)
        assert len(CALLS) <= 1


def test_steps_of_fit_see_it_within_a_training():
    inputs = keras.Input((2,))
    layer = Scale(0.0)
    model = keras.Model(inputs, layer(inputs) + layers.Dense(1)(inputs) * 0.0)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    anneal = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(layer, "k", float(epoch))
    )
    history = model.fit(ONE, ONE * 0, epochs=4, verbose=0, callbacks=[anneal]).history
    assert history["loss"] == [0, 1, 4, 9]
    layer.k = 5.0
    assert model.train_on_batch(ONE, ONE * 0) == 25


def test_a_program_that_is_running_while_an_attribute_changes_is_not_taken_for_current():
    layer = Scale()
    model = functional(layer)
    assert model.predict_on_batch(ONE)[0, 0] == 1
    change = keras.callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: setattr(layer, "k", 2.0)
    )
    x = np.ones((4, 2), "float32")
    model.predict(x, batch_size=2, verbose=0, callbacks=[change])
    assert model.predict_on_batch(ONE)[0, 0] == 2


def test_layers_within_models_and_models_themselves_are_seen():
    model = Nest()
    assert model(ONE)[0, 0] == 2
    model.inner[1].k = 3.0
    assert model(ONE)[0, 0] == 3
    model.offset = 10.0
    assert model(ONE)[0, 0] == model.predict(ONE, verbose=0)[0, 0] == 13
    model.inner = model.inner[:1]
    assert model(ONE)[0, 0] == 11


def test_attributes_of_the_class_may_be_covered_and_uncovered():
    layer = Scale()
    assert layer(ONE)[0, 0] == 1
    layer.shift = 4.0
    assert layer(ONE)[0, 0] == 5
    del layer.shift
    assert layer(ONE)[0, 0] == 1
    layer.call = lambda x: x * 7.0
    assert layer(ONE)[0, 0] == 7


@pytest.mark.parametrize("given", [None, "linear", keras.activations.linear])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(2, kernel_initializer="ones", activation="relu"),
        lambda: layers.Activation("relu"),
    ],
)
def test_an_activation_may_be_set_to_whatever_may_be_given(layer, given):
    model = keras.Sequential([keras.Input((2,)), layer()])
    assert (model.predict(-ONE, verbose=0) == 0).all()
    model.layers[-1].activation = given
    assert (model.predict(-ONE, verbose=0) < 0).all() and (model(-ONE) < 0).all()


def one_weight(optimizer, loss="mse", **options):
    inputs = keras.Input((1,))
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones", **options)
    model = keras.Model(inputs, dense(inputs))
    model.compile(optimizer, loss)
    return model, dense


STEP = (np.ones((1, 1), "float32"), np.zeros((1, 1), "float32"))


def moved(model, dense):
    """By how much a step moves the weight from 1."""
    dense.kernel.assign([[1.0]])
    model.train_on_batch(*STEP)
    return 1 - dense.kernel.numpy().item()


def test_options_of_optimizers_are_seen_by_the_next_step():
    model, dense = one_weight(keras.optimizers.SGD(0.1, clipvalue=1.0))
    assert moved(model, dense) == pytest.approx(0.1)
    model.optimizer.clipvalue = 0.5
    assert moved(model, dense) == pytest.approx(0.05)
    model.optimizer.clipvalue = None
    assert moved(model, dense) == pytest.approx(0.2)
    model.optimizer.weight_decay = 1.0
    assert moved(model, dense) == pytest.approx(0.1 + 0.2, abs=0.03)


def test_options_of_optimizers_are_seen_by_updates_on_arrays():
    weight = keras.Variable(np.ones(1))
    optimizer = keras.optimizers.SGD(0.1, clipvalue=1.0)
    for clip, expected in ((1.0, 0.9), (0.5, 0.85), (1.0, 0.75)):
        optimizer.clipvalue = clip
        optimizer.apply([np.array([3.0])], [weight])
        assert weight.numpy().item() == pytest.approx(expected)


def test_schedules_may_be_exchanged_and_changed():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    model, dense = one_weight(keras.optimizers.SGD(schedule))
    assert moved(model, dense) == pytest.approx(0.2)
    schedule.initial_learning_rate = 0.2
    assert moved(model, dense) == pytest.approx(0.4)
    model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(0.3, 1, 1.0)
    assert moved(model, dense) == pytest.approx(0.6)


def test_losses_regularizers_and_constraints_are_seen():
    huber = keras.losses.Huber(delta=1.0)
    penalty, limit = keras.regularizers.L2(0.0), keras.constraints.MaxNorm(9.0)
    model, dense = one_weight(
        keras.optimizers.SGD(0.1), huber, kernel_regularizer=penalty, kernel_constraint=limit
    )
    assert moved(model, dense) == pytest.approx(0.1, abs=1e-5)
    penalty.l2 = 1.0
    assert moved(model, dense) == pytest.approx(0.3, abs=1e-5)
    dense.kernel.regularizer = None
    assert moved(model, dense) == pytest.approx(0.1, abs=1e-5)
    limit.max_value = 0.5
    assert moved(model, dense) == pytest.approx(0.5, abs=1e-5)
    dense.kernel.constraint = None
    assert moved(model, dense) == pytest.approx(0.1, abs=1e-5)


def test_frozen_and_thawed_weights_are_seen():
    model, dense = one_weight(keras.optimizers.SGD(0.1))
    inputs = keras.Input((1,))
    second = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(inputs, second(dense(inputs)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    assert moved(model, dense) == pytest.approx(0.2)
    second.kernel.assign([[1.0]])
    for frozen, step in ((True, 0), (False, 0.2)):
        dense.trainable = not frozen
        second.kernel.assign([[1.0]])
        assert moved(model, dense) == pytest.approx(step)
    dense.kernel.trainable = False
    second.kernel.assign([[1.0]])
    assert moved(model, dense) == 0


def test_freezing_makes_no_new_program_of_what_never_asked():
    layer = Scale()
    model = functional(layer)
    model.predict(ONE, verbose=0)
    model(ONE, training=True)
    CALLS.clear()
    layer.trainable = False
    model.predict(ONE, verbose=0)
    model(ONE, training=True)
    assert not CALLS


def test_the_default_float_is_seen():
    double = keras.grad(lambda x: ops.sum(ops.ones((2,)) * x))
    assert double(np.float32(3)).dtype == "float32"
    try:
        keras.set_floatx("float64")
        assert double(np.array(3.0)).dtype == "float64"
    finally:
        keras.set_floatx("float32")
    assert double(np.float32(3)).dtype == "float32"


def test_executables_keep_their_trace():
    layer = Scale()
    model = functional(layer)
    run = keras.compile(model)
    layer.k = 5.0
    assert run(ONE)[0, 0] == 1
    assert keras.compile(model)(ONE)[0, 0] == 5


# What makes no new programs


class Noisy(Scale):
    """Writes about itself in ``call``, as many layers do."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.cache = None
        self.seen = []

    def call(self, x):
        self.calls += 1
        self.cache = x if self.cache is None else self.cache
        self.seen.append(x.shape)
        self.last = super().call(x)
        return self.last


@pytest.mark.parametrize("make", [Scale, Noisy])
def test_what_no_trace_read_and_what_traces_write_make_no_new_programs(make):
    layer = make()
    model = functional(layer)
    other = Scale()
    other(ONE)

    class Counts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            layer.unread += 1
            self.model.unread = batch
            other.k += 1.0  # read, by another program

    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(2)(layer(inputs)))
    model.compile("sgd", "mse")
    x = np.ones((64, 2), "float32")
    for _ in range(2):
        model.fit(
            x, x, batch_size=4, verbose=0, validation_data=(x, x), callbacks=[Counts()], epochs=2
        )
        model.predict_on_batch(ONE)
        layer(ONE)
        traces = CALLS.count(layer.name)
        layer.unread += 1
    assert CALLS.count(layer.name) == traces <= 6


def test_an_attribute_that_nothing_read_moves_no_counter():
    layer = Scale()
    layer(ONE)
    before = Generation.attributes
    layer.never_read_by_any_trace_at_all = 1
    layer.k = layer.k
    layer.k = 1.0
    other = Scale(7.0)  # has attributes of these names, but none has read them
    other.k = 8.0
    assert Generation.attributes == before
    layer.k = 2.0
    assert Generation.attributes == before + 1


def test_values_that_come_back_find_their_programs():
    layer = Scale()
    for k in (1.0, 2.0) * 5:
        layer.k = k
        assert layer(ONE)[0, 0] == k
    assert len(CALLS) == 2


def test_values_are_told_apart_to_the_digit():
    layer = Scale()
    for k in (0.0, -0.0, float("nan"), float("nan"), 1, 1.0, True):
        layer.k = k
        np.testing.assert_array_equal(np.signbit(layer(ONE)), np.signbit(ONE * k))
        np.testing.assert_array_equal(layer(ONE), ONE * np.float32(k))
    assert len(CALLS) == 6  # NaN is the same as NaN


class Sum(Scale):
    def call(self, x):
        CALLS.append(self.name)
        return x * sum(self.sizes)


def test_containers_are_compared_by_what_they_hold_though_they_change_in_place():
    layer = Sum()
    assert layer(ONE)[0, 0] == 3
    layer.sizes = [1.0, 2.0]
    assert layer(ONE)[0, 0] == 3 and len(CALLS) == 1
    layer.sizes.append(4.0)
    assert layer(ONE)[0, 0] == layer(ONE)[0, 0] == 7 and len(CALLS) == 2
    layer.sizes = layer.sizes
    assert layer(ONE)[0, 0] == 7 and len(CALLS) == 2
    layer.sizes = (1.0, 2.0, 4.0)
    assert layer(ONE)[0, 0] == 7 and len(CALLS) == 3


class Cases(Scale):
    def call(self, x, mode=None):
        CALLS.append(self.name)
        leaves = [x] if not isinstance(x, (list, tuple, dict)) else list(x)
        first = leaves[0] if not isinstance(x, dict) else x[leaves[0]]
        kinds = {bool: 10.0, int: 20.0, float: 30.0, str: 40.0, type(None): 50.0}
        return (
            first * 0.0 + kinds.get(type(mode), 60.0) + {list: 1, tuple: 2, dict: 3}.get(type(x), 0)
        )


def test_programs_are_told_apart_by_the_nesting_and_the_values_of_arguments():
    layer = Cases()
    cases = {
        11: ([ONE, ONE], True), 21: ([ONE, ONE], 1), 31: ([ONE, ONE], 1.0), 42: ((ONE, ONE), "1"),
        52: ((ONE, ONE), None), 53: ({"a": ONE, "b": ONE}, None), 50: (ONE, None), 10: (ONE, True),
    }  # fmt: skip
    for _ in range(2):
        for expected, (x, mode) in cases.items():
            assert layer(x, mode=mode)[0, 0] == expected
    assert len(CALLS) == len(cases)


def test_objects_as_arguments_are_told_apart_though_they_come_and_go():
    class Mode:
        def __init__(self, number):
            self.number, self.value = number, float(number % 3)

        def __eq__(self, other):
            return True

        __hash__ = None

    class Reads(layers.Layer):
        def call(self, x, mode):
            return x * (mode.value if mode.number >= 0 else 0.0)

    layer = Reads()
    # More than programs are kept, of three kernels; each mode is gone when the next is made.
    for number in range(60):
        assert layer(ONE, Mode(number))[0, 0] == number % 3
    assert sum(map(len, layer.programs.values())) <= 32


def test_stores_of_programs_are_bounded():
    layer = Scale()
    for k in range(40):
        layer.k = float(k)
        assert layer(ONE)[0, 0] == k
    assert sum(map(len, layer.programs.values())) <= 8
    layer.k = 39.0
    CALLS.clear()
    assert layer(ONE)[0, 0] == 39 and not CALLS


def test_reading_is_watched_in_the_thread_that_traces_alone():
    assert "__getattribute__" not in vars(Watched)
    layer, failures = Scale(), []

    def trace(k):
        mine = Scale(float(k))
        for _ in range(3):
            mine.k += 1.0
            if mine(ONE)[0, 0] != mine.k:
                failures.append(k)

    threads = [threading.Thread(target=trace, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert layer.k == 1.0
    for thread in threads:
        thread.join()
    assert not failures and "__getattribute__" not in vars(Watched)
