"""Sequence to sequence: dates as people write them become ISO dates, letter by letter.

An encoder reads and a decoder writes. To learn it is told what came before (teacher forcing); then
it goes on from its own letters and states, with one call a step. With attention it looks back at
all that was read, without it has but the last states. `seq2seq_dates.py 2` learns for 2 epochs.
"""

import datetime
import sys

import numpy as np

import keraunos as keras
from keraunos import layers

DATES = int(sys.argv[1]) if len(sys.argv) > 1 else 10000  # to learn from
FORMATS = ["%-d %B %Y", "%B %-d, %Y", "%d.%m.%Y", "%a, %-d %b %Y", "%b %-d %y"]
LETTERS, UNITS, START, EPOCHS = 128, 128, 2, 20  # ASCII, whose 2 is "start of text"


def pairs(days):
    """What is read and what is to be written, as codes of letters, for days since 1950."""
    dates = [datetime.date(1950, 1, 1) + datetime.timedelta(int(day)) for day in days]
    read = [date.strftime(FORMATS[i % len(FORMATS)]).rjust(18) for i, date in enumerate(dates)]
    return [np.array([list(str(t).encode()) for t in texts]) for texts in (read, dates)]


def translator(attention):
    """A model that learns, and its two halves, an encoder and a decoder, that translate."""
    read, written, memory = (keras.Input(shape) for shape in ((None,), (None,), (None, UNITS)))
    states = [keras.Input((UNITS,)), keras.Input((UNITS,))]
    embed, choose = layers.Embedding(LETTERS, 32), layers.Dense(LETTERS, activation="softmax")
    reader, writer = (layers.LSTM(UNITS, return_sequences=True, return_state=True) for _ in "rw")
    scores, weights, context = layers.Dot((2, 2)), layers.Softmax(), layers.Dot((2, 1))

    def write(memory, *states):
        outputs, *states = writer(embed(written), initial_state=states)
        if attention:
            looks = weights(scores([outputs, memory]))
            outputs = layers.Concatenate()([outputs, context([looks, memory])])
        return [choose(outputs), *states]

    encoded = reader(embed(read))
    learner = keras.Model([read, written], write(*encoded)[0])
    decoder = keras.Model([written, memory, *states], write(memory, *states))
    return learner, keras.Model(read, encoded), decoder


def translate(encoder, decoder, texts, width=1):
    """The likeliest of `width` translations that are kept at each step; greedy where it is 1."""
    memory, *states = (np.repeat(a, width, 0) for a in encoder.predict_on_batch(texts))
    letters = np.full((len(memory), 1), START)
    totals = np.tile([0] + [-np.inf] * (width - 1), len(texts))  # all begin alike: one counts
    for _ in range(10):
        odds, *states = decoder.predict_on_batch([letters[:, -1:], memory, *states])
        each = (totals[:, None] + np.log(odds[:, 0] + 1e-9)).reshape(len(texts), -1)
        best = np.argsort(-each)[:, :width]
        totals = np.take_along_axis(each, best, 1).ravel()
        rows = (best // LETTERS + width * np.arange(len(texts))[:, None]).ravel()
        letters = np.concatenate([letters[rows], best.reshape(-1, 1) % LETTERS], axis=1)
        states = [state[rows] for state in states]
    return letters[::width, 1:]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    days = np.random.default_rng(0).permutation(36500)
    (x, y), (x_test, y_test) = pairs(days[:DATES]), pairs(days[-1000:])
    before = np.concatenate([np.full((len(y), 1), START), y[:, :-1]], axis=1)
    for name in ("without", "with"):
        learner, encoder, decoder = translator(attention=name == "with")
        rate = keras.optimizers.schedules.CosineDecay(0.005, EPOCHS * DATES // 64)
        learner.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        learner.fit([x, before], y, batch_size=64, epochs=EPOCHS, verbose=0)
        found = [translate(encoder, decoder, x_test, width) for width in (1, 3)]
        right = [np.mean((texts == y_test).all(axis=1)) for texts in found]
        print(f"{name} attention, of 1000 unseen dates: greedy {right[0]:.3f}, beam {right[1]:.3f}")
    for text, date in zip(x_test[:5], found[1], strict=False):
        print(bytes(text.tolist()).decode(), "->", bytes(date.tolist()).decode())
