"""Recurrent layers against their equations in numpy, one step after another."""

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.ir.graph import Graph
from keraunos.frontend.errors import LayerError
from keraunos.frontend.tracing import Spec, trace_call

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
RNG = np.random.default_rng(7)
X = RNG.standard_normal((BATCH, STEPS, FEATURES)).astype("float32")
# Padding at the end, at the beginning, in between, and everywhere.
MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)


def assert_close(received, expected):
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_step(x, states, weights):
    kernel, recurrent, bias = weights
    h = np.tanh(x @ kernel + bias + states[0] @ recurrent)
    return h, [h]


def lstm_step(x, states, weights):
    kernel, recurrent, bias = weights
    i, f, g, o = np.split(x @ kernel + states[0] @ recurrent + bias, 4, axis=1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru_step(x, states, weights):
    kernel, recurrent, (bias, recurrent_bias) = weights
    zx, rx, hx = np.split(x @ kernel + bias, 3, axis=1)
    zh, rh, hh = np.split(states[0] @ recurrent + recurrent_bias, 3, axis=1)
    z, r = sigmoid(zx + zh), sigmoid(rx + rh)
    h = z * states[0] + (1 - z) * np.tanh(hx + r * hh)
    return h, [h]


def gru_step_of_the_paper(x, states, weights):
    kernel, recurrent, bias = weights
    zx, rx, hx = np.split(x @ kernel + bias, 3, axis=1)
    zh, rh = np.split(states[0] @ recurrent[:, : 2 * UNITS], 2, axis=1)
    z, r = sigmoid(zx + zh), sigmoid(rx + rh)
    h = z * states[0] + (1 - z) * np.tanh(hx + (r * states[0]) @ recurrent[:, 2 * UNITS :])
    return h, [h]


KINDS = {
    "SimpleRNN": (layers.SimpleRNN, {}, simple_step, 1),
    "LSTM": (layers.LSTM, {}, lstm_step, 2),
    "GRU": (layers.GRU, {}, gru_step, 1),
    "GRU of the paper": (layers.GRU, {"reset_after": False}, gru_step_of_the_paper, 1),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def drawn(layer, seed=1):
    """Gives a layer other weights than it began with, and returns them in float64."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.standard_normal(w.shape) * 0.5 for w in layer.weights])
    return [w.astype("float64") for w in layer.get_weights()]


def made(kind, **options):
    """A layer that has weights, these, and the equations of its step."""
    cls, own, step, count = KINDS[kind]
    layer = cls(UNITS, **own, **options)
    layer.build((BATCH if options.get("stateful") else None, STEPS, FEATURES))
    return layer, drawn(layer), step, count


def run(step, weights, states, x, mask=None, backwards=False, zero=False):
    """The outputs of all steps in the order in which they are taken, and the last states."""
    output, outputs = np.zeros((len(x), UNITS)), []
    order = range(x.shape[1])
    for t in reversed(order) if backwards else order:
        new_output, new = step(x[:, t].astype("float64"), states, weights)
        on = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        output = np.where(on, new_output, 0 if zero else output)
        states = [np.where(on, n, s) for n, s in zip(new, states, strict=True)]
        outputs.append(output)
    return np.stack(outputs, 1), states


def zeros(count):
    return [np.zeros((BATCH, UNITS)) for _ in range(count)]


@each_kind
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
def test_outputs_and_states_follow_the_equations(kind, backwards, unroll):
    layer, weights, step, count = made(
        kind, return_sequences=True, return_state=True, go_backwards=backwards, unroll=unroll
    )
    outputs, *states = layer(X)
    expected, last = run(step, weights, zeros(count), X, backwards=backwards)
    assert_close(outputs, expected)
    for state, value in zip(states, last, strict=True):
        assert_close(state, value)


@each_kind
def test_the_last_output_is_that_of_the_last_step(kind):
    layer, weights, step, count = made(kind)
    assert_close(layer(X), run(step, weights, zeros(count), X)[0][:, -1])


@each_kind
@pytest.mark.parametrize(
    ("zero", "backwards", "unroll"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, False)],
)
def test_masked_steps_leave_states_as_they_were(kind, zero, backwards, unroll):
    layer, weights, step, count = made(
        kind,
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=zero,
        go_backwards=backwards,
        unroll=unroll,
    )
    outputs, *states = layer(X, mask=MASK)
    expected, last = run(step, weights, zeros(count), X, MASK, backwards, zero)
    assert_close(outputs, expected)
    for state, value in zip(states, last, strict=True):
        assert_close(state, value)


@each_kind
def test_a_call_may_begin_with_given_states(kind):
    layer, weights, step, count = made(kind)
    states = [RNG.standard_normal((BATCH, UNITS)).astype("float32") for _ in range(count)]
    assert_close(layer(X, initial_state=states), run(step, weights, states, X)[0][:, -1])
    with pytest.raises(ValueError, match="initial_state: expected states of shapes"):
        layer(X, initial_state=[*states, states[0]])
    with pytest.raises(ValueError, match="initial_state: expected states of shapes"):
        layer(X, initial_state=[s[:, 1:] for s in states])


@each_kind
@pytest.mark.parametrize("batch", [1, BATCH + 1])
def test_states_of_another_batch_size_are_refused(kind, batch):
    layer, _, _, count = made(kind)
    with pytest.raises(LayerError, match=rf"of the sequences; received \({batch}, {UNITS}\)"):
        layer(X, initial_state=[np.zeros((batch, UNITS), "float32")] * count)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize(
    "shape", [(STEPS,), (BATCH, STEPS + 1), (BATCH + 1, STEPS), (BATCH, STEPS, 2)]
)
def test_masks_of_other_shapes_are_refused(unroll, shape):
    layer = layers.GRU(UNITS, unroll=unroll)
    with pytest.raises(
        LayerError, match=r"mask: expected shape \(batch, steps\), here \(None, 5\)"
    ):
        layer(X, mask=np.ones(shape, bool))
    one_for_all = np.array([[True, False, True, True, False]])
    expected = layer(X, mask=np.repeat(one_for_all, BATCH, 0))
    assert_close(layer(X, mask=one_for_all), expected)


def test_a_mask_reaches_calls_on_one_tensor_and_goes_on_from_those_it_is_given_to():
    class Counting(layers.Layer):
        supports_masking = True

        def call(self, x, other=None, mask=None):
            return x if mask is None else x + ops.cast(mask, x.dtype)[..., None]

    masked = layers.Masking()
    data = np.zeros((1, 2, 1), "float32")
    data[0, 0] = 1
    mask = np.array([[False, True]])

    def once(x):
        return Counting()(masked(x))

    def on_two(x):
        return Counting()(masked(x), x)

    def given(x, mask):
        return Counting()(Counting()(masked(x), x, mask=mask))

    for function, inputs, expected in (
        (once, [data], [2, 0]),
        (on_two, [data], [1, 0]),
        (given, [data, mask], [1, 2]),
    ):
        received = keras.compile(function, *inputs)(*inputs)
        np.testing.assert_array_equal(received.ravel(), expected)


@each_kind
def test_stateful_layers_go_on_where_the_last_call_ended(kind):
    layer, weights, step, count = made(kind, stateful=True)
    states = zeros(count)
    for _ in range(2):
        outputs, states = run(step, weights, states, X)
        assert_close(layer(X), outputs[:, -1])
    assert [w.name for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
    layer.reset_state()
    assert_close(layer(X), run(step, weights, zeros(count), X)[0][:, -1])
    with pytest.raises(ValueError, match="expected batches of 3 samples"):
        layer(X[:2])


def test_a_stateful_layer_needs_a_known_batch():
    with pytest.raises(ValueError, match="stateful=True: expected a known batch size"):
        layers.LSTM(2, stateful=True)(keras.Input((5, 4)))


@each_kind
@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradients_are_those_of_finite_differences(kind, masked):
    layer, *_ = made(kind, return_sequences=True)
    spec = Spec((None, STEPS, FEATURES))
    mask = Spec((None, STEPS), "bool") if masked else None
    trace = trace_call(layer, (spec,), {"mask": mask} if masked else {}, training=True)
    graph = trace.graph
    wrt = [node for node in (*graph.inputs, *graph.parameters) if node.dtype.is_float]
    loss = Graph("loss", graph.inputs, (weighted_squares(graph.returned),))
    arrays = [X.astype("float64"), MASK][: len(graph.inputs)]
    weights = {name: variable.value.astype("float64") for name, variable in trace.variables.items()}
    check = GradientCheck.of(loss, wrt, arrays, weights)
    check.assert_right()
    check.assert_compiled()


def test_one_compiled_model_serves_every_length_and_every_batch():
    model = keras.Sequential([keras.Input((None, FEATURES)), layers.LSTM(UNITS)])
    weights = drawn(model.layers[0])
    for batch, steps in ((1, 1), (2, 3), (3, 40), (17, 5)):
        x = RNG.standard_normal((batch, steps, FEATURES)).astype("float32")
        states = [np.zeros((batch, UNITS))] * 2
        assert_close(model.predict_on_batch(x), run(lstm_step, weights, states, x)[0][:, -1])
    assert len(model.programs) == 1


class TwoGates(layers.Layer):
    """A cell of one's own: ``h = f * h + (1 - f) * tanh(g)``."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 2 * self.units), name="kernel")
        self.recurrent = self.add_weight((self.units, 2 * self.units), name="recurrent")

    def call(self, inputs, states):
        both = ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent)
        f, g = ops.split(both, 2, axis=-1)
        f = ops.sigmoid(f)
        h = f * states[0] + (1 - f) * ops.tanh(g)
        return h, [h]


def two_gates_step(x, states, weights):
    kernel, recurrent = weights
    f, g = np.split(x @ kernel + states[0] @ recurrent, 2, axis=1)
    h = sigmoid(f) * states[0] + (1 - sigmoid(f)) * np.tanh(g)
    return h, [h]


def test_a_cell_of_ones_own():
    layer = layers.RNN(TwoGates(UNITS), return_sequences=True)
    layer.build((None, STEPS, FEATURES))
    weights = drawn(layer)
    assert_close(layer(X), run(two_gates_step, weights, zeros(1), X)[0])


def test_stacked_cells_take_what_the_one_before_gives():
    layer = layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(UNITS)], return_state=True)
    layer.build((None, STEPS, FEATURES))
    weights = drawn(layer)
    output, lstm, gru = layer(X)
    first, states = run(lstm_step, weights[:3], zeros(2), X)
    second, last = run(gru_step, weights[3:], zeros(1), first)
    assert_close(output, second[:, -1])
    for state, value in zip([*lstm, *gru], [*states, *last], strict=True):
        assert_close(state, value)


MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize(
    ("mode", "sequences"),
    [
        ("concat", False),
        ("concat", True),
        ("sum", True),
        ("mul", False),
        ("ave", True),
        (None, False),
    ],
)
def test_both_directions(mode, sequences):
    layer = layers.Bidirectional(
        layers.GRU(UNITS, return_sequences=sequences, return_state=True), merge_mode=mode
    )
    layer.build((None, STEPS, FEATURES))
    weights = drawn(layer)
    forward, ahead = run(gru_step, weights[:3], zeros(1), X)
    backward, behind = run(gru_step, weights[3:], zeros(1), X, backwards=True)
    backward = backward[:, ::-1] if sequences else backward[:, -1]
    forward = forward if sequences else forward[:, -1]
    *outputs, left, right = layer(X)
    assert_close(left, ahead[0])
    assert_close(right, behind[0])
    expected = [forward, backward] if mode is None else [MERGES[mode](forward, backward)]
    for output, value in zip(outputs, expected, strict=True):
        assert_close(output, value)


def test_both_directions_are_made_as_the_layer_was_with_weights_of_their_own():
    given = layers.LSTM(UNITS, activation="relu", name="lstm")
    both = layers.Bidirectional(given, name="both")
    both.build((None, STEPS, FEATURES))
    assert [w.path for w in both.weights][::3] == [
        "both/forward_lstm/lstm_cell/kernel",
        "both/backward_lstm/lstm_cell/kernel",
    ]
    assert both.backward_layer.activation is given.activation
    assert not given.built
    with pytest.raises(ValueError, match="expected a recurrent layer such as LSTM"):
        layers.Bidirectional(layers.Dense(3))
    with pytest.raises(ValueError, match="different go_backwards"):
        layers.Bidirectional(given, backward_layer=layers.LSTM(UNITS))
    with pytest.raises(ValueError, match="expected merge_mode out of"):
        layers.Bidirectional(given, merge_mode="product")


