"""The founding document's recurrent programs run as written; its equations hold, word for word."""

import numpy as np

import keraunos as keras
from keraunos import layers, ops
from keraunos.layers import LSTM, Dense, Embedding, Input
from keraunos.models import Model, Sequential

RNG = np.random.default_rng(5)
BATCH, STEPS, FEATURES, UNITS = 3, 4, 5, 6


def drawn(*shape):
    return RNG.standard_normal(shape).astype("float32")


def assert_close(received, expected):
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def set_drawn(model):
    model.set_weights([drawn(*w.shape) * 0.5 for w in model.weights])


def test_the_program_of_the_lstm_runs_as_written():
    train_data, train_labels = drawn(128, 7, 28), RNG.integers(0, 10, 128)

    model = Sequential()
    model.add(LSTM(128, input_shape=(None, 28), return_sequences=True))
    model.add(LSTM(128, return_sequences=False))
    model.add(Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train_data, train_labels, epochs=5, batch_size=64, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    loss, accuracy = model.evaluate(train_data[:, :5], train_labels, verbose=0)
    assert np.isfinite(loss) and 0 <= accuracy <= 1
    assert model.predict_on_batch(train_data[:2, :3]).shape == (2, 10)
    assert len(model.programs) == 1


def test_the_program_of_the_language_model_runs_as_written_with_ids_that_are_floats():
    vocab_size, embedding_dim, max_length = 10000, 256, 100
    train_data = RNG.integers(0, vocab_size, (128, max_length))
    train_labels = RNG.integers(0, 20, 128)

    input_word_ids = Input(shape=(max_length,))
    embedding = Embedding(vocab_size, embedding_dim)(input_word_ids)
    lstm = LSTM(32)(embedding)
    output = Dense(vocab_size, activation="softmax")(lstm)
    model = Model(inputs=input_word_ids, outputs=output)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert input_word_ids.dtype == "float32"
    history = model.fit(train_data, train_labels, epochs=5, batch_size=64, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    loss, accuracy = model.evaluate(train_data, train_labels, verbose=0)
    assert loss < np.log(vocab_size) and 0 <= accuracy <= 1


def recurrence(h, x, w_hh, w_xh, b_h):
    """All of ``h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h)``, for columns as in the document."""
    states = []
    for t in range(x.shape[1]):
        h = np.tanh(w_hh @ h + w_xh @ x[:, t].T + b_h[:, None])
        states.append(h.T)
    return np.stack(states, 1), h


def test_the_plain_recurrent_network_follows_its_equations():
    rnn, out = layers.SimpleRNN(UNITS, return_sequences=True), layers.Dense(2)
    model = keras.Sequential([keras.Input((None, FEATURES)), rnn, out])
    set_drawn(model)
    w_xh, w_hh, b_h, w_ho, b_o = model.get_weights()
    x = drawn(BATCH, STEPS, FEATURES)
    states, _ = recurrence(np.zeros((UNITS, BATCH)), x, w_hh.T, w_xh.T, b_h)
    assert_close(model(x), states @ w_ho + b_o)  # o_t = W_ho h_t + b_o


def test_a_word_embedding_is_the_sum_of_rows_by_a_one_hot_vector():
    embed = layers.Embedding(7, 3)
    words = np.array([[0, 6, 2], [5, 5, 1]])
    received = embed(words)
    rows = embed.get_weights()[0]  # W_i
    one_hot = keras.utils.to_categorical(words, 7)  # v_i
    assert_close(received, sum(one_hot[..., i, None] * rows[i] for i in range(7)))


def test_encoder_and_decoder_follow_their_equations():
    read, written = keras.Input((None, FEATURES)), keras.Input((None, FEATURES))
    _, state = layers.SimpleRNN(UNITS, return_state=True)(read)
    decoded = layers.SimpleRNN(UNITS, return_sequences=True)(written, initial_state=state)
    model = keras.Model([read, written], decoded)
    set_drawn(model)
    w_xh, w_hh, b_h, w_xs, w_hs, b_s = (w.T for w in model.get_weights())
    x, y = drawn(BATCH, STEPS, FEATURES), drawn(BATCH, STEPS + 2, FEATURES)
    _, last = recurrence(np.zeros((UNITS, BATCH)), x, w_hh, w_xh, b_h)
    assert_close(model([x, y]), recurrence(last, y, w_hs, w_xs, b_s)[0])


def test_a_loop_written_by_hand_trains_a_recurrent_network():
    # Initialise, forward, loss, backward, update, repeat, predict.
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, 1)), layers.SimpleRNN(UNITS), layers.Dense(1)])
    x = drawn(64, STEPS, 1)
    y = x.sum(axis=1)
    optimizer = keras.optimizers.Adam(0.02)

    def loss_of(x, y):
        return ops.mean(ops.square(model(x) - y))

    step = keras.value_and_grad(loss_of, wrt=model.trainable_variables)
    losses = []
    for _ in range(60):
        loss, gradients = step(x, y)
        optimizer.apply(gradients, model.trainable_variables)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 5
    assert_close(np.mean((model(x) - y) ** 2), loss_of(x, y))
