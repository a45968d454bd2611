"""predict, predict_on_batch and calls on arrays, through compiled programs."""

import io
import sys

import numpy as np
import pytest

import keraunos as keras
from keraunos import Model, Sequential, layers
from keraunos.frontend.errors import UsageError
from keraunos.frontend.progress import Progbar

RANDOM = np.random.default_rng(11)
X = RANDOM.standard_normal((70, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(2)])


@pytest.fixture(scope="module")
def expected(model):
    kernel, bias, kernel_1, bias_1 = model.get_weights()
    return np.tanh(X @ kernel + bias) @ kernel_1 + bias_1


@pytest.fixture(scope="module")
def pair():
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    return Model([a, b], [layers.Add()([a, b]), layers.Subtract()([a, b])])


def close(received, wanted) -> None:
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, wanted, rtol=1e-4, atol=1e-5)


class Wrapped:
    """Something that is an array only by its protocol."""

    def __init__(self, array: np.ndarray, protocol: str):
        self.array = array
        self.protocol = protocol

    def __getattr__(self, name: str):
        if name in {self.protocol, "__dlpack_device__"}:
            return getattr(self.array, name)
        raise AttributeError(name)


class ArrayLike:
    def __init__(self, array: np.ndarray):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


class Tensor:
    def __init__(self, array: np.ndarray):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Batched:
    """A sequence of batches, as keras.utils.PyDataset is."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int):
        return X[index * 10 : index * 10 + 10], np.zeros(10)


@pytest.mark.parametrize("given", [
    X,
    X.astype("float64"),
    np.asfortranarray(X),
    X[::-1][::-1],
    X.tolist(),
    [X],
    ArrayLike(X),
    Tensor(X),
    {"x": X},
    X[:, :, None],
], ids=lambda given: type(given).__name__)  # fmt: skip
def test_predict_takes_what_is_an_array(model, expected, given):
    if isinstance(given, dict):
        given = {model.inputs[0].name: X}
    close(model.predict(given, verbose=0), expected)


def test_predict_takes_integers_as_floats(model):
    whole = RANDOM.integers(0, 9, (5, 3))
    close(model.predict(whole, verbose=0), model.predict(whole.astype("float32"), verbose=0))


@pytest.mark.parametrize("batch_size", [None, 1, 7, 70, 1000])
def test_predict_in_batches_of_any_size(model, expected, batch_size):
    close(model.predict(X, batch_size=batch_size, verbose=0), expected)


@pytest.mark.parametrize("make", [
    Batched,
    lambda: (X[i : i + 10] for i in range(0, 70, 10)),
    lambda: ((X[i : i + 10], np.zeros(10)) for i in range(0, 70, 10)),
    lambda: iter([X[:30], X[30:]]),
    lambda: iter([[X[:30], np.zeros(30)], [X[30:], np.zeros(40)]]),
])  # fmt: skip
def test_predict_takes_what_gives_batches(model, expected, make):
    close(model.predict(make(), verbose=0), expected)


def test_predict_stops_after_some_steps(model, expected):
    close(model.predict(X, batch_size=10, steps=3, verbose=0), expected[:30])
    close(model.predict(Batched(), steps=3, verbose=0), expected[:30])
    close(model.predict(X, steps=3, verbose=0), expected)  # as many as make 3 batches

    def endless():
        while True:
            yield X[:10]

    assert model.predict(endless(), steps=4, verbose=0).shape == (40, 2)
    with pytest.raises(ValueError, match="the data ended after 7"):
        model.predict((X[:10] for _ in range(7)), steps=9, verbose=0)


def test_several_inputs_and_outputs(pair):
    y = X + 1
    for given in ([X, y], (X, y), {"b": y, "a": X}):
        total, difference = pair.predict(given, batch_size=32, verbose=0)
        close(total, X + y)
        close(difference, X - y)
    batches = ({"a": X[i : i + 10], "b": y[i : i + 10]} for i in range(0, 70, 10))
    close(pair.predict(batches, verbose=0)[0], X + y)
    close(pair.predict((([X, y],) for _ in range(1)), verbose=0)[0], X + y)


@pytest.mark.parametrize("batch", [lambda x: [x, x], lambda x: (x, x)])
def test_batches_of_several_inputs_are_one_list_within(pair, batch):
    """A list or tuple is x and y, as in ``fit``; the error says how several inputs are given."""
    with pytest.raises(ValueError, match=r"received 1 of them\. Give them .*\(\[a, b\],\)"):
        pair.predict((batch(X) for _ in range(2)), verbose=0)
    both = pair.predict(((batch(X),) for _ in range(2)), verbose=0)
    close(both[0], np.concatenate([X + X, X + X]))


def test_an_empty_batch_gives_an_empty_result(model, pair):
    for result in (model.predict(X[:0], verbose=0), model.predict_on_batch(X[:0]), model(X[:0])):
        assert result.shape == (0, 2)
        assert result.dtype == np.float32
    assert [part.shape for part in pair.predict([X[:0], X[:0]], verbose=0)] == [(0, 3), (0, 3)]


def test_what_is_not_finite_passes_through(model):
    odd = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [0, 0, 0]], "float32")
    result = model.predict(odd, verbose=0)
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1:]).all()


def test_the_warm_path_gives_what_the_cold_one_gives(model, expected):
    model.hot = None
    for _ in range(3):
        close(model.predict_on_batch(X), expected)
    assert model.hot is not None
    close(model.predict_on_batch(X[:1]), expected[:1])
    close(model.predict_on_batch(X[::2]), expected[::2])
    close(model.predict_on_batch(X.astype("float64")), expected)
    close(model(X), expected)


def test_results_are_not_overwritten_by_the_next_call(model, expected):
    first = model.predict_on_batch(X[:5])
    model.predict_on_batch(X[5:10])
    close(first, expected[:5])


def test_a_fixed_batch_size_holds_for_each_batch():
    start = layers.Input((3,), batch_size=35)
    model = Model(start, start * 2)
    close(model.predict(X, batch_size=35, verbose=0), X * 2)
    with pytest.raises(ValueError, match=r"expected shape \(35, 3\); received shape \(32, 3\)"):
        model.predict(X, verbose=0)


def test_new_weights_are_used_at_once():
    model = Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False)])
    other = Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False)])
    for _ in range(2):
        kernel = RANDOM.standard_normal((3, 2)).astype("float32")
        model.set_weights([kernel])
        close(model.predict_on_batch(X), X @ kernel)
        other.set_weights([kernel * 2])
        close(model.predict_on_batch(X), X @ kernel)
    model.layers[0].kernel.assign(np.zeros((3, 2)))
    close(model.predict_on_batch(X), np.zeros((70, 2)))


def test_one_axis_too_many_or_too_few_of_size_one():
    image = Sequential([layers.Input((4, 4, 1)), layers.Flatten()])
    x = RANDOM.standard_normal((2, 4, 4)).astype("float32")
    close(image.predict(x, verbose=0), x.reshape(2, 16))


def test_embeddings_take_integers_of_any_kind():
    model = Sequential([layers.Embedding(9, 4), layers.Flatten()])
    tokens = RANDOM.integers(0, 9, (5, 3))
    table = None
    for dtype in ("int64", "int32", "uint8", "float32"):
        result = model.predict(tokens.astype(dtype), verbose=0)
        table = model.get_weights()[0] if table is None else table
        close(result, table[tokens].reshape(5, 12))


def test_callbacks_hear_of_each_batch(model):
    heard = []

    class Listener:
        def __getattr__(self, name):
            return lambda *args: heard.append((name, args))

    model.predict(X, batch_size=35, verbose=0, callbacks=[Listener()])
    assert [name for name, _ in heard if name.startswith("on_")] == [
        "on_predict_begin",
        "on_predict_batch_begin",
        "on_predict_batch_end",
        "on_predict_batch_begin",
        "on_predict_batch_end",
        "on_predict_end",
    ]
    outputs = [args[1]["outputs"] for name, args in heard if name == "on_predict_batch_end"]
    assert [output.shape for output in outputs] == [(35, 2)] * 2


def test_verbose_says_how_far_it_is(model, capsys):
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""
    model.predict(X, verbose=2)
    assert capsys.readouterr().out.startswith("3/3 - 0s - ")
    model.predict(X)
    assert capsys.readouterr().out.startswith("3/3 - 0s - ")
    model.predict(X for _ in range(4))
    assert capsys.readouterr().out.startswith("4/4 - 0s - ")
    with pytest.raises(ValueError, match='expected 0, 1, 2 or "auto"; received 3'):
        model.predict(X, verbose=3)


def test_verbose_redraws_a_line_on_a_terminal(model, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    model.predict(X)
    assert "3/3\x1b[0m \x1b[32m" + "━" * 20 in sys.stdout.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(steps, target, **options) -> str:
    stream = Terminal()
    bar = Progbar(target, interval=0, stream=stream, **options)
    for step, values in steps:
        bar.update(step, values)
    return stream.getvalue()


def test_progress_redraws_one_line_in_the_form_of_keras():
    text = progress([(5, [("loss", 0.5)]), (10, [("loss", 0.25)])], 10)
    first, last = text.split("\r")[1:]
    assert first.startswith(
        "\x1b[1m 5/10\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m"
    )
    assert " - loss: 0.5000" in first
    assert last.startswith("\x1b[1m10/10\x1b[0m \x1b[32m" + "━" * 20)
    assert last.rstrip().endswith(" - loss: 0.2500")  # spaces hide what a longer line left
    assert "/step" in last


def test_progress_averages_over_steps_and_shows_small_numbers():
    text = progress([(1, [("loss", 1.0), ("seen", 1)]), (3, [("loss", 4e-5), ("seen", 3)])], 9,
                    stateful_metrics=["seen"])  # fmt: skip
    assert "loss: 0.3334 - seen: 3.0000" in text
    assert "loss: 4.0000e-05" in progress([(1, [("loss", 4e-5)])], 9)


def test_progress_without_a_known_end():
    text = progress([(3, None)], None)
    assert "      3/Unknown" in text


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "logsumexp"])
@pytest.mark.parametrize("axis", [0, 1])
def test_nothing_is_chosen_among_no_elements(name, axis):
    function = keras.compile(
        lambda x: getattr(keras.ops, name)(x, axis=axis), keras.KerasTensor((None, None))
    )
    assert function(np.ones((2, 3), "float32")).shape == ((3,), (2,))[axis]
    assert function(np.ones(((2, 0), (0, 3))[axis], "float32")).shape == (0,)
    with pytest.raises(ValueError, match=f"{name}: expected 1 element or more .* has none"):
        function(np.ones(((0, 3), (2, 0))[axis], "float32"))


def test_sizes_that_a_program_cannot_have_are_told_as_usage():
    function = keras.compile(lambda x: x[:, 5], keras.KerasTensor((None, None)))
    assert function(np.ones((2, 6), "float32")).shape == (2,)
    with pytest.raises(UsageError, match="expected 6 <= T; got 6 > 5"):
        function(np.ones((2, 5), "float32"))


def test_inputs_nest_within_one_another():
    a, b, c = (keras.Input((3,), name=name) for name in "abc")
    joined = layers.Concatenate()([layers.Subtract()([a, b]), c])
    scaled = layers.Dense(6, kernel_initializer=lambda shape, dtype: np.eye(6))(joined)
    model = Model({"pair": [a, {"second": b}], "single": c}, scaled)
    model.compile(keras.optimizers.SGD(0.0), "mae")
    one, two, three = (np.full((4, 3), value, "float32") for value in (5, 3, 7))
    given = {"single": three, "pair": [one, {"second": two}]}
    wanted = np.concatenate([one - two, three], axis=1)
    close(model(given), wanted)
    close(model.predict(given, batch_size=2, verbose=0), wanted)
    close(model.predict_on_batch(given), wanted)
    close(keras.compile(model)(given), wanted)
    assert model.evaluate(given, wanted + 1, verbose=0) == pytest.approx(1.0)
    assert model.train_on_batch(given, wanted + 1) == pytest.approx(1.0)
    assert model.fit(given, wanted + 1, verbose=0).history["loss"] == pytest.approx([1.0])
    with pytest.raises(ValueError, match="expected inputs called pair, single; received pair"):
        model.predict({"pair": [one, {"second": two}]}, verbose=0)