def test_a_layer_at_each_step():
    layer = layers.TimeDistributed(layers.Dense(2))
    expected = layer(X)
    kernel, bias = layer.get_weights()
    assert_close(expected, X @ kernel + bias)
    assert layer(keras.Input((None, FEATURES))).shape == (None, None, 2)
    images = layers.TimeDistributed(layers.Conv2D(2, 3))
    assert images(keras.Input((4, 8, 8, 1))).shape == (None, 4, 6, 6, 2)
    with pytest.raises(ValueError, match="expected sequences of shape"):
        layers.TimeDistributed(layers.Dense(2))(keras.Input((4,)))


def test_masking_and_embeddings_hide_steps():
    x = X.copy()
    x[~MASK] = -1
    layer = layers.LSTM(UNITS)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.Masking(-1.0), layer])
    weights = drawn(layer)
    assert_close(model.predict_on_batch(x), run(lstm_step, weights, zeros(2), x, MASK)[0][:, -1])
    tokens = np.where(MASK, RNG.integers(1, 9, MASK.shape), 0)
    table = layers.Embedding(9, FEATURES, mask_zero=True)
    model = keras.Sequential([keras.Input((STEPS,)), table, layer])
    expected = run(lstm_step, weights, zeros(2), table.get_weights()[0][tokens], MASK)[0][:, -1]
    assert_close(model.predict_on_batch(tokens), expected)


