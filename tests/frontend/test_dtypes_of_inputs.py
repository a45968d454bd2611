"""Inputs arrive with all their digits: doubles, large integers, bytes, flags and scalars."""

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops

DOUBLES = np.array([0.1, 16777217.0, 1e300, 1e-300])
LARGE = np.array([2**40 + 1, -(2**50) - 1, 2**31, 7])


@pytest.fixture
def doubles():
    keras.set_floatx("float64")
    yield
    keras.set_floatx("float32")


def graph_of(kind):
    return keras.parse_ir(f"graph g(%x: {kind}[N]) -> {kind}[N] {{\n  return %x\n}}")


class Twice(layers.Layer):
    def call(self, x):
        return x + x


def test_programs_over_doubles_get_53_bits():
    np.testing.assert_array_equal(keras.compile(graph_of("f64"))(DOUBLES), DOUBLES)
    np.testing.assert_array_equal(keras.compile(lambda t: t * 3.0, DOUBLES)(DOUBLES), DOUBLES * 3)
    compared = keras.compare(graph_of("f64"), DOUBLES, variants="none", repeats=1)
    assert compared["none"].error == 0


@pytest.mark.parametrize("way", ["call", "predict", "predict_on_batch", "compiled"])
def test_models_over_doubles_get_53_bits(way):
    inputs = keras.Input((1,), dtype="float64")
    model = keras.Model(inputs, layers.Rescaling(3.0, dtype="float64")(inputs))
    ways = {
        "call": model,
        "predict": lambda x: model.predict(x, verbose=0),
        "predict_on_batch": model.predict_on_batch,
        "compiled": keras.compile(model),
    }
    for _ in range(3):
        result = ways[way](DOUBLES[:, None])
        np.testing.assert_array_equal(result[:, 0], DOUBLES * 3)


def test_layers_of_doubles_get_53_bits_and_others_the_default_float():
    np.testing.assert_array_equal(Twice(dtype="float64")(DOUBLES), DOUBLES * 2)
    assert Twice()(DOUBLES[:2]).dtype == "float32"
    assert keras.grad(lambda x: ops.sum(x * x))(DOUBLES[:2]).dtype == "float32"


@pytest.mark.parametrize("convert", [ops.cast, lambda x, t: ops.convert_to_tensor(x, dtype=t)])
def test_ops_keep_what_the_dtype_asked_for_can_hold(convert):
    np.testing.assert_array_equal(convert(DOUBLES, "float64") * 3, DOUBLES * 3)
    np.testing.assert_array_equal(convert(DOUBLES.tolist(), "float64"), DOUBLES)
    np.testing.assert_array_equal(convert(LARGE, "int64"), LARGE)
    np.testing.assert_array_equal(convert(LARGE.tolist(), "int64"), LARGE)
    np.testing.assert_array_equal(convert(np.array([16777217.0]), "int32"), [16777217])
    np.testing.assert_array_equal(convert(LARGE, "float64"), LARGE.astype("float64"))


@pytest.mark.usefixtures("doubles")
def test_doubles_may_be_the_default():
    np.testing.assert_array_equal(keras.compile(lambda t: t * 3.0, DOUBLES)(DOUBLES), DOUBLES * 3)
    np.testing.assert_array_equal(ops.convert_to_tensor(DOUBLES) * 3, DOUBLES * 3)
    np.testing.assert_array_equal(Twice()(DOUBLES), DOUBLES * 2)
    np.testing.assert_array_equal(keras.Variable(DOUBLES), DOUBLES)


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        ("i64", LARGE),
        ("i32", np.array([-(2**31), 2**31 - 1], "int32")),
        ("u8", np.array([0, 255], "uint8")),
        ("bool", np.array([True, False])),
        ("i64", LARGE[2:].astype("uint32")),
        ("i32", LARGE[3:]),
        ("f32", np.array([0.1, 1e30], ">f4")),
        ("f32", np.array([[0.1, 0], [1e30, 0]], "float32")[:, 0]),
    ],
)
def test_inputs_of_every_dtype_arrive_as_they_are(kind, x):
    np.testing.assert_array_equal(keras.compile(graph_of(kind))(x), x)


