"""Training a model: steps, losses, metrics, what is frozen, what repeats, and what is refused."""

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 20).astype("int32")
Y = RNG.standard_normal((20, 2)).astype("float32")


def classifier(**kwargs):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    options = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"} | kwargs
    model.compile(**options)
    return model


def by_hand(model, x, labels, rate):
    """One step of gradient descent on the mean crossentropy, in numpy: the loss and the weights."""
    w1, b1, w2, b2 = (w.astype("float64") for w in model.get_weights())
    before = x @ w1 + b1
    hidden = np.maximum(before, 0)
    logits = hidden @ w2 + b2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), labels]).mean()
    slope = (p - np.eye(3)[labels]) / len(x)
    back = slope @ w2.T * (before > 0)
    grads = x.T @ back, back.sum(0), hidden.T @ slope, slope.sum(0)
    new = [w - rate * g for w, g in zip((w1, b1, w2, b2), grads, strict=True)]
    return loss, new


def test_a_step_is_gradient_descent_on_the_loss():
    model = classifier(optimizer=keras.optimizers.SGD(0.5))
    for _ in range(3):
        loss, weights = by_hand(model, X, LABELS, 0.5)
        model.reset_metrics()
        assert model.train_on_batch(X, LABELS) == pytest.approx(loss, rel=1e-5)
        for mine, expected in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


def test_a_batch_by_hand_counts_alone():
    model = classifier(metrics=["accuracy"])
    first = model.test_on_batch(X[:5], LABELS[:5], return_dict=True)
    rest = model.test_on_batch(X[5:], LABELS[5:], return_dict=True)
    assert rest == model.test_on_batch(X[5:], LABELS[5:], return_dict=True)
    both = {name: (5 * first[name] + 15 * rest[name]) / 20 for name in first}
    whole = model.test_on_batch(X, LABELS, return_dict=True)
    assert list(whole) == ["loss", "accuracy"] == model.metrics_names
    assert both == pytest.approx(whole, rel=1e-5)
    assert first != pytest.approx(whole)


def test_predictions_follow_the_weights():
    model = classifier()
    before = model.predict(X, verbose=0)
    model.train_on_batch(X, LABELS)
    after = model.predict(X, verbose=0)
    assert not np.allclose(before, after)
    assert np.allclose(after, model(X))


def test_one_program_serves_every_batch_size():
    model = classifier()
    for size in (20, 7, 1, 20):
        model.train_on_batch(X[:size], LABELS[:size])
    assert len(model._steps) == 1


def test_runs_repeat_bit_for_bit():
    def run():
        model = classifier(optimizer="adam")
        model.fit(X, LABELS, epochs=3, batch_size=7, verbose=0)
        return model.get_weights()

    for one, other in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frozen_layer_costs_no_backward_work():
    model = classifier()
    full = model.training_step(X, LABELS).graph
    model.layers[0].trainable = False
    frozen = model.training_step(X, LABELS).graph
    names = [node.attrs["name"] for node in frozen.updates]
    assert not any("hidden" in name for name in names)
    products = [sum("matmul" in n.op.name for n in graph.nodes) for graph in (full, frozen)]
    # Two forward; two weight gradients and a data gradient back, of which one remains.
    assert products == [5, 3]
    hidden = model.layers[0].get_weights()
    model.train_on_batch(X, LABELS)
    for one, other in zip(hidden, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_thawing_a_layer_counts_from_the_next_step():
    model = classifier()
    model.layers[0].trainable = False
    model.train_on_batch(X, LABELS)
    before = model.layers[0].get_weights()[0]
    model.layers[0].trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(X, LABELS)
    assert not np.array_equal(before, model.layers[0].get_weights()[0])


def test_a_shared_layer_learns_from_all_its_uses():
    shared = layers.Dense(2, use_bias=False)
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], shared(a) + shared(b))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x1, x2, y = (RNG.standard_normal(s).astype("float32") for s in ((5, 3), (5, 3), (5, 2)))
    kernel = shared.get_weights()[0]
    slope = 2 * ((x1 + x2) @ kernel - y) / y.size
    model.train_on_batch([x1, x2], y)
    expected = kernel - 0.1 * (x1 + x2).T @ slope
    np.testing.assert_allclose(shared.get_weights()[0], expected, rtol=1e-4, atol=1e-6)


