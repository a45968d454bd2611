"""Models that the command line knows by name, each with real data to run it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import layers
from ..datasets import digits
from ..layers import Input
from ..models import Model, Sequential

WORDS, VOCABULARY = 100, 10_000  # of the language model: a sequence, and all there are


def cnn() -> Model:
    """The convolutional network of many a tutorial, for 28 x 28 images of digits."""
    return Sequential(
        [
            Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="cnn",
    )


def lstm() -> Model:
    """Two layers of long short-term memory that read images of digits row by row."""
    return Sequential(
        [
            Input((28, 28)),
            layers.LSTM(128, return_sequences=True),
            layers.LSTM(128),
            layers.Dense(10, activation="softmax"),
        ],
        name="lstm",
    )


def nlp() -> Model:
    """A language model: the word that follows a hundred, of ten thousand."""
    words = Input((WORDS,))
    vectors = layers.Embedding(VOCABULARY, 256)(words)
    following = layers.Dense(VOCABULARY, activation="softmax")(layers.LSTM(32)(vectors))
    return Model(words, following, name="nlp")


def digit_images(count: int) -> np.ndarray:
    """``count`` handwritten digits, float32 of shape (count, 28, 28, 1); again from the start
    where there are not so many."""
    _, (images, _) = digits.load_data()
    return np.resize(images, (count, *images.shape[1:]))


def digit_rows(count: int) -> np.ndarray:
    """As ``digit_images``, as sequences of rows: float32 of shape (count, 28, 28)."""
    return digit_images(count)[..., 0]


def word_ids(count: int) -> np.ndarray:
    """Words by number, the same each time: float32, as the model takes them, (count, 100)."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (count, WORDS)).astype("float32")


def seq2seq() -> Model:
    """An encoder and a decoder of letters, with attention; what is written so far is given."""
    read, written = (Input((None,), dtype="int32", name=name) for name in ("read", "written"))
    embed = layers.Embedding(128, 32)
    memory, *states = layers.LSTM(128, return_sequences=True, return_state=True)(embed(read))
    outputs = layers.LSTM(128, return_sequences=True)(embed(written), initial_state=states)
    weights = layers.Softmax()(layers.Dot((2, 2))([outputs, memory]))
    seen = layers.Concatenate()([outputs, layers.Dot((2, 1))([weights, memory])])
    odds = layers.Dense(128, activation="softmax")(seen)
    return Model([read, written], odds, name="seq2seq")


def dates(count: int) -> list[np.ndarray]:
    """``count`` dates in letters and in ISO form, as ASCII: shapes (count, 18) and (count, 10)."""
    days = np.datetime64("1950-01-01") + 97 * np.arange(count)
    texts = [[day.item().strftime("%B %-d, %Y").rjust(18), str(day)] for day in days]
    return [
        np.array([list(text.encode()) for text in column], "int32")
        for column in zip(*texts, strict=True)
    ]


@dataclass(frozen=True)
class Builtin:
    """A function that makes a model, and one that gives inputs for a batch size."""

    build: Callable[[], Model]
    inputs: Callable[[int], np.ndarray | list[np.ndarray]]


BUILTIN = {
    "cnn": Builtin(cnn, digit_images),
    "lstm": Builtin(lstm, digit_rows),
    "nlp": Builtin(nlp, word_ids),
    "seq2seq": Builtin(seq2seq, dates),
}
