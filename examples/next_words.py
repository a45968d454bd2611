"""A language model of Python's own documentation: an LSTM says which word comes next.

It is asked about topics it has not read, and compared with how frequent words are (unigrams).
`next_words.py 1` learns for 1 epoch.
"""

import re
import sys
from collections import Counter
from pydoc_data import topics

import numpy as np

import keraunos as keras
from keraunos import layers

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
WORDS, LENGTH = 2000, 20  # all other words are 0; words of a row
texts = [re.findall(r"[a-z_]+", topics.topics[name].lower()) for name in sorted(topics.topics)]
frequent = Counter(word for text in texts for word in text).most_common(WORDS - 1)
number = {word: place for place, (word, _) in enumerate(frequent, start=1)}


def rows(texts):
    """Rows of words, and the words that follow each of them."""
    ids = np.array([number.get(word, 0) for text in texts for word in text])
    last = (len(ids) - 1) // LENGTH * LENGTH
    return ids[:last].reshape(-1, LENGTH), ids[1 : last + 1].reshape(-1, LENGTH)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    x, y = rows([text for place, text in enumerate(texts) if place % 8])
    x_test, y_test = rows(texts[::8])
    counts = np.bincount(y.ravel(), minlength=WORDS) + 1
    unigram = np.exp(-np.log(counts / counts.sum())[y_test].mean())
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(WORDS, 64),
            layers.Dropout(0.3),
            layers.LSTM(128, return_sequences=True),
            layers.Dropout(0.3),
            layers.Dense(WORDS),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    model.fit(x, y, epochs=EPOCHS, verbose=0)
    perplexity = np.exp(model.evaluate(x_test, y_test, verbose=0))
    print(f"Perplexity on topics never read: unigram {unigram:.0f}, LSTM {perplexity:.0f}")

    words = ["<other>", *number]
    begun = "the value of the"
    for _ in range(8):
        ids = np.array([[number[word] for word in begun.split()]])
        scores = model.predict_on_batch(ids)[0, -1]
        begun += " " + words[1 + scores[1:].argmax()]
    print(f"It goes on: {begun}")