@pytest.mark.parametrize(("kind", "x"), [("i32", LARGE), ("u8", np.array([1, 256]))])
def test_integers_that_do_not_fit_are_refused(kind, x):
    with pytest.raises(ValueError, match=r'input "x": expected values of .*; received int64 from'):
        keras.compile(graph_of(kind))(x)


def test_integers_that_a_model_cannot_hold_are_refused():
    inputs = keras.Input((1,), dtype="int32")
    model = keras.Model(inputs, layers.Identity()(inputs))
    np.testing.assert_array_equal(model.predict(np.array([[3.0]]), verbose=0), [[3]])
    for x in (LARGE[:, None], np.array([[np.nan]]), np.array([[1e10]])):
        with pytest.raises(ValueError, match="expected values of int32, from -2147483648"):
            model.predict(x, verbose=0)


@pytest.mark.parametrize("x", [2.0, np.float32(2), np.array(2.0), np.array(2, "float32")])
def test_scalars_are_inputs(x):
    scalar, three = keras.KerasTensor((), "float32"), keras.KerasTensor((3,), "float32")
    run = keras.compile(lambda x, y: x * y, scalar, three)
    np.testing.assert_array_equal(run(x, np.ones(3, "float32")), [2, 2, 2])
    assert keras.compile(lambda x: x * x, np.float32(3))(x).shape == ()
    assert keras.grad(lambda x: x * x)(float(x)) == 4
    assert keras.trace(lambda x: x * x, np.float32(3)).inputs[0].shape == ()


def test_unaligned_and_foreign_arrays_are_copied_for_models():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.arange(12, dtype="float32").reshape(4, 3)
    odd = np.zeros(49, "uint8")[1:].view("float32").reshape(4, 3)
    odd[:] = x
    for given in (odd, x.astype(">f4"), np.asfortranarray(x), x.astype("float64")):
        expected = model.predict_on_batch(x)
        np.testing.assert_array_equal(model.predict_on_batch(given), expected)
        np.testing.assert_array_equal(model(given), expected)
        np.testing.assert_array_equal(model.layers[0](given), expected)
        y = np.zeros((4, 2), "float32")
        assert model.test_on_batch(given, y) == model.test_on_batch(x, y)


def test_gradients_given_to_an_optimizer_may_be_doubles():
    weight = keras.Variable(np.zeros(3))
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([np.array([1.0, 2.0, 3.0])], [weight])
    optimizer.apply([np.arange(6.0)[::2]], [weight])
    assert weight.numpy().tolist() == [-1, -4, -7]


def same(dtype=None):
    return layers.Dense(1, kernel_initializer="ones", dtype=dtype)


class Plain(keras.Model):
    def __init__(self):
        super().__init__(dtype="float64")

        self.same = same("float64")

    def call(self, x):
        return self.same(x)


def doubles_model(kind):
    if kind == "subclassed":
        model = Plain()
    else:
        inputs = keras.Input((1,), dtype="float64")
        model = keras.Model(inputs, same("float64")(inputs))
    model.compile(keras.optimizers.SGD(1e-30), keras.losses.MeanAbsoluteError(dtype="float64"))
    return model


TINY = np.float64(2.0) ** -40  # beside 1 it is lost in float32
ONES = np.ones((4, 1))


@pytest.mark.parametrize("kind", ["functional", "subclassed"])
@pytest.mark.parametrize("wide", ["inputs", "targets", "lists"])
def test_training_over_doubles_gets_53_bits(kind, wide):
    model = doubles_model(kind)
    x, y = (ONES, ONES + TINY) if wide == "targets" else (ONES + TINY, ONES)
    if wide == "lists":
        x = x.tolist()
    ways = {
        "fit": lambda: model.fit(x, y, verbose=0).history["loss"][0],
        "validation": lambda: model.fit(x, y, validation_split=0.5, verbose=0).history["val_loss"],
        "stream": lambda: model.fit(iter([(np.array(x), y)]), verbose=0).history["loss"][0],
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "test_on_batch": lambda: model.test_on_batch(x, y),
    }
    for name, way in ways.items():
        assert np.allclose(way(), TINY, rtol=1e-6, atol=0), name


