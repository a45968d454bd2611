"""Recurrent layers against Keras: values, states, masks, names, training."""

import numpy as np
import pytest
from twins import (
    Case,
    assert_close,
    assert_twins_agree,
    case,
    keras,
    set_same_weights,
    sweep,
    twins,
)

import keraunos

SEQUENCE, SHORT, OPEN = (5, 4), (1, 3), (None, 4)
FLAGS = [False, True]
X = np.random.default_rng(0).standard_normal((3, *SEQUENCE)).astype("float32")
MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)


def recurrent() -> list[Case]:
    cases = []
    for name in ("SimpleRNN", "LSTM", "GRU"):
        cases += [case(name, shape, units=6, batches=(1, 3)) for shape in (SEQUENCE, SHORT, OPEN)]
        axes = {"return_sequences": FLAGS, "go_backwards": FLAGS, "use_bias": FLAGS}
        cases += sweep(name, SEQUENCE, axes, units=3)
        cases += sweep(name, SEQUENCE, {"activation": ["relu", "linear"]}, units=17)
        cases.append(case(name, SEQUENCE, units=3, unroll=True))
    gates = {"recurrent_activation": ["sigmoid", "hard_sigmoid"], "reset_after": FLAGS}
    cases += sweep("GRU", SEQUENCE, gates, units=5)
    cases.append(case("LSTM", SEQUENCE, units=5, unit_forget_bias=False))
    return cases


FILM = np.random.default_rng(8).standard_normal((3, 5, 6, 5, 2)).astype("float32")
LINES = FILM[..., 0, :]


def convolutional() -> list[Case]:
    first = {"padding": "SAME", "data_format": "channels_first", "unit_forget_bias": False}
    backwards = {"go_backwards": True, "return_sequences": True}
    sizes = {"filters": 3, "kernel_size": 2}
    return [
        case("ConvLSTM1D", (5, 2, 5), **sizes, **first),
        case("ConvLSTM1D", LINES.shape[1:], **sizes, dilation_rate=2, activation="relu"),
        case("ConvLSTM2D", FILM.shape[1:], **sizes, strides=2, unroll=True, **backwards),
        case("ConvLSTM3D", (2, 4, 3, 5, 2), **sizes, strides=(2, 1, 2), padding="same"),
    ]


@pytest.mark.parametrize("case", [*recurrent(), *convolutional()], ids=str)
def test_layers_agree_with_keras(case):
    assert_twins_agree(case)


def pairs(make):
    """A layer of both, built for ``X`` or lines of pixels, with the same weights."""
    layers = make(keras.layers), make(keraunos.layers)
    for layer in layers:
        layer(LINES if "Conv" in type(layer).__name__ else X)
    set_same_weights(*layers)
    return layers


def same(theirs, ours, *args, **kwargs):
    expected = theirs(*args, **kwargs)
    found = ours(*args, **kwargs)
    assert isinstance(found, (list, tuple)) == isinstance(expected, (list, tuple))
    for one, other in zip(flat(found), flat(expected), strict=True):
        assert_close(np.asarray(one), np.asarray(other))


def flat(value):
    return (
        [leaf for each in value for leaf in flat(each)]
        if isinstance(value, (list, tuple))
        else [value]
    )


MAKERS = {
    "SimpleRNN": lambda layers, **o: layers.SimpleRNN(6, **o),
    "LSTM": lambda layers, **o: layers.LSTM(6, **o),
    "GRU": lambda layers, **o: layers.GRU(6, **o),
    "ConvLSTM1D": lambda layers, **o: layers.ConvLSTM1D(6, 3, **o),
    "ConvLSTM2D": lambda layers, **o: layers.ConvLSTM2D(6, (3, 2), **o),
    "stacked": lambda layers, **o: layers.RNN([layers.LSTMCell(6), layers.GRUCell(3)], **o),
}


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "stacked"])
@pytest.mark.parametrize(
    ("zero", "backwards", "state"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, False)],
)
def test_masks(kind, zero, backwards, state):
    options = {"zero_output_for_mask": zero, "go_backwards": backwards, "return_state": state}
    both = pairs(lambda layers: MAKERS[kind](layers, return_sequences=True, **options))
    same(*both, X, mask=MASK)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_initial_states(kind):
    both = pairs(lambda layers: MAKERS[kind](layers, return_state=True))
    states = [np.full((3, 6), 0.5 * n, "float32") for n in range(1, 1 + (kind == "LSTM") + 1)]
    same(*both, X, initial_state=states)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", FLAGS)
@pytest.mark.parametrize("masked", FLAGS)
def test_both_directions(mode, sequences, masked):
    both = pairs(
        lambda layers: layers.Bidirectional(
            layers.LSTM(4, return_sequences=sequences, return_state=True), merge_mode=mode
        )
    )
    same(*both, X, **({"mask": MASK} if masked else {}))


def test_a_backward_layer_of_ones_own():
    both = pairs(
        lambda layers: layers.Bidirectional(
            layers.GRU(4), backward_layer=layers.GRU(4, activation="relu", go_backwards=True)
        )
    )
    same(*both, X)


def test_states_of_convolutional_layers():
    options = {"padding": "same", "return_state": True, "return_sequences": True}
    both = pairs(lambda layers: layers.ConvLSTM1D(3, 2, **options))
    states = [np.full((*LINES[:, 0, :, 0].shape, 3), 0.1 * n, "float32") for n in (1, 2)]
    same(*both, LINES, initial_state=states)


