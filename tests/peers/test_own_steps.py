"""Models that customise training: the same subclass in Keras and here gives the same results."""

import inspect

import numpy as np
import pytest
from twins import keras

import keraunos

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 5)).astype("float32")
Y = RNG.standard_normal((24, 2)).astype("float32")


def linear(package):
    """A subclassed model of one layer, whose weights are known."""

    class Linear(package.Model):
        def __init__(self):
            super().__init__()
            start = package.initializers.Constant(0.1)
            self.dense = package.layers.Dense(2, kernel_initializer=start)

        def call(self, x):
            return self.dense(x)

    return Linear


def without_training(package):
    class Own(linear(package)):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    return Own()


def with_a_metric(package):
    class Own(linear(package)):
        def __init__(self):
            super().__init__()
            self.largest = package.metrics.Mean(name="largest")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            self.largest.update_state(package.ops.max(y_pred))
            return {**results, "largest": self.largest.result()}

    return Own()


def with_added_losses(package):
    class Adding(package.layers.Layer):
        def call(self, x):
            self.add_loss(package.ops.mean(package.ops.square(x)))
            return x

    class Own(linear(package)):
        def __init__(self):
            super().__init__()
            self.adding = Adding()

        def call(self, x):
            return self.adding(self.dense(x))

    return Own()


@pytest.mark.parametrize("build", [without_training, with_a_metric, with_added_losses])
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"steps_per_execution": 2}])
def test_customised_training(build, options):
    results = []
    for package in (keraunos, keras):
        model = build(package)
        model.compile(package.optimizers.SGD(0.1), "mse", metrics=["mae"], **options)
        names = [metric.name for metric in model.metrics]
        history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        listed = model.evaluate(X, Y, batch_size=8, verbose=0)
        results.append((names, history, listed))
    (names, history, listed), (their_names, expected, their_list) = results
    assert names == their_names
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4)
    np.testing.assert_allclose(listed, their_list, rtol=1e-4)


def batches_heard(package):
    """What callbacks hear of batches, two at a time, of four."""
    heard = []

    class Heard(package.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            heard.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            heard.append(("end", batch))

        def on_test_batch_end(self, batch, logs=None):
            heard.append(("test", batch))

        def on_predict_batch_end(self, batch, logs=None):
            heard.append(("predict", batch))

    model = linear(package)()
    model.compile("sgd", "mse", steps_per_execution=2)
    options = {"batch_size": 6, "verbose": 0, "callbacks": [Heard()]}
    model.fit(X, Y, validation_data=(X, Y), **options)
    model.predict(X, **options)
    return heard


def test_batches_that_callbacks_hear_of():
    assert batches_heard(keraunos) == batches_heard(keras)


@pytest.mark.parametrize("outputs", [lambda o: [o], lambda o: (o,)])
def test_one_output_in_a_nesting(outputs):
    kinds = []
    for package in (keraunos, keras):
        x = package.Input((5,))
        model = package.Model(inputs=[x], outputs=outputs(package.layers.Dense(2)(x)))
        made = model.predict(X, verbose=0)
        kinds.append((type(made), model.output_shape, type(model.output)))
    assert kinds[0] == kinds[1]


def test_tensors_of_a_layer_that_is_called_twice():
    for package in (keraunos, keras):
        layer, first = package.layers.Dense(2), package.Input((3,))
        made = layer(first)
        layer(package.Input((3,)))
        assert layer.input is first
        assert layer.output is made


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_in_the_place_of_a_dict(kind):
    for package in (keraunos, keras):
        a, b = package.Input((5,), name="b"), package.Input((5,), name="a")
        model = package.Model({"b": a, "a": b}, package.layers.Subtract()([a, b]))
        with pytest.raises(ValueError, match="expected"):
            model.predict(kind([X, 2 * X]), verbose=0)
        np.testing.assert_allclose(model.predict({"b": X, "a": 2 * X}, verbose=0), -X)


def test_where_of_a_condition_alone():
    for x in (X > 0, X[0] * (X[0] > 0)):
        for name in ("where", "nonzero"):
            mine, theirs = (getattr(p.ops, name)(x) for p in (keraunos, keras))
            assert len(mine) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


def test_arguments_of_a_variable():
    taken = [
        list(inspect.signature(package.Variable.__init__).parameters)[1:9]
        for package in (keraunos, keras)
    ]
    assert taken[0] == taken[1]