@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
def test_weights_of_samples_get_53_bits(given):
    """Their losses are 1 each, their weights sum to four times TINY."""
    model, x, y = doubles_model("functional"), ONES, np.array([[0.0], [2.0]] * 2)
    weights = np.array([1 + 2 * TINY, -1.0] * 2)
    options = {given: weights if given == "sample_weight" else {0: weights[0], 2: weights[1]}}
    ways = {
        "fit": lambda: model.fit(x, y, verbose=0, **options).history["loss"][0],
        "train_on_batch": lambda: model.train_on_batch(x, y, **options),
    }
    if given == "sample_weight":
        batches = iter([(x, y, weights)])
        halves = {"validation_split": 0.5, "verbose": 0, **options}
        ways |= {
            "validation": lambda: model.fit(x, y, **halves).history["val_loss"],
            "stream": lambda: model.fit(batches, verbose=0).history["loss"][0],
            "evaluate": lambda: model.evaluate(x, y, verbose=0, **options),
        }
    for name, way in ways.items():
        assert np.allclose(way(), TINY, rtol=1e-6, atol=0), name


def test_targets_keep_what_a_loss_of_doubles_sees():
    model = keras.Sequential([keras.Input((1,)), same()])
    model.compile(keras.optimizers.SGD(1e-30), keras.losses.MeanAbsoluteError(dtype="float64"))
    assert np.isclose(model.train_on_batch(ONES, ONES + TINY), TINY, rtol=1e-6, atol=0)


def test_models_of_several_types_get_each_input_as_they_take_it():
    wide, narrow = keras.Input((1,), dtype="float64"), keras.Input((1,))
    sums = layers.Add(dtype="float64")([wide, narrow])
    model = keras.Model([wide, narrow], same("float64")(sums))
    model.compile(keras.optimizers.SGD(1e-30), keras.losses.MeanAbsoluteError(dtype="float64"))
    assert np.isclose(model.train_on_batch([ONES + TINY, ONES], ONES * 2), TINY, rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [
    lambda rows: rows.astype("uint64"),
    lambda rows: rows.astype("longdouble"),
    lambda rows: rows.astype("float16"),
    lambda rows: memoryview(rows),
    lambda rows: rows.astype(">f4"),
    lambda rows: rows.view(np.recarray),
])  # fmt: skip
def test_numbers_of_any_kind_come_in_by_every_way(make):
    rows, targets = np.arange(12, dtype="float32").reshape(4, 3), np.zeros((4, 2), "float32")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    wanted, loss = model.predict(rows, verbose=0), model.evaluate(rows, targets, verbose=0)
    given = make(rows)
    for run in (model, model.predict_on_batch, lambda x: model.predict(x, verbose=0)):
        np.testing.assert_allclose(run(given), wanted, rtol=1e-5)
    assert model.train_on_batch(given, targets) == pytest.approx(loss, rel=1e-5)
    assert model.evaluate(given, targets, verbose=0) == pytest.approx(loss, rel=1e-5)
    history = model.fit(given, targets, verbose=0).history
    assert history["loss"] == pytest.approx([loss], rel=1e-5)


def test_integers_that_no_type_holds_are_refused():
    with pytest.raises(ValueError, match="expected values of int64, from"):
        ops.add(np.array([2**63], "uint64"), 1)


def test_arrays_that_layers_give_to_layers_within_keep_their_digits():
    class Less(layers.Layer):
        def call(self, x):
            return x - 1

    class Constant(layers.Layer):
        def __init__(self, dtype):
            super().__init__(dtype="float64")
            self.less = Less(dtype=dtype)

        def call(self, x):
            return x + self.less(np.array([[1 + TINY]]))

    zeros = np.zeros((1, 1))
    np.testing.assert_array_equal(Constant("float64")(zeros), [[TINY]])
    np.testing.assert_array_equal(Constant("float32")(zeros), [[0]])