def test_names_of_weights():
    for make in (
        lambda layers: layers.LSTM(4, name="a"),
        lambda layers: layers.Bidirectional(layers.GRU(4, name="g"), name="a"),
        lambda layers: layers.ConvLSTM1D(4, 2, name="a"),
    ):
        theirs, ours = pairs(make)
        assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D"])
def test_configurations_name_what_keras_names(kind):
    theirs, ours = (MAKERS[kind](p.layers, dropout=0.1, name="a") for p in (keras, keraunos))
    known = theirs.get_config()
    found = ours.get_config()
    assert set(found) - {"seed"} == set(known) - {"seed"}  # which Keras leaves out of SimpleRNN's
    plain = (bool, int, float, str, type(None))
    for name, value in known.items():
        if isinstance(value, plain):
            assert found[name] == value, name


def test_stateful_layers():
    both = pairs(lambda layers: layers.LSTM(4, stateful=True))
    for layer in both:
        layer.reset_state()
    for _ in range(3):
        same(*both, X)


def language_model(package):
    tokens = package.Input((7,))
    x = package.layers.Embedding(20, 8, mask_zero=True)(tokens)
    x = package.layers.Bidirectional(package.layers.GRU(6, return_sequences=True))(x)
    x = package.layers.LSTM(5)(x)
    return package.Model(tokens, package.layers.Dense(20, activation="softmax")(x))


def encoder_and_decoder(package):
    source, target = package.Input((None, 4)), package.Input((None, 3))
    _, *states = package.layers.LSTM(6, return_state=True)(source)
    x = package.layers.LSTM(6, return_sequences=True)(target, initial_state=states)
    x = package.layers.TimeDistributed(package.layers.Dense(2))(x)
    return package.Model([source, target], x)


def of_films(package):
    film = package.Input(FILM.shape[1:])
    x = package.layers.ConvLSTM2D(3, 2, strides=2)(film)
    return package.Model(film, package.layers.Dense(2)(package.layers.Flatten()(x)))


def test_training_on_films():
    theirs, ours = twins(of_films)
    y = np.random.default_rng(9).standard_normal((3, 2)).astype("float32")
    losses = []
    for package, model in ((keras, theirs), (keraunos, ours)):
        model.compile(package.optimizers.SGD(0.1), "mse")
        losses.append([model.train_on_batch(FILM, y) for _ in range(5)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_a_hundred_steps_of_training():
    theirs, ours = twins(language_model)
    rng = np.random.default_rng(3)
    tokens, labels = rng.integers(0, 20, (64, 7)), rng.integers(0, 20, 64)
    curves = []
    for package, model in ((keras, theirs), (keraunos, ours)):
        model.compile(package.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        found = model.fit(tokens, labels, batch_size=16, epochs=25, shuffle=False, verbose=0)
        curves.append(found.history["loss"])
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)


def test_an_encoder_whose_states_begin_a_decoder():
    theirs, ours = twins(encoder_and_decoder)
    rng = np.random.default_rng(4)
    data = [rng.standard_normal(s).astype("float32") for s in ((5, 6, 4), (5, 3, 3))]
    assert_close(ours.predict_on_batch(data), theirs.predict_on_batch(data))
    y = rng.standard_normal((5, 3, 2)).astype("float32")
    losses = []
    for package, model in ((keras, theirs), (keraunos, ours)):
        model.compile(package.optimizers.SGD(0.1), "mse")
        losses.append([model.train_on_batch(data, y) for _ in range(10)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def given_a_mask(package):
    tokens, mask = package.Input((6, 4)), package.Input((6,), dtype="bool")
    x = package.layers.LSTM(3, return_sequences=True)(tokens, mask=mask)
    return package.Model([tokens, mask], package.layers.GRU(5)(x))


def masked_encoder_and_decoder(package):
    tokens = package.Input((6,))
    embedded = package.layers.Embedding(5, 4, mask_zero=True)(tokens)
    _, *states = package.layers.LSTM(3, return_state=True)(embedded)
    x = package.layers.LSTM(3, return_sequences=True)(embedded, initial_state=states)
    return package.Model(tokens, package.layers.GRU(5)(x))


def masked_both_ways(package):
    tokens = package.Input((6,))
    embedded = package.layers.Embedding(5, 4, mask_zero=True)(tokens)
    both = package.layers.Bidirectional
    _, *states = both(package.layers.GRU(3, return_state=True))(embedded)
    x = both(package.layers.GRU(3, return_sequences=True))(embedded, initial_state=states)
    return package.Model(tokens, both(package.layers.GRU(5))(x))


def test_a_mask_that_was_given_goes_on_with_the_outputs():
    theirs, ours = twins(given_a_mask)
    rng = np.random.default_rng(5)
    data = [rng.standard_normal((5, 6, 4)).astype("float32"), rng.random((5, 6)) < 0.6]
    assert_close(ours.predict_on_batch(data), theirs.predict_on_batch(data))


@pytest.mark.parametrize("make", [masked_encoder_and_decoder, masked_both_ways])
def test_calls_on_states_too_take_no_mask_of_themselves(make):
    theirs, ours = twins(make)
    tokens = np.random.default_rng(6).integers(0, 3, (5, 6))
    assert_close(ours.predict_on_batch(tokens), theirs.predict_on_batch(tokens))


def test_normalization_at_each_step_in_training():
    both = pairs(lambda layers: layers.TimeDistributed(layers.BatchNormalization(momentum=0.7)))
    same(*both, X, training=True)
    theirs, ours = both
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(one, other)