def two_heads():
    x = keras.Input((6,))
    h = layers.Dense(4, activation="tanh")(x)
    heads = [layers.Dense(3, activation="softmax", name="kind")(h), layers.Dense(2, name="size")(h)]
    return keras.Model(x, heads)


def test_several_outputs_have_losses_weights_and_metrics_of_their_own():
    model = two_heads()
    model.compile(
        "sgd",
        loss=["sparse_categorical_crossentropy", "mse"],
        loss_weights=[1.0, 0.25],
        metrics=[["accuracy"], ["mae"]],
    )
    logs = model.test_on_batch(X, [LABELS, Y], return_dict=True)
    assert set(logs) == {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
    assert logs["loss"] == pytest.approx(logs["kind_loss"] + 0.25 * logs["size_loss"], rel=1e-5)
    kinds, sizes = model.predict(X, verbose=0)
    assert logs["kind_accuracy"] == pytest.approx((kinds.argmax(1) == LABELS).mean())
    assert logs["size_mae"] == pytest.approx(np.abs(sizes - Y).mean(), rel=1e-5)


def test_regularizers_and_added_losses_count():
    class Nagging(layers.Layer):
        def call(self, x):
            self.add_loss(3.0 * ops.mean(ops.square(x)))
            return x

    model = keras.Sequential(
        [keras.Input((6,)), Nagging(), layers.Dense(2, kernel_regularizer="l2")]
    )
    model.compile("sgd", "mse")
    kernel = model.layers[-1].get_weights()[0]
    expected = (
        np.square(model.predict(X, verbose=0) - Y).mean()
        + 3 * np.square(X).mean()
        + 0.01 * np.square(kernel).sum()
    )
    assert model.test_on_batch(X, Y) == pytest.approx(expected, rel=1e-5)


def test_a_model_may_have_added_losses_alone():
    class Shrinking(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            y = self.dense(x)
            self.add_loss(ops.sum(ops.square(y)))
            return y

    model = Shrinking()
    model.compile(keras.optimizers.SGD(0.01))
    losses = []
    for _ in range(20):
        model.reset_metrics()
        losses.append(model.train_on_batch(X))
    assert losses[-1] < losses[0] / 2


def test_constraints_hold_after_every_step():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, kernel_constraint="non_neg")])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(X, Y)
    assert (model.get_weights()[0] >= 0).all()


def test_sample_and_class_weights_scale_what_a_sample_adds():
    model = classifier()
    weights = np.linspace(0, 2, 20).astype("float32")
    probabilities = model.predict(X, verbose=0)
    each = -np.log(probabilities[np.arange(20), LABELS])
    given = model.test_on_batch(X, LABELS, sample_weight=weights)
    assert given == pytest.approx((each * weights).mean(), rel=1e-4)
    model.reset_metrics()
    of_class = {0: 1.0, 1: 5.0, 2: 0.5}
    given = model.train_on_batch(X, LABELS, class_weight=of_class)
    expected = (each * np.array([of_class[label] for label in LABELS])).mean()
    assert given == pytest.approx(expected, rel=1e-4)


# Written by the user


