"""Steps of one's own: train_step, test_step, predict_step and what they call, traced and run."""

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 6)).astype("float32")
Y = RNG.standard_normal((20, 2)).astype("float32")


class Linear(keras.Model):
    """A layer of 6 x 2 weights that start at 0.1."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(
            2, use_bias=False, kernel_initializer=keras.initializers.Constant(0.1)
        )

    def call(self, x, training=False):
        return self.dense(x)


def compiled(kind, *args, **options):
    model = kind()
    model.compile(*args, **options)
    return model


def slope(kernel, x, y):
    """The loss and its gradient, by hand."""
    error = x @ kernel - y
    return np.square(error).mean(), 2 * x.T @ error / error.size


class Guided(Linear):
    """The step of the guide to Keras: gradients, an optimizer, every metric."""

    traces = 0

    def train_step(self, data):
        type(self).traces += 1
        x, y = data

        def loss_of(x, y):
            predicted = self(x, training=True)
            return self.compute_loss(y=y, y_pred=predicted), predicted

        weights = self.trainable_variables
        take = keras.value_and_grad(loss_of, wrt=weights, has_aux=True)
        (loss, predicted), gradients = take(x, y)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


@pytest.mark.parametrize("eager", [False, True])
def test_a_step_of_ones_own_is_run_and_gives_the_logs(eager):
    Guided.traces = 0
    model = Guided()
    model(X[:1])
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["mae"], run_eagerly=eager)
    kernel = model.get_weights()[0].astype("float64")
    history = model.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "mae"}
    for epoch in range(2):
        losses, errors = [], []
        for rows in (slice(0, 10), slice(10, 20)):
            loss, gradient = slope(kernel, X[rows], Y[rows])
            losses.append(loss)
            errors.append(np.abs(X[rows] @ kernel - Y[rows]).mean())
            kernel = kernel - 0.5 * gradient
        assert history["loss"][epoch] == pytest.approx(np.mean(losses), rel=1e-5)
        assert history["mae"][epoch] == pytest.approx(np.mean(errors), rel=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-4)
    assert Guided.traces == (4 if eager else 1)


def test_one_program_serves_every_batch_size_of_a_step_of_ones_own():
    Guided.traces = 0
    model = Guided()
    model(X[:1])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, verbose=0)
    model.train_on_batch(X[:3], Y[:3])
    assert Guided.traces == 1


class Extended(Linear):
    def train_step(self, data):
        return {**super().train_step(data), "twice": 2 * ops.mean(data[1])}

    def test_step(self, data):
        return {**super().test_step(data), "thrice": 3 * ops.mean(data[1])}

    def predict_step(self, data):
        return {"made": super().predict_step(data), "ones": ops.ones_like(data)}


def test_the_standard_steps_can_be_called_from_ones_own():
    mine, plain = (
        compiled(kind, keras.optimizers.SGD(0.5), "mse", metrics=["mae"])
        for kind in (Extended, Linear)
    )
    logs, expected = (m.fit(X, Y, verbose=0, shuffle=False).history for m in (mine, plain))
    assert logs.pop("twice")[0] == pytest.approx(2 * Y.mean(), rel=1e-4)
    assert logs == expected
    results = mine.evaluate(X, Y, verbose=0, return_dict=True)
    assert results.pop("thrice") == pytest.approx(3 * Y.mean(), rel=1e-4)
    assert results == plain.evaluate(X, Y, verbose=0, return_dict=True)
    # Metrics come first, and what no metric is called comes after them.
    assert len(mine.evaluate(X, Y, verbose=0)) == 3
    assert mine.evaluate(X, Y, verbose=0)[-1] == pytest.approx(3 * Y.mean(), rel=1e-4)


@pytest.mark.parametrize("eager", [False, True])
def test_predict_goes_by_ones_own_step(eager):
    model = compiled(Extended, "sgd", "mse", run_eagerly=eager)
    expected = X @ np.full((6, 2), 0.1)
    for made in (
        model.predict(X, batch_size=8, verbose=0),
        model.predict((X[start : start + 5] for start in range(0, 20, 5)), verbose=0),
        model.predict_on_batch(X),
    ):
        assert list(made) == ["made", "ones"]
        np.testing.assert_allclose(made["made"], expected, rtol=1e-5)
        assert made["ones"].shape == (20, 6)


def test_a_model_that_was_never_compiled_predicts_by_its_own_step():
    made = Extended().predict(X, verbose=0)
    np.testing.assert_allclose(made["made"], X @ np.full((6, 2), 0.1), rtol=1e-5)


class Seen(Linear):
    """Keeps the nesting of what its step was given."""

    def train_step(self, data):
        self.seen.append(data)
        _, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        return {"parts": 1.0 + (y is not None) + (weights is not None)}


@pytest.mark.parametrize(
    ("args", "options", "parts"),
    [((X,), {}, 1), ((X, Y), {}, 2), ((X, Y), {"sample_weight": np.ones(20)}, 3)],
)
def test_data_come_as_in_keras(args, options, parts):
    model = compiled(Seen, "sgd", "mse")
    model.seen = []
    assert model.fit(*args, **options, verbose=0).history["parts"] == [parts]
    (data,) = model.seen
    assert isinstance(data, keras.KerasTensor) if parts == 1 else len(data) == parts
    packed = keras.utils.pack_x_y_sample_weight(*keras.utils.unpack_x_y_sample_weight(data))
    assert type(packed) is type(data)


def test_data_of_generators_are_nested_as_they_come():
    model = compiled(Seen, "sgd", "mse")
    model.seen = []
    model.fit((({"a": X, "b": X}, [Y, Y]) for _ in range(2)), verbose=0)
    x, y = model.seen[0]
    assert list(x) == ["a", "b"]
    assert isinstance(y, list)


class Rivals(keras.Model):
    """Two losses, two optimizers: one pulls a number up, the other pushes it down."""

    def __init__(self):
        super().__init__()
        self.a = self.add_weight(shape=(), initializer="zeros", name="a")
        self.b = self.add_weight(shape=(), initializer="ones", name="b")
        self.gap = keras.metrics.Mean(name="gap")

    def compile(self, first, second):
        super().compile()
        self.first, self.second = first, second

    def train_step(self, data):
        def first_loss():
            return ops.square(self.a - self.b)

        def second_loss():
            return -ops.square(self.a - self.b) * ops.mean(data)

        up = keras.grad(first_loss, wrt=self.a)()
        self.first.apply([up], [self.a])
        down = keras.grad(second_loss, wrt=[self.b])()
        self.second.apply(down, [self.b])
        self.gap.update_state(self.b - self.a)
        return {"gap": self.gap.result()}


@pytest.mark.parametrize("eager", [False, True])
def test_several_optimizers_each_change_their_weights_in_turn(eager):
    model = Rivals()
    model.compile(keras.optimizers.SGD(0.25), keras.optimizers.SGD(0.125))
    model.run_eagerly = eager
    history = model.fit(np.ones((6, 1)), batch_size=2, epochs=2, verbose=0).history
    a, b, gaps = 0.0, 1.0, []
    for _ in range(2):
        found = []
        for _ in range(3):
            a -= 0.25 * 2 * (a - b)
            b -= 0.125 * 2 * (a - b)  # of the new a
            found.append(b - a)
        gaps.append(np.mean(found))
    np.testing.assert_allclose(history["gap"], gaps, rtol=1e-5)
    assert float(model.a.value) == pytest.approx(a, rel=1e-5)


# Losses and metrics


class Listed(Linear):
    def __init__(self):
        super().__init__()
        self.mine = [keras.metrics.Mean(name="mine")]
        self.apart = keras.metrics.Mean(name="apart")

    @property
    def metrics(self):
        return self.mine

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        loss = ops.mean(ops.square(y_pred - y))
        self.mine[0].update_state(loss)
        self.apart.update_state(loss)
        return loss


def test_all_that_metrics_lists_begins_anew_with_each_epoch_and_the_loss_too():
    model = compiled(Listed, keras.optimizers.SGD(0.1))
    history = model.fit(X, Y, batch_size=20, epochs=3, verbose=0).history
    assert set(history) == {"loss", "mine"}
    np.testing.assert_allclose(history["loss"], history["mine"], rtol=1e-6)
    assert history["loss"][2] < history["loss"][0]
    # What the property leaves out is the user's to reset.
    assert float(model.apart.count.value) == 3


def test_metrics_that_a_property_makes_known_are_saved_with_the_training():
    model = compiled(Listed, "sgd")
    names = [variable.path.partition("/")[0] for variable in model.metrics_variables]
    assert names == ["loss", "loss", "mine", "mine"]


def test_compute_metrics_may_be_ones_own():
    class Counted(Linear):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**results, "largest": ops.max(ops.abs(y_pred)), "nested": {"one": 1.0}}

    model = compiled(Counted, "sgd", "mse", metrics=["mae"])
    logs = model.test_on_batch(X, Y, return_dict=True)
    assert set(logs) == {"loss", "mae", "largest", "one"}
    assert logs["largest"] == pytest.approx(np.abs(X @ np.full((6, 2), 0.1)).max(), rel=1e-5)


@pytest.mark.parametrize("eager", [False, True])
def test_compute_loss_without_training_and_without_a_result(eager):
    class Nothing(Linear):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, allow_empty=False):
            return None

    model = compiled(Nothing, "sgd", run_eagerly=eager)
    assert model.evaluate(X, Y, verbose=0) == 0
    with pytest.raises(ValueError, match="expected a scalar to minimize; received None"):
        model.fit(X, Y, verbose=0)


def test_a_loss_that_is_no_scalar_is_refused():
    class Many(Linear):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return ops.square(y_pred - y)

    with pytest.raises(ValueError, match=r"expected one number; received shape \(None, 2\)"):
        compiled(Many, "sgd").fit(X, Y, verbose=0)


# Gradients in a step


def test_tensors_may_leave_the_function_that_is_differentiated():
    class Leaving(Linear):
        def train_step(self, data):
            x, y = data
            kept = []

            def loss_of():
                kept.append(self(x, training=True))
                return self.compute_loss(y=y, y_pred=kept[0])

            gradients = keras.grad(loss_of, wrt=self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"mean": ops.mean(kept[0]), **self.compute_metrics(x, y, kept[0])}

    model = Leaving()
    model(X[:1])
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["mae"])
    predicted = model.predict(X, verbose=0)
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["mean"] == pytest.approx(predicted.mean(), rel=1e-4)
    assert logs["mae"] == pytest.approx(np.abs(predicted - Y).mean(), rel=1e-5)
    _, gradient = slope(np.full((6, 2), 0.1), X, Y)
    np.testing.assert_allclose(model.get_weights()[0], 0.1 - 0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_gradients_by_tensors_and_of_gradients_in_a_step():
    class Penalized(Linear):
        def train_step(self, data):
            x, _ = data

            def score(x):
                return ops.sum(ops.square(self(x)))

            def penalty():
                return ops.mean(ops.square(keras.grad(score)(x)))

            value, gradients = keras.value_and_grad(penalty, wrt=self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"penalty": value}

    model = Penalized()
    model(X[:1])
    model.compile(keras.optimizers.SGD(0.0625))
    kernel = np.full((6, 2), 0.1)
    by_x = 2 * X @ kernel @ kernel.T
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["penalty"] == pytest.approx(np.square(by_x).mean(), rel=1e-4)
    back = 2 * by_x / by_x.size
    expected = 2 * (X.T @ back @ kernel + (X.T @ back).T @ kernel)
    np.testing.assert_allclose(
        model.get_weights()[0], kernel - 0.0625 * expected, rtol=1e-4, atol=1e-6
    )


def test_losses_that_layers_add_within_a_gradient_count_outside_of_it_too():
    class Adding(layers.Layer):
        def call(self, x):
            self.add_loss(ops.mean(ops.square(x)))
            return x

    class Outside(Linear):
        def __init__(self):
            super().__init__()
            self.adding = Adding()

        def call(self, x, training=False):
            return self.adding(self.dense(x))

        def train_step(self, data):
            x, _ = data
            keras.grad(lambda: ops.mean(self(x)), wrt=self.trainable_variables)()
            return {"added": sum(self.losses)}

    model = Outside()
    model(X[:1])
    model.compile("sgd", "mse")
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["added"] == pytest.approx(np.square(X @ np.full((6, 2), 0.1)).mean(), rel=1e-5)


@pytest.mark.parametrize("eager", [False, True])
def test_of_a_layer_that_is_called_twice_the_last_added_losses_count(eager):
    class Adding(layers.Layer):
        def call(self, x):
            self.add_loss(ops.mean(x))
            return x

    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = Adding(), Adding()

        def call(self, x):
            return self.second(self.first(x))

        def train_step(self, data):
            self(data)
            self(3 * data)
            self.second(5 * data)
            return {"added": sum(self.losses), "second": sum(self.second.losses)}

    model = compiled(Twice, "sgd", run_eagerly=eager)
    assert model.train_on_batch(np.ones((2, 1)), return_dict=True) == {"added": 8.0, "second": 5.0}


@pytest.mark.parametrize("eager", [False, True])
def test_a_model_that_only_its_step_calls_is_built_by_it(eager, tmp_path):
    class Parts(keras.Model):
        def __init__(self):
            super().__init__()
            self.part = layers.Dense(2)

        def train_step(self, data):
            return {"mean": ops.mean(self.part(data))}

    model = compiled(Parts, "sgd", run_eagerly=eager)
    assert not model.built
    model.fit(X, verbose=0)
    assert model.count_params() == 14
    model.save_weights(tmp_path / "parts.weights.h5")
    kernel = model.part.get_weights()[0]
    model.part.set_weights([kernel * 0, np.zeros(2)])
    model.load_weights(tmp_path / "parts.weights.h5")
    np.testing.assert_array_equal(model.part.get_weights()[0], kernel)
    # One whose layers are built is so from the beginning.
    model = Parts()
    model.part.build((None, 6))
    model.compile("sgd")
    assert model.built


# What cannot be traced


def failing(step, **options):
    kind = type("Failing", (Linear,), {"train_step": step})
    return compiled(kind, "sgd", "mse", **options)


def with_numpy(self, data):
    return {"loss": np.mean(np.asarray(self(data[0])))}


def with_float(self, data):
    return {"loss": float(ops.mean(self(data[0])))}


def with_if(self, data):
    if ops.mean(self(data[0])) > 0:
        return {"loss": 1.0}
    return {"loss": -1.0}


@pytest.mark.parametrize(
    ("step", "kind", "text"),
    [
        (with_numpy, ValueError, "numpy cannot be used on it. Use keraunos.ops"),
        (with_float, TypeError, "it is no float of Python"),
        (with_if, TypeError, "cannot decide an `if`"),
    ],
)
def test_what_needs_values_says_so_at_the_users_line(step, kind, text):
    with pytest.raises(kind, match=text) as caught:
        failing(step).fit(X, Y, verbose=0)
    assert "compile(run_eagerly=True) gives tensors their values" in str(caught.value)
    frames = [entry.name for entry in caught.traceback if "numpy" not in str(entry.path)]
    assert frames[-1] == step.__name__
    mean = (X @ np.full((6, 2), 0.1)).mean()
    expected = {with_if: np.sign(mean)}.get(step, mean)
    logs = failing(step, run_eagerly=True).fit(X, Y, batch_size=20, verbose=0).history
    assert logs["loss"] == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.parametrize("read", [float, int, np.asarray, lambda variable: variable.numpy()])
def test_the_value_of_a_weight_is_not_fixed_in_a_program(read):
    def step(self, data):
        return {"share": ops.mean(data[0]) * 0 + np.asarray(read(self.share), "float32")}

    for eager in (True, False):
        model = failing(step, run_eagerly=eager)
        model.share = keras.Variable(2.0)
        if eager:
            assert model.train_on_batch(X, Y, return_dict=True) == {"share": 2.0}
            model.share.assign(3.0)
            assert model.train_on_batch(X, Y, return_dict=True) == {"share": 3.0}
            continue
        with pytest.raises(ValueError, match=r"expected its use as a tensor, in keraunos\.ops"):
            model.train_on_batch(X, Y)


class Tape:
    """Stands for what other libraries record gradients with."""

    def gradient(self, loss, variables):
        raise AttributeError(f"'{type(loss).__name__}' object has no attribute '_id'")


@pytest.mark.parametrize("eager", [False, True])
def test_gradients_of_other_libraries_are_told_of_ours(eager):
    def step(self, data):
        Tape().gradient(ops.mean(self(data[0])), self.trainable_variables)

    with pytest.raises(AttributeError) as caught:
        failing(step, run_eagerly=eager).fit(X, Y, verbose=0)
    notes = "\n".join(caught.value.__notes__)
    assert "In Failing.train_step: gradients come from keraunos.value_and_grad" in notes
    assert ("compile(run_eagerly=True)" in notes) is not eager


def test_tensors_of_an_earlier_step_are_refused_in_the_next():
    def step(self, data):
        before, self.__dict__["before"] = getattr(self, "before", None), ops.mean(data[0])
        return {"loss": self.before if before is None else self.before + before}

    model = failing(step)
    model.train_on_batch(X)
    with pytest.raises(ValueError, match=r"keep numbers in a keraunos\.Variable"):
        model.train_on_batch(X, Y)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (lambda self, state, data: ({}, state), r"expected a method train_step\(self, data\)"),
        (lambda self, data: None, "expected a dict of numbers by name as its result; received"),
        (lambda self, data: {"loss": None}, "received None as 'loss'"),
        (lambda self, data: {"loss": "low"}, "expected"),
    ],
)
def test_what_is_no_step(step, text):
    with pytest.raises((ValueError, TypeError), match=text):
        failing(step).fit(X, Y, verbose=0)


def test_a_standard_step_needs_an_optimizer():
    with pytest.raises(ValueError, match=r"expected an optimizer: pass compile\(optimizer"):
        compiled(Linear, None, "mse").fit(X, Y, verbose=0)


def test_steps_of_ones_own_can_be_looked_into():
    model = Guided()
    model(X[:1])
    model.compile("sgd", "mse")
    step = model.training_step(X, Y)
    assert f"update ${model.dense.name}.kernel = " in str(step)
    assert step.names == ("loss",)
    assert keras.parse_ir(str(step.graph)) == step.graph


LABELS = np.arange(20) % 2


class Classes(Linear):
    """A step that hands the targets of a batch to the loss, cast and with an axis more."""

    def train_step(self, data):
        x, y = data

        def loss_of(x, y):
            return self.compute_loss(y=ops.cast(y[:, None], "int32"), y_pred=self(x))

        loss, gradients = keras.value_and_grad(loss_of, wrt=self.trainable_variables)(x, y)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class OwnLoss(Linear):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        found = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        return ops.mean(found)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
@pytest.mark.parametrize("kind", [Classes, OwnLoss])
def test_labels_that_name_no_class_are_refused_in_steps_of_ones_own(kind, dtype, eagerly):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = compiled(kind, "sgd", loss, run_eagerly=eagerly)
    model(X)
    good = LABELS.astype(dtype)
    model.fit(X, good, epochs=1, verbose=0)
    before = model.get_weights()[0]
    for wrong in (good + 1, good - 1):  # one of these is 255 as an unsigned number
        for run in (model.train_on_batch, lambda x, y: model.fit(x, y, verbose=0)):
            with pytest.raises(ValueError, match="expected targets from 0 to 1, for the 2 classes"):
                run(X, wrong)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert np.isfinite(model.train_on_batch(X, good))


@pytest.mark.parametrize("eagerly", [False, True])
def test_an_ignored_class_is_none_that_is_refused_in_steps_of_ones_own(eagerly):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    model = compiled(Classes, "sgd", loss, run_eagerly=eagerly)
    model(X)
    assert np.isfinite(model.train_on_batch(X, LABELS - 1))
    with pytest.raises(ValueError, match="received -2"):
        model.train_on_batch(X, LABELS - 2)


def test_labels_that_a_step_computes_are_its_own_affair():
    class Counted(Linear):
        def train_step(self, data):
            return super().train_step((data[0], data[1] - 7))

    model = compiled(Counted, "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.train_on_batch(X, LABELS + 7))


class AsksFirst(keras.Model):
    """Asks for its weights before it has been called."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        loss, gradients = keras.value_and_grad(
            lambda: ops.mean(ops.square(self(x) - y)), wrt=weights
        )()
        self.optimizer.apply(gradients, weights)
        return {"loss": loss, "weights": ops.convert_to_tensor(len(weights))}


@pytest.mark.parametrize("eager", [False, True])
def test_a_step_may_ask_for_weights_before_it_calls_the_model(eager):
    model = compiled(AsksFirst, keras.optimizers.SGD(0.1), run_eagerly=eager)
    history = model.fit(X, Y, batch_size=20, epochs=2, verbose=0).history
    assert history["weights"] == [2, 2] and history["loss"][1] < history["loss"][0]


class Pairs(AsksFirst):
    """Its call takes a pair, and its step calls the layer alone."""

    def call(self, pair):
        first, second = pair
        return self.dense(first) - self.dense(second)

    def train_step(self, data):
        return {"loss": ops.mean(self.dense(data[0]) * 0.0)}


def test_a_step_may_do_without_the_call_of_its_model():
    model = compiled(Pairs, "sgd")
    assert model.fit(X[:, :1] * 0, Y, verbose=0).history["loss"] == [0]