def test_dropout_leaves_one_mask_for_all_steps_and_inference_as_it_is():
    cell = layers.SimpleRNNCell(UNITS, activation="linear", dropout=0.5, recurrent_dropout=0.5)
    layer = layers.RNN(cell, return_sequences=True)
    layer.build((None, STEPS, FEATURES))
    kernel = np.eye(FEATURES, UNITS)
    layer.set_weights([kernel, np.zeros((UNITS, UNITS)), np.zeros(UNITS)])
    ones = np.ones((50, STEPS, FEATURES), "float32")
    assert_close(layer(ones), ones @ kernel)
    trained = np.asarray(layer(ones, training=True))
    assert set(np.unique(trained[..., :FEATURES])) == {0.0, 2.0}
    np.testing.assert_array_equal(trained, np.repeat(trained[:, :1], STEPS, 1))
    assert (np.asarray(layer(ones, training=True)) != trained).any()


def test_training_learns_with_dropout_in_the_loop():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 1)),
            layers.Bidirectional(layers.GRU(8, dropout=0.1, recurrent_dropout=0.1)),
            layers.Dense(1),
        ]
    )
    x = np.random.default_rng(0).random((256, 6, 1)).astype("float32")
    model.compile(keras.optimizers.Adam(0.02), "mse")
    losses = model.fit(x, x.mean(1), epochs=12, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RNN(layers.Dense(3)), "expected a cell"),
        (lambda: layers.RNN([]), "expected a cell"),
        (lambda: layers.LSTM(0), "expected units"),
        (lambda: layers.GRU(3, dropout=2.0), "expected dropout"),
        (lambda: layers.LSTM(3, use_cudnn=True), "use_cudnn"),
        (lambda: layers.LSTM(3)(keras.Input((4,))), "expected .*3"),
        (lambda: layers.LSTM(3, unroll=True)(keras.Input((None, 4))), "expected a known number"),
    ],
)
def test_what_is_wrong_is_told(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(3, activation="relu", dropout=0.1, return_sequences=True, name="a"),
        layers.GRU(3, reset_after=False, go_backwards=True, zero_output_for_mask=True),
        layers.SimpleRNN(3, use_bias=False, kernel_regularizer="l2", stateful=True),
        layers.LSTMCell(4, unit_forget_bias=False),
        layers.ConvLSTM1D(4, 3, padding="same", dropout=0.2),
        layers.ConvLSTM2D(4, (3, 2), strides=2, data_format="channels_first", unroll=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configurations_come_back(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config


def test_a_stateful_model_is_trained_from_batch_to_batch():
    layer = layers.LSTM(UNITS, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(4, STEPS, FEATURES)), layer])
    model.compile("sgd", "mse")
    x = RNG.standard_normal((8, STEPS, FEATURES)).astype("float32")
    model.fit(x, np.zeros((8, UNITS)), batch_size=4, epochs=1, shuffle=False, verbose=0)
    assert all(np.asarray(state.numpy()).any() for state in layer.states)


def test_states_and_masks_that_are_none_are_told():
    layer = layers.LSTM(UNITS)
    with pytest.raises(ValueError, match="initial_state: expected a tensor, or a list"):
        layer(X, initial_state={"h": X[:, 0]})
    with pytest.raises(ValueError, match="expected a cell"):
        layers.RNN(layers.LSTMCell)


def conv_step(x, states, weights):
    """A step of the convolutional LSTM on lines of pixels, "same" padding and kernels of 3."""
    kernel, recurrent, bias = weights

    def conv(values, taps):
        wide = np.pad(values, ((0, 0), (1, 1), (0, 0)))
        return sum(wide[:, k : k + values.shape[1]] @ taps[k] for k in range(3))

    i, f, g, o = np.split(conv(x, kernel) + bias + conv(states[0], recurrent), 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


LINES = RNG.standard_normal((BATCH, STEPS, 6, 2)).astype("float32")


@pytest.mark.parametrize("unroll", [False, True])
def test_a_convolutional_lstm_follows_its_equations(unroll):
    layer = layers.ConvLSTM1D(3, 3, padding="same", return_sequences=True, unroll=unroll)
    found = layer(LINES)
    states, outputs = [np.zeros((BATCH, 6, 3))] * 2, []
    for step in range(STEPS):
        output, states = conv_step(LINES[:, step], states, layer.get_weights())
        outputs.append(output)
    assert_close(found, np.stack(outputs, 1))
    masked = layer(LINES, mask=MASK)
    assert_close(masked[0, :3], found[0, :3])  # and then the output stays
    assert_close(masked[0, 3:], found[0, [2, 2]])


def test_each_gate_of_a_convolutional_lstm_drops_by_a_mask_of_its_own():
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "ones"}
    layer = layers.ConvLSTM1D(
        1, 1, dropout=0.5, recurrent_dropout=0.5, activation="linear", return_state=True, **options
    )
    ones = np.ones((1, 1, 400, 1), "float32")
    h, _, c = layer(ones, training=True)
    # c = gate(i) * candidate and h = gate(o) * c, where what is dropped is 0 and the rest 2.
    pairs = {
        (round(float(a), 4), round(float(b), 4)) for a, b in zip(h.ravel(), c.ravel(), strict=True)
    }
    gates = [round(1 / (1 + np.exp(-2.0 * kept)), 4) for kept in (0, 1)]
    assert {round(b / 2, 4) for _, b in pairs} == {0.0, *gates}
    assert len(pairs) == 5  # by candidate and i, and where there is a state by o
    assert np.ptp(layer(ones)[0]) == 0


def test_a_convolutional_lstm_needs_known_sizes_and_those_it_was_built_for():
    with pytest.raises(ValueError, match="expected a known size at axis 1"):
        layers.ConvLSTM1D(2, 3)(keras.Input((4, None, 2)))
    layer = layers.ConvLSTM1D(2, 3)
    layer(LINES)
    with pytest.raises(ValueError, match=r"conv_lstm1d.*expected size 6 at axis 2 of the input"):
        layer(LINES[:, :, :5])
    with pytest.raises(ValueError, match="expected an input of 4 axes"):
        layers.ConvLSTM1D(2, 3)(X)
    with pytest.raises(ValueError, match="expected strides or dilation_rate to be 1"):
        layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_inputs_of_other_sizes_are_told_of_the_layer(kind):
    layer = getattr(layers, kind)(UNITS, name="mine")
    with pytest.raises(
        ValueError, match=r'"mine".*expected an input of 3 axes, .batch, steps, feat'
    ):
        layer(X[..., None])
    layer(X)
    with pytest.raises(ValueError, match=f'"mine".*expected size {FEATURES} at axis -1'):
        layer(X[..., :2])
    with pytest.raises(ValueError, match=r"expected an input of 2 axes, .batch, features."):
        getattr(layers, f"{kind}Cell")(UNITS)(X, [X[:, 0]] * (1 + (kind == "LSTM")))


class Stateful(keras.Model):
    """A model without Input, around a layer that keeps its states."""

    def __init__(self):
        super().__init__()
        self.inner = layers.LSTM(UNITS, stateful=True)
        self.outer = layers.Dense(2)

    def call(self, inputs):
        return self.outer(self.inner(inputs))


def without_input():
    return keras.Sequential([layers.LSTM(UNITS, stateful=True), layers.Dense(2)])


@pytest.mark.parametrize("make", [Stateful, without_input])
def test_models_without_input_hold_layers_that_keep_states(make):
    model = make()
    recurrent = model.layers[0]
    first, second = model(X), model(X)
    assert not np.allclose(first, second)
    recurrent.reset_state()
    assert_close(model.predict(X, batch_size=BATCH, verbose=0), first)
    with pytest.raises(ValueError, match=r"expected .*3.*received shape .2, 5, 4"):
        model(X[:2])
    model = make()
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((BATCH, 2)), batch_size=BATCH, shuffle=False, verbose=0)
    assert model.layers[0].states[0].shape == (BATCH, UNITS)