def test_a_loss_a_metric_and_an_optimizer_of_ones_own_are_compiled_like_the_rest():
    def cubic(y_true, y_pred):
        return ops.mean(ops.power(ops.abs(y_true - y_pred), 3), axis=-1)

    class Largest(keras.metrics.Metric):
        def __init__(self, name="largest"):
            super().__init__(name=name)
            self.value = self.add_variable((), "zeros", name="value")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.value.assign(ops.maximum(self.value, ops.max(ops.abs(y_true - y_pred))))

        def result(self):
            return self.value * 1.0

    class Signs(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            step = ops.cast(learning_rate, variable.dtype) * ops.sign(gradient)
            self.assign_sub(variable, step)

    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile(Signs(learning_rate=0.125), cubic, metrics=[Largest()])
    errors = np.abs(model.predict(X, verbose=0) - Y)
    before = model.get_weights()
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["loss"] == pytest.approx((errors**3).mean(), rel=1e-4)
    assert logs["largest"] == pytest.approx(errors.max(), rel=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_allclose(np.abs(new - old), 0.125, rtol=1e-5)


def test_compute_loss_may_be_ones_own():
    class Penalized(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred, sample_weight, training) + 10.0

    x = keras.Input((6,))
    model = Penalized(x, layers.Dense(2)(x))
    model.compile("sgd", "mse")
    plain = np.square(model.predict(X, verbose=0) - Y).mean()
    assert model.test_on_batch(X, Y) == pytest.approx(plain + 10, rel=1e-5)


# The compiler's view


def test_the_whole_step_is_one_graph_and_reads_like_one():
    step = classifier(optimizer="adam", metrics=["accuracy"]).training_step(X, LABELS)
    assert keras.parse_ir(str(step.graph)) == step.graph
    text = str(step)
    assert "update $hidden.kernel = " in text
    assert "# hidden" in text


def test_fused_and_unfused_steps_agree():
    results = []
    for passes in ("default", "none"):
        model = classifier(optimizer="adam", metrics=["accuracy"])
        step = keras.compile(model.training_step(X, LABELS), passes=passes)
        logs = [step(X, LABELS) for _ in range(5)]
        results.append((logs[-1], model.get_weights()))
    (fused, weights), (plain, expected) = results
    assert fused[0] == pytest.approx(float(plain[0]), rel=1e-5)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_steps_can_be_compared_and_explained():
    step = classifier().training_step(X, LABELS)
    comparison = keras.compare(step, variants=("none", "default"), repeats=2)
    assert comparison["default"].launches < comparison["none"].launches
    assert comparison["default"].error < 1e-4
    assert "fused" in str(keras.explain(step))


def test_the_op_that_made_the_first_nan_is_named():
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(2)(layers.Lambda(ops.log, name="logs")(x)))
    model.compile("sgd", "mse")
    before = model.get_weights()
    with keras.config.update(check_finite=True), pytest.raises(ValueError, match=r"log.*") as error:
        model.train_on_batch(X, Y)
    assert "logs" in str(error.value)
    assert "NaN" in str(error.value)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Deviation(keras.metrics.Metric):
    """The mean deviation, with the samples counted by their size."""

    def __init__(self, name="deviation"):
        super().__init__(name=name)
        self.total = self.add_weight(name="total")
        self.samples = self.add_weight(name="samples", dtype="int32")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)) / ops.shape(y_pred)[1])
        self.samples.assign_add(ops.shape(y_pred)[0])

    def result(self):
        return self.total / ops.cast(self.samples, "float32")


def test_a_metric_of_ones_own_may_count_samples():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[Deviation(), "mae"])
    _, mine, known = model.evaluate(X, Y, batch_size=7, verbose=0)
    assert mine == pytest.approx(known, rel=1e-5)


