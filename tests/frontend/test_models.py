"""Sequential and functional models: structure, order of weights, calls, results."""

from pathlib import Path

import numpy as np
import pytest
from interpreted import interpreted
from model_cases import MODELS

import keraunos
from keraunos import Model, Sequential, layers, ops
from keraunos.frontend.naming import clear_session

SUMMARIES = Path(__file__).parent / "summaries"
RANDOM = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def fresh_names(monkeypatch):
    clear_session(free_memory=False)
    monkeypatch.setenv("COLUMNS", "120")


def rows(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype("float32")


def summary(model, **options) -> str:
    printed: list[str] = []
    model.summary(print_fn=printed.append, **options)
    return "\n".join(printed)


@pytest.mark.parametrize("name", MODELS)
def test_summary_is_that_of_keras(name):
    assert summary(MODELS[name](keraunos)) == (SUMMARIES / f"{name}.txt").read_text("utf-8")


def test_summary_of_inner_layers_is_that_of_keras():
    received = summary(MODELS["nested"](keraunos), expand_nested=True, show_trainable=True)
    assert received == (SUMMARIES / "nested_expanded.txt").read_text("utf-8")


def test_summary_counts_what_the_optimizer_keeps_once_there_is_a_step():
    model = Sequential([keraunos.Input((6,)), layers.Dense(5), layers.Dense(1)])
    plain = summary(model)
    model.compile("adam", "mse")
    assert summary(model) == plain
    model.train_on_batch(np.ones((2, 6)), np.ones((2, 1)))
    # As Keras prints it: step, rate, and two moments of 41 weights, beside these.
    assert summary(model).splitlines()[-4:] == [
        " Total params: 125 (500.00 B)",
        " Trainable params: 41 (164.00 B)",
        " Non-trainable params: 0 (0.00 B)",
        " Optimizer params: 84 (336.00 B)",
    ]


def test_summary_before_the_weights_exist_and_of_some_layers():
    text = summary(Sequential([layers.Dense(3), layers.Dense(2)]))
    assert "dense (Dense)" in text
    assert "?" in text
    assert "0 (unbuilt)" in text
    part = summary(MODELS["digits"](keraunos), layer_range=("max_pooling2d", "flatten"))
    assert "flatten" in part
    assert "conv2d" not in part


def test_summary_prints_to_the_console_and_gives_nothing(capsys):
    assert MODELS["digits"](keraunos).summary() is None
    assert 'Model: "sequential"' in capsys.readouterr().out


# As Keras 3.15 gives them for the same models.
LAYERS = {
    "digits": "conv2d max_pooling2d flatten dense",
    "residual": (
        "input_layer conv2d conv2d_1 batch_normalization add activation conv2d_2 "
        "batch_normalization_1 conv2d_3 add_1 activation_1 conv2d_4 batch_normalization_2 add_2 "
        "activation_2 concatenate global_average_pooling2d dense"
    ),
    "siamese": "left right shared subtract",
    "nested": "input_layer_1 encoder dense_1 subtract",
    "heads": "a b left right add dense dense_1",
}
PATHS = {
    "digits": (
        "sequential/conv2d/kernel sequential/conv2d/bias sequential/dense/kernel "
        "sequential/dense/bias"
    ),
    "residual": (
        "conv2d/kernel conv2d/bias conv2d_1/kernel batch_normalization/gamma "
        "batch_normalization/beta batch_normalization/moving_mean "
        "batch_normalization/moving_variance conv2d_2/kernel batch_normalization_1/gamma "
        "batch_normalization_1/beta batch_normalization_1/moving_mean "
        "batch_normalization_1/moving_variance conv2d_3/kernel conv2d_3/bias conv2d_4/kernel "
        "batch_normalization_2/gamma batch_normalization_2/beta batch_normalization_2/moving_mean "
        "batch_normalization_2/moving_variance dense/kernel dense/bias"
    ),
    "siamese": "shared/kernel shared/bias",
    "nested": (
        "encoder/dense/kernel encoder/dense/bias encoder/batch_normalization/gamma "
        "encoder/batch_normalization/beta encoder/batch_normalization/moving_mean "
        "encoder/batch_normalization/moving_variance dense_1/kernel dense_1/bias"
    ),
    "heads": (
        "left/kernel left/bias right/kernel right/bias dense/kernel dense/bias dense_1/kernel "
        "dense_1/bias"
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_and_weights_are_in_the_order_of_keras(name):
    model = MODELS[name](keraunos)
    assert [layer.name for layer in model.layers] == LAYERS[name].split()
    assert [weight.path for weight in model.weights] == PATHS[name].split()


def test_a_shared_layer_has_its_weights_once():
    model = MODELS["siamese"](keraunos)
    kernel, bias = model.get_weights()
    left, right = rows(3, 4), rows(3, 4)
    expected = np.tanh(left @ kernel + bias) - np.tanh(right @ kernel + bias)
    np.testing.assert_allclose(interpreted(model, [left, right]), expected, atol=1e-5)


def test_a_model_is_a_layer_of_another():
    model = MODELS["nested"](keraunos)
    x = rows(3, 6)
    encoder = model.get_layer("encoder")
    first, second = interpreted(encoder, x), interpreted(encoder, x * 2 + 1)
    kernel, bias = model.get_layer("dense_1").get_weights()
    received = interpreted(model, x)
    np.testing.assert_allclose(received[0], first @ kernel + bias, atol=1e-5)
    np.testing.assert_allclose(received[1], first - second, atol=1e-5)
    assert model.get_layer(index=1) is encoder


def test_inputs_and_outputs_by_name():
    model = MODELS["heads"](keraunos)
    a, b = rows(3, 4), rows(3, 5)
    named = model.predict({"b": b, "a": a}, verbose=0)
    assert {name: value.shape for name, value in named.items()} == {"score": (3, 2), "side": (3, 1)}
    assert model.output_shape == {"score": (None, 2), "side": (None, 1)}


def test_a_list_does_not_stand_for_a_dict_of_inputs():
    a, b = keraunos.Input((2,), name="text"), keraunos.Input((2,), name="image")
    model = Model({"text": a, "image": b}, keraunos.layers.Subtract()([a, b]))
    pair = [np.full((1, 2), 5.0, "float32"), np.full((1, 2), 1.0, "float32")]
    named = dict(zip(("text", "image"), pair, strict=True))
    compiled = keraunos.compile(model)
    for run in (lambda x: model.predict(x, verbose=0), model, compiled):
        np.testing.assert_array_equal(run(named), [[4.0, 4.0]])
        for given in (pair, tuple(pair)):
            with pytest.raises(ValueError, match="expected a dict of inputs called image, text"):
                run(given)
    with pytest.raises(ValueError, match="expected a dict of inputs called image, text"):
        keraunos.compare(model, pair)
    nested = Model([{"text": a, "image": b}], keraunos.layers.Subtract()([a, b]))
    np.testing.assert_array_equal(nested.predict([named], verbose=0), [[4.0, 4.0]])
    for run in (nested, keraunos.compile(nested)):
        with pytest.raises(ValueError, match="expected a dict of inputs called image, text"):
            run([pair])


@pytest.mark.parametrize("outputs", [list, tuple])
def test_one_output_in_a_list_comes_alone(outputs):
    x = keraunos.Input((2,))
    model = Model(inputs=[x], outputs=outputs([keraunos.layers.Dense(1)(x)]))
    data = rows(3, 2)
    for made in (model.predict(data, verbose=0), model(data), keraunos.compile(model)(data)):
        assert isinstance(made, np.ndarray)
        assert made.shape == (3, 1)
    assert model.output_shape == (None, 1)
    assert len(model.outputs) == 1
    assert type(model.output) is outputs
    assert model(x).shape == (None, 1)
    model.compile("sgd", ["mse"])
    for targets in (np.zeros((3, 1)), [np.zeros((3, 1))]):
        loss = np.square(model.predict(data, verbose=0)).mean()
        assert model.evaluate(data, targets, verbose=0) == pytest.approx(loss, rel=1e-5)


def test_a_layer_called_twice_has_the_tensors_of_its_first_call():
    layer = keraunos.layers.Dense(2)
    with pytest.raises(AttributeError, match="it was not called on symbolic tensors"):
        _ = layer.output
    first, second = keraunos.Input((3,)), keraunos.Input((3,))
    made = layer(first)
    layer(second)
    assert layer.input is first
    assert layer.output is made


def test_what_an_input_cannot_be_is_refused():
    for options in ({"sparse": True}, {"optional": True}, {"tensor": keraunos.Input((2,))}):
        (name,) = options
        with pytest.raises(ValueError, match=f"expected no {name}, which there is not"):
            keraunos.Input((2,), **options)
    assert keraunos.Input((2,), sparse=False, optional=False).shape == (None, 2)


def test_layers_of_a_stack_may_be_connected_later():
    stack = [keraunos.layers.Dense(3), keraunos.layers.Dense(2)]
    model = keraunos.Sequential([keraunos.Input((4,))])
    for layer in stack:
        model.add(layer, rebuild=False)
    assert not model.built
    assert not stack[0].built
    assert model.predict(rows(3, 4), verbose=0).shape == (3, 2)
    assert model.built
    model.pop(rebuild=False)
    assert not model.built
    model.build()
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("alone", [True, False])
def test_a_mask_given_to_a_model_is_that_of_its_inputs(alone):
    class Hidden(keraunos.layers.Layer):
        def call(self, x, mask=None):
            return x if mask is None else keraunos.ops.where(mask[..., None], x, 0.0)

    x = keraunos.Input((5, 2))
    model = Model(x if alone else [x], Hidden()(x))
    data, mask = rows(3, 5, 2), np.arange(15).reshape(3, 5) % 3 > 0
    np.testing.assert_array_equal(model(data), data)
    given = mask if alone else [mask]
    np.testing.assert_array_equal(model(data, mask=given), np.where(mask[..., None], data, 0))


def test_x_and_y_in_one_tuple_train_where_one_input_is_known():
    x, weight = rows(4, 1), np.array([1, 0, 0, 2], "float32")
    apart, together = (keraunos.models.Sequential() for _ in range(2))
    for model in (apart, together):
        model.add(keraunos.Input((1,)))
        model.add(keraunos.layers.Dense(1, kernel_initializer="ones"))
        model.compile("sgd", "mse")
    for data in ((x, x), (x, x + 1, weight)):
        expected = apart.fit(*data[:2], sample_weight=(*data, None)[2], verbose=0).history
        assert together.fit(data, verbose=0).history == expected
        assert together.evaluate(data, verbose=0) == apart.evaluate(
            *data[:2], sample_weight=(*data, None)[2], verbose=0
        )


def test_x_and_y_that_may_be_inputs_are_refused_with_a_hint():
    x = rows(4, 1)
    known = keraunos.Sequential([keraunos.Input((1,)), keraunos.layers.Dense(1)])
    unknown = keraunos.Sequential([keraunos.layers.Dense(1)])
    for model, data in ((unknown, (x, x)), (unknown, [x, x]), (known, [x, x])):
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match=r"make two arguments of them: fit\(x, y\)"):
            model.fit(data, verbose=0)
    assert known.predict([[1.0], [2.0]], verbose=0).shape == (2, 1)
    assert known.predict([np.ones(1), np.ones(1)], verbose=0).shape == (2, 1)


def test_a_model_of_what_lies_between():
    whole = MODELS["residual"](keraunos)
    part = Model(whole.inputs, whole.get_layer("add_1").output)
    assert part.output_shape == (None, 8, 8, 4)
    tail = Model(whole.get_layer("add_1").output, whole.get_layer("activation_1").output)
    x = rows(2, 8, 8, 3)
    middle = interpreted(part, x)
    np.testing.assert_allclose(interpreted(tail, middle), np.maximum(middle, 0))


def test_weights_go_from_one_model_to_another():
    first, second = MODELS["residual"](keraunos), MODELS["residual"](keraunos)
    x = rows(2, 8, 8, 3)
    assert not np.allclose(interpreted(first, x), interpreted(second, x))
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(interpreted(first, x), interpreted(second, x))


def test_trainable_is_set_for_all_layers_inside():
    model = MODELS["nested"](keraunos)
    assert len(model.trainable_weights) == 6
    model.get_layer("encoder").trainable = False
    assert [weight.name for weight in model.trainable_weights] == ["kernel", "bias"]
    assert len(model.non_trainable_weights) == 6
    model.trainable = True
    assert len(model.trainable_weights) == 6
    assert model.count_params() == 54


def test_sequential_grows_and_shrinks():
    model = Sequential(name="stack")
    model.add(layers.Dense(4, input_shape=(3,)))
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    assert model.predict(rows(5, 3), verbose=0).shape == (5, 2)
    model.pop()
    assert model.output_shape == (None, 4)
    assert model.predict(rows(5, 3), verbose=0).shape == (5, 4)
    model.add(layers.Dense(1))
    assert model.predict(rows(5, 3), verbose=0).shape == (5, 1)


@pytest.mark.parametrize("first", [
    lambda: [layers.Input((3,)), layers.Dense(2)],
    lambda: [layers.InputLayer((3,)), layers.Dense(2)],
    lambda: [layers.Dense(2, input_shape=(3,))],
    lambda: [layers.Dense(2, input_dim=3)],
    lambda: [layers.Dense(2, batch_input_shape=(None, 3))],
    lambda: [Sequential([layers.Input((3,)), layers.Dense(2)])],
])  # fmt: skip
def test_sequential_knows_its_input_from(first):
    model = Sequential(first())
    assert model.built
    assert model.input_shape == (None, 3)
    assert model.output_shape == (None, 2)


def test_sequential_waits_for_the_shape():
    model = Sequential([layers.Dense(4), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(ValueError, match="expected a built model"):
        model.count_params()
    assert model(rows(5, 3)).shape == (5, 2)
    assert model.count_params() == 3 * 4 + 4 + 4 * 2 + 2
    explicit = Sequential([layers.Dense(4)])
    explicit.build((None, 3))
    assert explicit.count_params() == 16
    inside = Sequential([Sequential([layers.Dense(4)]), layers.Dense(2)])
    assert inside.predict(rows(5, 3), verbose=0).shape == (5, 2)


def test_tensors_of_any_depth_do_not_exhaust_the_stack():
    x = start = layers.Input((2,))
    for _ in range(1500):
        x = layers.Identity()(x) + 1.0
    model = Model(start, x)
    assert len(model.layers) == 1501
    np.testing.assert_allclose(interpreted(model, np.zeros((1, 2), "float32")), 1500)


def test_variable_sizes_share_one_graph():
    start = layers.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(start)
    model = Model(start, layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x)))
    for height, width in ((8, 8), (9, 6)):
        assert interpreted(model, rows(2, height, width, 3)).shape == (2, 4)
    assert keraunos.trace(model).symbols == ("H", "N", "W")


def test_sizes_that_only_the_data_show_equal():
    start = layers.Input((None, None, 1))
    wide = layers.UpSampling2D()(layers.MaxPooling2D()(start))
    model = Model(start, layers.Concatenate()([start, wide]))
    assert model.output_shape == (None, None, None, 2)
    for size in (4, 6):
        x = rows(2, size, size, 1)
        result = model.predict(x, verbose=0)
        np.testing.assert_array_equal(result[..., :1], x)
        np.testing.assert_array_equal(result[:, 0, 0, 1], x[:, :2, :2, 0].max((1, 2)))
    with pytest.raises(ValueError, match="equal sizes except at axis -1"):
        model.predict(rows(2, 5, 5, 1), verbose=0)
    with pytest.raises(ValueError, match="Give the sizes"):
        keraunos.trace(model)
    assert keraunos.trace(model, (None, 4, 4, 1)).outputs[0].shape[1:] == (4, 4, 2)


class Perceptron(Model):
    """A model as a class."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.by_name = {"out": layers.Dense(2)}

    def call(self, inputs, training=False):
        for layer in self.hidden:
            inputs = layer(inputs)
        return self.by_name["out"](inputs)


def test_a_subclassed_model():
    model = Perceptron(4)
    x = rows(5, 3)
    result = model(x)
    assert result.shape == (5, 2)
    assert [weight.path for weight in model.weights][:2] == [
        "perceptron/dense/kernel",
        "perceptron/dense/bias",
    ]
    assert len(model.get_weights()) == 6
    np.testing.assert_allclose(model.predict(x, batch_size=2, verbose=0), result, rtol=1e-5)
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dense_2"]
    assert "(None, 4)" in summary(model)
    built = Perceptron(4)
    built.build((None, 3))
    assert built.count_params() == model.count_params()


def test_a_subclass_may_be_given_its_ends():
    class Named(Model):
        def __init__(self):
            start = layers.Input((3,))
            super().__init__(inputs=start, outputs=layers.Dense(2)(start), name="named")

    model = Named()
    assert model.output_shape == (None, 2)
    assert model.predict(rows(2, 3), verbose=0).shape == (2, 2)


def test_one_program_serves_every_batch_size():
    model = Perceptron(4)
    for batch in (1, 2, 7):
        model(rows(batch, 3))
    assert len(model.programs) == 1
    functional = MODELS["siamese"](keraunos)
    for batch in (1, 2, 7):
        functional.predict_on_batch([rows(batch, 4), rows(batch, 4)])
    assert len(functional.programs) == 1


class Block(layers.Layer):
    """A user's layer: own weights, inner layers, arithmetic."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1], self.units), name="scale")
        self.steps = self.add_weight(shape=(), initializer="ones", trainable=False, name="steps")

    def call(self, x):
        return ops.matmul(x, self.scale) * self.steps + ops.tanh(self.inner(x))


def test_a_users_layer_works_like_the_others():
    start = layers.Input((3,))
    model = Model(start, layers.Dense(2)(Block(4, name="block")(start)))
    assert [weight.path for weight in model.weights] == [
        "block/scale",
        "block/steps",
        "block/dense_1/kernel",
        "block/dense_1/bias",
        "dense/kernel",
        "dense/bias",
    ]
    scale, steps, kernel, bias, *_ = model.get_weights()
    x = rows(5, 3)
    expected = x @ scale * steps + np.tanh(x @ kernel + bias)
    np.testing.assert_allclose(interpreted(model.get_layer("block"), x), expected, atol=1e-5)
    again = Block.from_config(model.get_layer("block").get_config())
    assert (again.units, again.name) == (4, "block")
    assert again.compute_output_shape((None, 3)) == (None, 4)


def test_a_users_layer_of_several_inputs_is_built_for_each():
    class Mixer(layers.Layer):
        def build(self, query_shape, value_shape):
            self.shapes = query_shape, value_shape

        def call(self, query, value):
            return query + value

    mixer = Mixer()
    assert mixer(layers.Input((3,)), value=layers.Input((3,))).shape == (None, 3)
    assert mixer.shapes == ((None, 3), (None, 3))


def test_a_layer_on_arrays_gives_arrays():
    layer = layers.Dense(2)
    result = layer([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert isinstance(result, np.ndarray)
    kernel, bias = layer.get_weights()
    expected = np.array([[1, 2, 3], [4, 5, 6]]) @ kernel + bias
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert layers.Add()([np.ones(3), np.ones(3)]).tolist() == [2, 2, 2]


def test_an_input_that_leads_nowhere_is_kept():
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    model = Model([a, b], layers.Dense(2)(a))
    assert [layer.name for layer in model.layers] == ["a", "b", "dense"]
    assert model.predict([rows(2, 3), rows(2, 3)], verbose=0).shape == (2, 2)


@pytest.mark.parametrize("sizes", [(None, 4), (6, 4)])
def test_a_model_within_another_gives_what_its_layers_give(sizes):
    """Unknown sizes have other names there, and may be known."""
    x, given = keraunos.Input((None, 4)), keraunos.Input(sizes)
    inner = Model(x, {"twice": [layers.Concatenate(1)([x, x])], "sum": ops.sum(x, axis=1)})
    model = Model(given, inner(given))
    assert model.output_shape["twice"] == [(None, 2 * sizes[0] if sizes[0] else None, 4)]
    assert model.output_shape["sum"] == (None, 4)
    data = rows(2, 6, 4)
    results = model(data)
    np.testing.assert_array_equal(results["twice"][0], np.concatenate([data, data], 1))
    np.testing.assert_allclose(results["sum"], data.sum(1), rtol=1e-5, atol=1e-6)


def test_sizes_of_a_model_within_another_are_those_of_what_it_is_given():
    """Of [x, x] two sizes that the model's own inputs have are one."""
    left, right, x = (keraunos.Input((None, 4)) for _ in range(3))
    joined = Model([left, right], layers.Concatenate(1)([left, right]))
    result = layers.Add()([joined([x, x]), layers.Concatenate(1)([x, x])])
    data = rows(2, 3, 4)
    expected = 2 * np.concatenate([data, data], 1)
    np.testing.assert_array_equal(Model(x, result)(data), expected)


def test_a_mask_comes_out_of_a_model_within_another():
    ids, given = keraunos.Input((None,), dtype="int32"), keraunos.Input((None,), dtype="int32")
    embedded = Model(ids, layers.Embedding(5, 3, mask_zero=True)(ids))
    model = Model(given, layers.GlobalAveragePooling1D()(embedded(given)))
    table = embedded.get_weights()[0]
    data = np.array([[1, 2, 0], [4, 0, 0]], "int32")
    expected = np.stack([table[[1, 2]].mean(0), table[4]])
    np.testing.assert_allclose(model(data), expected, rtol=1e-6)


def test_gradients_in_a_layer_go_through_a_model_within():
    class Slope(layers.Layer):
        def __init__(self, critic):
            super().__init__()
            self.critic = critic

        def call(self, x):
            return keraunos.grad(lambda v: ops.sum(self.critic(v)))(x)

    x, given = keraunos.Input((3,)), keraunos.Input((3,))
    critic = Model(x, ops.square(x))
    model = Model(given, Slope(critic)(given))
    np.testing.assert_array_equal(model(np.ones((2, 3), "float32")), np.full((2, 3), 2))


def test_layers_that_call_others_than_the_last_join_a_stack_as_well():
    class Halved(layers.Dense):
        def __call__(self, *args, **kwargs):
            return ops.multiply(super().__call__(*args, **kwargs), 0.5)

    model = Sequential([keraunos.Input((4,)), layers.Dense(3)])
    model.add(Halved(2))
    model.add(layers.ReLU())
    data = rows(5, 4)
    full = model(data)
    model.pop()
    np.testing.assert_array_equal(np.maximum(model(data), 0), full)
    model.pop()
    assert model.output_shape == (None, 3)


def test_an_input_may_be_an_output():
    a = layers.Input((3,))
    x = rows(2, 3)
    for received in interpreted(Model(a, [a, layers.Identity()(a)]), x):
        np.testing.assert_array_equal(received, x)


def test_compile_stops_after_a_stage() -> None:
    model = Sequential([keraunos.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu")])
    stopped = keraunos.compile(model, stop_after="simplify")
    stages = list(stopped.stages)
    assert stages[:3] == ["trace", "widen", "simplify"]
    assert "fuse" not in stages
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 1), dtype=np.float32)
    np.testing.assert_allclose(stopped(x), keraunos.compile(model)(x), rtol=1e-5, atol=1e-6)


def test_lists_that_were_given_to_layers_and_models_can_go_on_changing():
    inputs = keraunos.Input((4,))
    found = [inputs]
    for _ in range(3):
        found.append(layers.Dense(2)(layers.Concatenate()(found)))
    ends, given = [*found[1:3]], [inputs]
    model = Model(given, ends)
    ends.append(found[3])
    given.append(keraunos.Input((3,)))
    assert [layer.name for layer in Model(inputs, found[3]).layers if layer.weights]
    assert model.output_shape == [(None, 2), (None, 2)]
    shapes = [result.shape for result in model(np.ones((3, 4), "f4"))]
    assert shapes == [(3, 2), (3, 2)]
    parts = [inputs, inputs]
    joined = ops.concatenate(parts, axis=1)
    parts[0] = None
    assert Model(inputs, joined)(np.ones((3, 4), "f4")).shape == (3, 8)


def test_lists_that_were_given_to_compile_can_go_on_changing():
    inputs = keraunos.Input((4,))
    model = Model(inputs, [layers.Dense(1, name="a")(inputs), layers.Dense(1, name="b")(inputs)])
    losses, weights, metrics = ["mse", "mse"], [1.0, 0.0], [["mae"], []]
    model.compile("sgd", losses, loss_weights=weights, metrics=metrics)
    losses.append("mae")
    weights[1] = 100.0
    metrics[1].append("mse")
    x, y = np.ones((2, 4), "f4"), [np.full((2, 1), 9, "f4")] * 2
    results = model.evaluate(x, y, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(results["a_loss"])
    assert {"a_mae"} == {name for name in results if not name.endswith("loss")}
