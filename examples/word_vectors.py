"""Vectors of words, as word2vec learns them, from Python's own documentation.

Skip-grams with negative sampling: vectors of words that stand near each other have a large product,
those of words drawn at random have not. `word_vectors.py 1` learns for 1 epoch.
"""

import re
import sys
from collections import Counter
from pydoc_data import topics

import numpy as np

import keraunos as keras
from keraunos import layers

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 6
NEAR, DRAWN, SIZE = 4, 6, 48  # words to each side, words drawn for each pair, size of a vector
rng = np.random.default_rng(0)

text = re.findall(r"[a-z_]{2,}", " ".join(topics.topics.values()).lower())
counts = Counter(text)
words = [word for word, count in counts.items() if count >= 8]
number = {word: place for place, word in enumerate(words)}
share = np.array([counts[word] for word in words]) / len(text)
ids = np.array([number[word] for word in text if word in number])
ids = ids[rng.random(len(ids)) < np.sqrt(0.002 / share)[ids]]  # fewer of the frequent ones
pairs = np.concatenate([np.stack([ids[step:], ids[:-step]], 1) for step in range(1, NEAR + 1)])
pairs = np.concatenate([pairs, pairs[:, ::-1]])
drawn = rng.choice(len(words), (len(pairs), DRAWN), p=share**0.75 / np.sum(share**0.75))
candidates = np.concatenate([pairs[:, 1:], drawn], axis=1)
is_near = np.zeros(candidates.shape, "float32")
is_near[:, 0] = 1

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    word, others = keras.Input((1,), dtype="int32"), keras.Input((1 + DRAWN,), dtype="int32")
    vectors, contexts = layers.Embedding(len(words), SIZE), layers.Embedding(len(words), SIZE)
    products = layers.Flatten()(layers.Dot(axes=2)([vectors(word), contexts(others)]))
    model = keras.Model([word, others], layers.Activation("sigmoid")(products))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    model.fit([pairs[:, :1], candidates], is_near, batch_size=512, epochs=EPOCHS, verbose=0)
    loss = model.evaluate([pairs[:, :1], candidates], is_near, batch_size=512, verbose=0)
    print(f"{len(pairs)} pairs of {len(words)} words: loss {loss:.3f}")
    (learned,) = vectors.get_weights()
    learned = learned / np.linalg.norm(learned, axis=1, keepdims=True)
    for word in ("true", "int", "float", "async", "keyword", "raise", "loop"):
        nearest = np.argsort(-learned @ learned[number[word]])[1:6]
        print(f"{word:8}", *(words[place] for place in nearest))