def test_a_mask_of_one_more_axis():
    layer = layers.GRU(UNITS)
    assert_close(layer(X, mask=MASK[..., None]), layer(X, mask=MASK))


@pytest.mark.parametrize("sequences", [False, True])
def test_a_program_for_all_lengths_refuses_sequences_without_steps(sequences, tmp_path):
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, layers.LSTM(2, return_sequences=sequences, name="own")(inputs))
    run = keras.compile(model)
    run.save(tmp_path / "own")
    nothing = np.zeros((3, 0, 2), "float32")
    for call in (model, model.predict, run):
        with pytest.raises(
            ValueError, match=r"\(own\): expected sequences of 1 step or more; received"
        ):
            call(nothing)
    with pytest.raises(ValueError, match=r"\(own\): expected 1 <= "):
        keras.load_program(tmp_path / "own")(nothing)


def test_steps_that_are_cut_off_are_not_counted():
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, layers.LSTM(2, name="own")(inputs[:, 3:]))
    assert model(np.ones((2, 4, 2))).shape == (2, 2)
    with pytest.raises(ValueError, match="own"):
        model(np.ones((2, 3, 2)))


def test_sequences_without_steps_and_states_of_other_shapes_are_told():
    with pytest.raises(ValueError, match="expected sequences of 1 step or more; received shape"):
        layers.LSTM(UNITS)(X[:, :0])
    with pytest.raises(ValueError, match=r"lstm_cell.*expected states of shape \(None, 6\); recei"):
        layers.LSTMCell(UNITS)(X[:, 0], [X[:, 0], X[:, 0]])
    with pytest.raises(ValueError, match="expected 2 states; received 1"):
        layers.LSTMCell(UNITS)(X[:, 0], X[:, 0])


def test_statistics_of_each_step_are_its_own():
    layer = layers.TimeDistributed(layers.BatchNormalization(momentum=0.5))
    found = layer(X, training=True)
    mean, var = X.mean(0), X.var(0)
    assert_close(found, (X - mean) / np.sqrt(var + 1e-3))
    moving = np.zeros(FEATURES)
    for step in range(STEPS):
        moving = 0.5 * moving + 0.5 * mean[step]
    assert_close(layer.layer.moving_mean.numpy(), moving)
    with pytest.raises(ValueError, match=r"mask: expected a shape that begins with .batch, steps"):
        layer(X, mask=MASK[:, :2])