def test_metrics_that_are_attributes_count_too():
    class Watched(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = keras.metrics.Mean(name="deviation")

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            self.loss_tracker.update_state(ops.abs(y - y_pred))
            return ops.mean(ops.square(y - y_pred))

    x = keras.Input((6,))
    model = Watched(x, layers.Dense(2)(x))
    model.compile("sgd", metrics=["mae"])
    names = ["loss", "compile_metrics", "deviation"]
    assert [metric.name for metric in model.metrics] == names
    for _ in range(2):
        logs = model.evaluate(X, Y, batch_size=7, verbose=0, return_dict=True)
        assert list(logs) == ["deviation", "loss", "mae"]
        assert logs["deviation"] == pytest.approx(logs["mae"], rel=1e-5)
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["deviation"] == pytest.approx(history["mae"], rel=1e-5)
    assert [metric.name for metric in model.metrics] == names
    assert model.metrics_names == ["loss", "mae", "deviation"]
    assert [v.name for v in model.metrics_variables] == ["total", "count"] * 3
    assert [float(v.value) for v in model.metrics_variables[1::2]] == [20, 20, 20]


def test_a_metric_of_two_models_counts_for_each_anew():
    shared = keras.metrics.MeanAbsoluteError()
    for _ in range(2):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(2, kernel_initializer="ones")])
        model.compile("sgd", "mse", metrics=[shared])
        expected = np.abs(model.predict(X, verbose=0) - Y).mean()
        assert model.evaluate(X, Y, verbose=0)[1] == pytest.approx(expected, rel=1e-5)


def test_metrics_are_evaluated_without_a_loss():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile(metrics=["mae"])
    expected = np.abs(model.predict(X, verbose=0) - Y).mean()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([0, expected], rel=1e-5)
    with pytest.raises(ValueError, match="expected a loss to minimize"):
        model.fit(X, Y, verbose=0)


def test_targets_may_be_those_of_the_outputs_with_a_loss():
    x = keras.Input((6,))
    classes = layers.Dense(3, activation="softmax", name="classes")(x)
    model = keras.Model(x, [layers.Dense(1, name="other")(x), classes])
    model.compile("sgd", [None, "sparse_categorical_crossentropy"])
    loss = model.test_on_batch(X, [Y[:, :1], LABELS])
    assert model.test_on_batch(X, [LABELS]) == model.test_on_batch(X, LABELS) == loss


# Refusals


def test_steps_need_compile():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    for call in (model.train_on_batch, model.test_on_batch, model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"expected a call of compile\("):
            call(X, Y)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="7"):
        classifier().fit(X, np.where(np.arange(20) == 3, 7, LABELS), verbose=0)


def test_labels_out_of_range_are_refused_before_models_are_built():
    class Classes(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, activation="softmax")

        def call(self, inputs):
            return self.dense(inputs)

    for model in (Classes(), keras.Sequential([layers.Dense(3, activation="softmax")])):
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="for the 3 classes"):
            model.fit(X, LABELS + 1, verbose=0)


def test_targets_of_another_shape_are_refused():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="shape"):
        model.train_on_batch(X, np.zeros((20, 5), "float32"))


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "adamm"}, {"loss": "cross_entropyy"}, {"metrics": ["acuracy"]}]
)
def test_unknown_names_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))[0:4] if isinstance(
        next(iter(wrong.values())), str) else "acuracy"):  # fmt: skip
        classifier(**wrong).train_on_batch(X, LABELS)


def test_a_model_without_weights_to_train_is_told_so():
    model = keras.Sequential([keras.Input((6,)), layers.Activation("relu")])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="expected weights to train"):
        model.train_on_batch(X, X)


def test_models_that_are_not_built_yet_are_trained():
    class Line(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    for model in (Line(), keras.Sequential([layers.Dense(1)])):
        model.compile("sgd", "mse")
        losses = model.fit(X, X[:, :1], epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


# Targets that no compiled step can tell are wrong


def batches(y):
    yield X[:12], y[:12]
    yield X[12:], y[12:]


@pytest.mark.parametrize("way", ["train_on_batch", "test_on_batch", "fit", "evaluate"])
def test_labels_out_of_range_are_found_in_batches(way):
    model, y = classifier(), LABELS.copy()
    before = [weight.copy() for weight in model.get_weights()]
    y[3] = 7
    with pytest.raises(ValueError, match=r"expected targets from 0 to 2.*received 7 at index \(3,"):
        if way.endswith("batch"):
            getattr(model, way)(X[:12], y[:12])
        else:
            getattr(model, way)(batches(y), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.train_on_batch(X[:12], LABELS[:12])