def test_utilities_leave_rounding_to_the_model():
    data = np.arange(6) + TINY
    windows, targets = keras.utils.timeseries_dataset_from_array(data, data, 2)[0]
    np.testing.assert_array_equal(windows, np.stack([data[:-1], data[1:]], 1))
    np.testing.assert_array_equal(targets, data[:-1])
    left, right = keras.utils.split_dataset({"x": data}, left_size=0.5)
    np.testing.assert_array_equal(np.concatenate([left["x"], right["x"]]), data)
    narrow = keras.Sequential([keras.Input((2,)), layers.Rescaling(1.0)])
    assert narrow.predict(windows, verbose=0).dtype == np.float32


BESIDE = {
    "operators": lambda x: x + DOUBLES,
    "a list": lambda x: ops.add(DOUBLES.tolist(), x),
    "where": lambda x: ops.where(x > 1, x, DOUBLES),
    "clip": lambda x: ops.clip(x, DOUBLES, 2 * DOUBLES),
    "concatenate": lambda x: ops.concatenate([x, DOUBLES]),
    "stack": lambda x: ops.stack([DOUBLES, x]),
    "append": lambda x: ops.append(x, DOUBLES),
    "vstack": lambda x: ops.vstack([DOUBLES, x]),
    "a nesting": lambda x: ops.convert_to_tensor([x, DOUBLES]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_arrays_beside_tensors_of_doubles_keep_53_bits(name):
    x = keras.Input(batch_shape=(4,), dtype="float64")
    found = keras.Model(x, BESIDE[name](x))(np.zeros(4))
    parts = [0 * DOUBLES, DOUBLES]
    expected = {
        "concatenate": np.concatenate(parts),
        "append": np.concatenate(parts),
        "stack": np.stack(parts[::-1]),
        "vstack": np.stack(parts[::-1]),
        "a nesting": np.stack(parts),
    }
    np.testing.assert_array_equal(found, expected.get(name, DOUBLES))


BEYOND = 2**62 + 1  # that no float is


@pytest.mark.parametrize(
    "function",
    [
        lambda o, x: o.clip(x, -BEYOND, BEYOND),
        lambda o, x: o.pad(x, ((1, 2),), constant_values=BEYOND),
        lambda o, x: o.round(x),
        lambda o, x: o.trunc(x),
    ],
    ids=["clip", "pad", "round", "trunc"],
)
def test_integers_beyond_floats_keep_their_digits(function):
    x = np.array([2**62 + 3, 5, -(2**62) - 3])
    symbolic = keras.Input(batch_shape=(3,), dtype="int64")
    model = keras.Model(symbolic, function(ops, symbolic))
    for found in (function(ops, x), model(x)):
        np.testing.assert_array_equal(found, function(np, x))
        assert found.dtype == np.int64


def test_bytes_do_not_wrap_around_before_they_are_floats():
    x, y = np.array([0, 3, 250], "uint8"), np.array([1, 2, 255], "uint8")
    expected = np.logaddexp(x, y, dtype="float32")
    np.testing.assert_allclose(ops.logaddexp(x, y), expected, rtol=1e-6)


@pytest.mark.parametrize("value", [300, float("nan"), float("inf")])
def test_integers_are_padded_with_what_they_can_be(value):
    with pytest.raises(ValueError, match="expected a number that int8 holds, got"):
        ops.pad(np.ones(3, "int8"), 1, constant_values=value)


HUGE = 10**400


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.clip(1.0, 0, HUGE),
        lambda: ops.linspace(0, HUGE, 3),
        lambda: ops.pad(np.ones(3), 1, constant_values=HUGE),
        lambda: ops.leaky_relu(1.0, HUGE),
    ],
)
def test_integers_beyond_all_floats_are_refused(call):
    with pytest.raises(ValueError, match=r"expected .* received 1000"):
        call()
