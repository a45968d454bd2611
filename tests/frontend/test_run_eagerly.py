"""Steps that run eagerly: values at every batch, and the numbers of the compiled step."""

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((12, 6, 6, 1)).astype("float32")
ROWS = RNG.standard_normal((12, 5, 3)).astype("float32")
LABELS = RNG.integers(0, 3, 12).astype("int32")


def convolutional():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3, seed=5),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ]
    )


def merged():
    a = keras.Input((5, 3))
    hidden = layers.Dense(4, activation="tanh")(a)
    pooled = layers.Concatenate()(
        [layers.GlobalAveragePooling1D()(hidden), layers.GlobalMaxPooling1D()(hidden)]
    )
    return keras.Model(a, layers.Dense(3, activation="softmax")(layers.GaussianNoise(0.1)(pooled)))


def trained(build, x, **options):
    keras.utils.set_random_seed(7)
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    weights = np.linspace(0.5, 1.5, len(x))
    history = model.fit(
        x, LABELS, batch_size=5, epochs=2, sample_weight=weights, validation_data=(x, LABELS),
        verbose=0,
    ).history  # fmt: skip
    return model, history


@pytest.mark.parametrize(("build", "x"), [(convolutional, IMAGES), (merged, ROWS)])
def test_eager_steps_give_the_numbers_of_compiled_ones(build, x):
    (eager, history), (model, expected) = (
        trained(build, x, run_eagerly=flag) for flag in (True, False)
    )
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(eager.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        eager.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )


class Looking(keras.Model):
    """Keeps what it sees, in every part of a step."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1, kernel_initializer="ones", use_bias=False)
        self.seen = []

    def call(self, x):
        y = self.dense(x)
        self.seen.append(("call", np.asarray(y).ravel().tolist()))
        return y

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        loss = ops.mean(ops.square(y_pred - y))
        self.seen.append(("loss", float(loss)))
        return loss


def test_python_sees_values_at_every_batch():
    model = Looking()
    model.compile(keras.optimizers.SGD(0.25), run_eagerly=True)
    x = np.array([[1.0], [2.0]], "float32")
    model.fit(x, 0 * x, batch_size=1, shuffle=False, verbose=0)
    # w is 1, then 1 - 0.25 * 2 = 0.5
    assert model.seen == [("call", [1.0]), ("loss", 1.0), ("call", [1.0]), ("loss", 1.0)]
    assert float(model.dense.kernel.value[0, 0]) == 0.5 - 0.25 * 4
    model.seen.clear()
    model.evaluate(x, 0 * x, verbose=0)
    assert model.seen == [("call", [-0.5, -1.0]), ("loss", 0.625)]
    model.seen.clear()
    assert model.predict(x, verbose=0).tolist() == [[-0.5], [-1.0]]
    assert model.seen == [("call", [-0.5, -1.0])]


def stepping(step):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(2,), initializer="ones", name="w")

        train_step = step

    model = Own()
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    return model


def test_tensors_are_numbers_and_arrays_and_decide():
    def step(self, data):
        total = ops.sum(data)
        shown.append(f"{total:.2f} {total}")
        assert bool(total > 0)
        assert int(total) == 4
        assert np.exp(ops.zeros((2,))).numpy().tolist() == [1.0, 1.0]
        array = np.asarray(data)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0
        data.numpy()[0] = 7.0  # a copy
        return {"total": total if total > 0 else -total}

    shown = []
    logs = stepping(step).train_on_batch(np.ones((2, 2)), return_dict=True)
    assert logs == {"total": 4.0}
    assert shown == ["4.00 <KerasTensor shape=(), dtype=float32, value=4.0>"]


def test_weights_change_when_they_are_assigned():
    def step(self, data):
        self.w.assign(self.w * 3)
        seen.append(self.w.numpy().tolist())
        gradient = keras.grad(lambda: ops.sum(self.w * self.w), wrt=self.w)()
        seen.append(gradient.numpy().tolist())
        self.optimizer.apply([gradient], [self.w])
        seen.append(self.w.numpy().tolist())
        return {"w": ops.sum(self.w)}

    seen = []
    logs = stepping(step).train_on_batch(np.ones((1, 1)), return_dict=True)
    assert seen == [[3.0, 3.0], [6.0, 6.0], [0.0, 0.0]]
    assert logs == {"w": 0.0}


def test_python_keeps_tensors_from_step_to_step():
    def step(self, data):
        before = getattr(self, "before", 0.0)
        self.before = ops.mean(data) + 0.5 * before
        return {"smooth": self.before}

    model = stepping(step)
    for number in (1.0, 2.0, 3.0):
        logs = model.train_on_batch(np.full((2, 1), number), return_dict=True)
    assert logs == {"smooth": 3 + 0.5 * (2 + 0.5)}
    # After the step too, and for functions of arrays.
    assert float(model.before) == 4.25
    assert float(ops.square(model.before)) == 4.25**2
    assert float(layers.Rescaling(2.0)(ops.reshape(model.before, (1, 1)))[0, 0]) == 8.5


def test_what_a_step_keeps_does_not_change_with_the_data():
    def step(self, data):
        self.__dict__.setdefault("all", []).append(data * 1.0)
        return {"n": 1.0}

    model = stepping(step)
    model.fit(np.arange(4.0).reshape(4, 1), batch_size=1, epochs=1, verbose=0)
    assert sorted(float(each[0, 0]) for each in model.all) == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("known", [True, False])
def test_labels_that_name_no_class_are_refused(known):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = convolutional()

        def call(self, x):
            return self.inner(x)

    for labels in (LABELS * 0 + 3, LABELS - 1):
        model = convolutional() if known else Own()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        for run in (model.train_on_batch, model.test_on_batch, model.fit):
            with pytest.raises(ValueError, match="expected targets from 0 to 2"):
                run(IMAGES, labels)


def test_steps_may_be_made_eager_and_compiled_again():
    model = Looking()
    model.compile(keras.optimizers.SGD(0.0))
    x = np.ones((2, 1), "float32")

    class Quiet(Looking):
        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            self.seen.append(type(y_pred).__name__)
            return ops.mean(ops.square(y_pred - y))

    model = Quiet()
    model.compile(keras.optimizers.SGD(0.0))
    losses = []
    for flag, calls in ((False, 1), (True, 3), (False, 1)):
        model.run_eagerly = flag
        model.seen.clear()
        losses += [model.train_on_batch(x, x * 0) for _ in range(3)]
        assert (model.run_eagerly, len(model.seen)) == (flag, calls)
    assert losses == [1.0] * 9


def test_what_is_not_finite_is_an_error_that_leaves_weights_as_they_were():
    def step(self, data):
        self.w.assign(self.w + 1)
        self.w.assign(self.w / ops.sum(data))
        return {"w": ops.sum(self.w)}

    model = stepping(step)
    with keras.config.update(check_finite=True):
        with pytest.raises(ValueError, match=r"expected finite results\. The first: .*divide"):
            model.train_on_batch(np.zeros((1, 1)))
        assert model.w.numpy().tolist() == [1.0, 1.0]
        model.train_on_batch(np.ones((1, 1)))
    assert model.w.numpy().tolist() == [2.0, 2.0]
    model.train_on_batch(np.zeros((1, 1)))
    assert np.isinf(model.w.value).all()


def test_an_eager_training_goes_on_where_it_was_interrupted(tmp_path):
    class Interrupting(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    def made():
        keras.utils.set_random_seed(4)
        model = keras.Sequential([keras.Input((3,)), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
        return model

    def trained(model, *callbacks):
        data = ROWS[:, 0], ROWS[:, 1, :1]
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=1)
        return model.fit(
            *data, batch_size=3, epochs=1, verbose=0, callbacks=[backup, *callbacks]
        ).history

    whole = made()
    expected = trained(whole)
    first = made()
    with pytest.raises(KeyboardInterrupt):
        trained(first, Interrupting())
    second = made()
    assert trained(second) == expected
    for one, other in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_summary_after_an_eager_step_is_of_any_batch(capsys):
    model = Looking()
    model.compile("sgd", run_eagerly=True)
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    model.summary()
    assert "(None, 1)" in capsys.readouterr().out


# How steps are run


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"jit_compile": False}, r"jit_compile: expected True or .auto.*run_eagerly=True"),
        ({"jit_compile": "xla"}, "jit_compile"),
        ({"steps_per_execution": 0}, "expected steps_per_execution as an int of 1 or more"),
        ({"steps_per_execution": True}, "steps_per_execution"),
        ({"auto_scale_loss": "auto"}, "expected auto_scale_loss as True or False"),
    ],
)
def test_what_a_step_cannot_be_asked_for(options, text):
    with pytest.raises(ValueError, match=text):
        convolutional().compile("sgd", "mse", **options)


def test_an_eager_step_is_not_compiled_and_may_say_so():
    model = convolutional()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=False)
    assert model.get_compile_config()["jit_compile"] is False


class Heard(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append(("begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(("end", batch))

    def on_test_batch_begin(self, batch, logs=None):
        self.batches.append(("begin", batch))

    def on_test_batch_end(self, batch, logs=None):
        self.batches.append(("end", batch))

    def on_predict_batch_begin(self, batch, logs=None):
        self.batches.append(("begin", batch))

    def on_predict_batch_end(self, batch, logs=None):
        self.batches.append(("end", batch, len(logs["outputs"])))


def test_callbacks_hear_of_several_batches_at_once():
    def model(**options):
        keras.utils.set_random_seed(2)
        made = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        made.compile("sgd", "mse", **options)
        return made

    x, y = ROWS[:, 0], ROWS[:, 1, :1]
    one, several = model(), model(steps_per_execution=3)
    heard = Heard()
    options = {"batch_size": 3, "shuffle": False, "verbose": 0}
    expected = one.fit(x, y, **options).history
    assert several.fit(x, y, **options, callbacks=[heard]).history == expected
    # Four batches: three, and the one that is left.
    four = [("begin", 0), ("end", 2), ("begin", 3), ("end", 3)]
    assert heard.batches == four
    heard.batches.clear()
    results = several.evaluate(x, y, batch_size=3, verbose=0, callbacks=[heard])
    assert results == one.evaluate(x, y, batch_size=3, verbose=0)
    assert heard.batches == four
    heard.batches.clear()
    made = several.predict(x, batch_size=3, verbose=0, callbacks=[heard])
    np.testing.assert_array_equal(made, one.predict(x, batch_size=3, verbose=0))
    assert heard.batches == [("begin", 0), ("end", 2, 9), ("begin", 3), ("end", 3, 3)]


def test_a_model_is_stopped_between_two_executions():
    class Stopping(Heard):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            self.model.stop_training = True

    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    heard = Stopping()
    model.fit(ROWS[:, 0], ROWS[:, 1, :1], batch_size=2, epochs=3, verbose=0, callbacks=[heard])
    assert heard.batches == [("begin", 0), ("end", 1)]
    assert int(model.optimizer.iterations.value) == 2


# Kinds of batches


def two_outputs():
    x = keras.Input((1,))
    made = [
        layers.Dense(1, kernel_initializer=keras.initializers.Constant(start))(x)
        for start in (1.0, 3.0)
    ]
    model = keras.Model(x, made)
    model.compile(keras.optimizers.SGD(0.0), ["mae", "mae"])
    return model


@pytest.mark.parametrize("eager", [False, True])
def test_weights_go_to_the_output_that_they_are_given_for(eager):
    model = two_outputs()
    model.run_eagerly = eager
    ones = np.ones((4, 1), "float32")
    weights = np.array([3, 0, 0, 3], "float32")
    for place in (0, 1, 0):
        given = [None, None]
        given[place] = weights
        results = model.evaluate(ones, [0 * ones, 0 * ones], sample_weight=given, verbose=0)
        expected = [1.0, 3.0]
        expected[place] *= 1.5
        assert results == pytest.approx([sum(expected), *expected])


def test_a_step_is_made_for_each_nesting_and_the_oldest_are_forgotten():
    traces = []

    class Nested(keras.Model):
        def train_step(self, data):
            traces.append(data)
            return {"n": 1.0}

    model = Nested()
    model.compile("sgd")
    x = np.ones((2, 1), "float32")
    for data in ([x, x], (x, x), {"a": x, "b": x}, {"a": x, "c": x}, [[x], x]):
        before = len(traces)
        model.train_on_batch(data)
        model.train_on_batch(data)
        assert len(traces) == before + 1
    for size in range(1, 40):
        model.train_on_batch(np.ones((2, size), "float32"))
    assert len(model._steps) == 32
