"""Layers of strings and of other data before they are tensors: vocabularies, hashes, text.

What is expected is what Keras gives with TensorFlow, much of it from Keras's own examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import layers, utils

LETTERS = ["a", "b", "c", "d"]
ROWS = [["a", "c", "d", "d"], ["d", "z", "b", "z"]]
DOCUMENTS = ["foo bar", "bar baz", "baz bada boom"]


@pytest.mark.parametrize("data", [3, "a text", None, np.array("a text")])
def test_a_layer_adapts_to_several_documents(data: Any) -> None:
    with pytest.raises(TypeError, match="adapt: expected an array, a list or what gives batches"):
        layers.TextVectorization().adapt(data)


def adapted(data: Any = DOCUMENTS, **options: Any) -> Any:
    layer = layers.TextVectorization(**options)
    layer.adapt(data)
    return layer


def assert_is(found: Any, wanted: Any, dtype: str = "int64") -> None:
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.array(wanted), rtol=1e-6)


# Text


@pytest.mark.smoke
def test_words_become_numbers_by_how_often_they_are():
    layer = adapted(max_tokens=5000, output_sequence_length=4)
    assert layer.get_vocabulary() == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert layer.get_vocabulary(include_special_tokens=False)[0] == "baz"
    assert layer.vocabulary_size() == 7
    assert_is(layer([["foo qux bar"], ["qux baz"]]), [[4, 1, 3, 0], [1, 2, 0, 0]])


@pytest.mark.parametrize("data", [
    np.array(DOCUMENTS), np.array(DOCUMENTS)[:, None], np.array(DOCUMENTS, "S"),
    np.array(DOCUMENTS, object), tuple(DOCUMENTS), [[text] for text in DOCUMENTS],
    ([text] for text in DOCUMENTS), iter([np.array(DOCUMENTS[:2]), np.array(DOCUMENTS[2:])]),
], ids=["array", "column", "bytes", "objects", "tuple", "lists", "rows", "batches"])  # fmt: skip
def test_texts_come_as_arrays_lists_and_batches(data):
    assert adapted(data).get_vocabulary() == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]


def test_some_batches_of_many_are_enough():
    def endless():
        while True:
            yield ["a b"]

    some = layers.TextVectorization()
    some.adapt(endless(), steps=2)
    assert some.get_vocabulary(False) == ["b", "a"]

    class Texts(utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return np.array([f"word{index}"])

    assert adapted(Texts()).get_vocabulary(False) == ["word1", "word0"]
    by_two = layers.TextVectorization()
    by_two.adapt(DOCUMENTS, batch_size=2)
    assert by_two.get_vocabulary() == adapted().get_vocabulary()


@pytest.mark.parametrize(("standardize", "wanted"), [
    (None, ["The", "cat.", "É", "x_y"]),
    ("lower", ["the", "cat.", "É", "x_y"]),
    ("strip_punctuation", ["The", "cat", "É", "xy"]),
    ("lower_and_strip_punctuation", ["the", "cat", "É", "xy"]),
    (lambda texts: np.char.replace(texts, "cat", "dog"), ["The", "dog.", "É", "x_y"]),
])  # fmt: skip
def test_standardizing(standardize, wanted):
    layer = adapted(["The cat.  É\tx_y "], standardize=standardize)
    assert set(layer.get_vocabulary(False)) == set(wanted)


@pytest.mark.parametrize(("split", "data", "wanted"), [
    ("whitespace", ["a  b\u00a0c\n\td"], ["d", "b\u00a0c", "a"]),
    ("character", ["aé b"], ["é", "b", "a", " "]),
    (None, ["a b", "c"], ["c", "a b"]),
    (None, [["a", "b"], ["c", "a"]], ["a", "c", "b"]),
    (lambda texts: np.char.split(texts, ","), ["a,b", "c"], ["c", "b", "a"]),
])  # fmt: skip
def test_splitting(split, data, wanted):
    assert adapted(data, split=split, standardize=None).get_vocabulary(False) == wanted


@pytest.mark.parametrize(("ngrams", "wanted"), [
    (2, ["a", "b", "c", "a b", "b c"]),
    ((1, 3), ["a", "b", "c", "a b c"]),
    ((2,), ["a b", "b c"]),
])  # fmt: skip
def test_ngrams(ngrams, wanted):
    layer = layers.TextVectorization(ngrams=ngrams, vocabulary=wanted)
    assert_is(layer(["a b c"]), [list(range(2, 2 + len(wanted)))])
    assert layer(["a"]).shape == (1, int(1 in (ngrams, *np.ravel(ngrams)) or ngrams == 2))


def test_rows_of_counts():
    counted = {
        "multi_hot": [[1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]],
        "count": [[2, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]],
    }
    for mode, wanted in counted.items():
        layer = adapted(output_mode=mode)
        assert layer.get_vocabulary() == ["[UNK]", "baz", "bar", "foo", "boom", "bada"]
        assert_is(layer(["foo bar q q", "baz"]), wanted)
        padded = adapted(output_mode=mode, max_tokens=9, pad_to_max_tokens=True)
        assert_is(padded(["foo bar q q", "baz"]), np.pad(wanted, ((0, 0), (0, 3))))


def test_counts_weighted_by_how_rare_words_are():
    layer = adapted(["foo bar", "bar baz", "baz baz a"], output_mode="tf_idf", max_tokens=9,
                    pad_to_max_tokens=True)  # fmt: skip
    assert layer.get_vocabulary() == ["[UNK]", "baz", "bar", "foo", "a"]
    unknown, baz, bar, foo = 1.609438, 0.6931472, 0.6931472, 0.91629076
    wanted = [[unknown, 0, bar, foo, *[0] * 5], [0, baz, *[0] * 7]]
    assert_is(layer(["foo bar q q", "baz"]), wanted, "float32")
    known = layers.TextVectorization(output_mode="tf_idf", vocabulary=["x"], idf_weights=[3.0])
    assert_is(known(["x x y"]), [[3.0, 6.0]], "float32")


def test_the_vocabulary_can_be_short():
    layer = adapted(max_tokens=4)
    assert layer.get_vocabulary() == ["", "[UNK]", "baz", "bar"]
    assert_is(layer(["foo bar"]), [[1, 3]])


def test_a_vocabulary_is_set_and_read_from_files(tmp_path):
    layer = layers.TextVectorization()
    layer.set_vocabulary(["", "[UNK]", "earth", "wind"])
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind"]
    (tmp_path / "words.txt").write_text("earth\nwind\n")
    read = layers.TextVectorization(vocabulary=str(tmp_path / "words.txt"))
    assert read.get_vocabulary() == layer.get_vocabulary()
    layer.adapt(["fire"])
    assert layer.get_vocabulary(False) == ["fire"]


# Lookups


@pytest.mark.parametrize(("mode", "wanted"), [
    ("int", [[1, 3, 4, 4], [4, 0, 2, 0]]),
    ("multi_hot", [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]),
    ("count", [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
    ("one_hot", np.eye(5, dtype="int64")[[[1, 3, 4, 4], [4, 0, 2, 0]]]),
])  # fmt: skip
def test_lookups_of_strings_and_integers(mode, wanted):
    strings = layers.StringLookup(vocabulary=LETTERS, output_mode=mode)
    assert_is(strings(ROWS), wanted)
    numbers = layers.IntegerLookup(vocabulary=[12, 36, 1138, 42], output_mode=mode)
    assert_is(numbers(np.array([[12, 1138, 42, 42], [42, 7, 36, 7]])), wanted)


def test_weights_of_known_and_unknown_tokens():
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.set_vocabulary(LETTERS, idf_weights=[0.25, 0.75, 0.6, 0.4])
    assert_is(layer(ROWS), [[0, 0.25, 0, 0.6, 0.8], [1, 0, 0.75, 0, 0.4]], "float32")
    layer.set_vocabulary(["[UNK]", *LETTERS], idf_weights=[0.9, 0.25, 0.75, 0.6, 0.4])
    assert_is(layer(ROWS), [[0, 0.25, 0, 0.6, 0.8], [1.8, 0, 0.75, 0, 0.4]], "float32")


def test_masks_and_several_numbers_for_the_unknown():
    layer = layers.IntegerLookup(vocabulary=[5, 6], num_oov_indices=3, mask_token=0)
    assert layer.get_vocabulary() == [0, -1, -1, -1, 5, 6]
    assert_is(layer([5, 0, 7, -8, 6]), [4, 0, 2, 2, 5])
    hashed = layers.IntegerLookup(vocabulary=[10, 20, 30], num_oov_indices=4, oov_method="farmhash")
    assert_is(hashed([100, 300, 700, 1100, 1700, 2000]), [3, 3, 2, 2, 0, 1])
    counted = layers.StringLookup(vocabulary=["a"], mask_token="", output_mode="count")
    assert_is(counted([["a", "", "q"]]), [[1, 1]])


# Of up to 16 bytes, up to 32, up to 64, and more.
HASHED = ["x", "y", "zz", "hello world how are", "a" * 40, "b" * 100, "é" * 300]


@pytest.mark.parametrize(
    ("salt", "wanted"), [(None, [0, 0, 2, 1, 1, 2, 3]), ([1, 2], [0, 0, 3, 4, 2, 0, 2])]
)
def test_unknown_strings_are_hashed_as_by_keras(salt, wanted):
    layer = layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=5, salt=salt)
    assert_is(layer(HASHED), wanted)


def test_numbers_become_tokens_again():
    layer = layers.StringLookup(vocabulary=["a", "b"], invert=True, mask_token="m")
    assert layer([[0, 1, 2, 3, 9, -1]]).tolist() == [["m", "[UNK]", "a", "b", "[UNK]", "[UNK]"]]
    forth = layers.IntegerLookup(vocabulary=[12, 36, 1138, 42])
    back = layers.IntegerLookup(vocabulary=forth.get_vocabulary(), invert=True)
    assert_is(back(forth([[12, 1138, 42], [42, 1000, 36]])), [[12, 1138, 42], [42, -1, 36]])


def test_lookups_adapt():
    layer = layers.StringLookup(max_tokens=3)
    layer.adapt([["b", "a"], ["a", "c"], ["[UNK]", "c"]])
    assert layer.get_vocabulary() == ["[UNK]", "c", "a"]
    numbers = layers.IntegerLookup()
    numbers.adapt(iter([np.array([1, 2]), np.array([2])]), steps=2)
    assert numbers.get_vocabulary() == [-1, 2, 1]


# Categories


@pytest.mark.parametrize(("options", "data", "wanted"), [
    ({"mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [[1], [1], [0], [2], [2]]),
    ({}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[1], [0], [1], [1], [2]]),
    ({"salt": [133, 137]}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[1], [2], [1], [0], [2]]),
    ({"salt": 133}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[0], [0], [2], [1], [0]]),
])  # fmt: skip
def test_hashing(options, data, wanted):
    assert_is(layers.Hashing(3, **options)(data), wanted)


def test_hashes_as_rows():
    data = [["A", "B"], ["D", "E"]]
    counts = layers.Hashing(3, salt=133, output_mode="count")(data)
    assert_is(counts, [[2, 0, 0], [1, 1, 0]], "float32")
    hot = layers.Hashing(3, salt=133, output_mode="multi_hot")(data)
    assert_is(hot, [[1, 0, 0], [1, 1, 0]], "float32")
    one = layers.Hashing(3, salt=133, output_mode="one_hot")([["A"], ["D"]])
    assert_is(one, [[1, 0, 0], [0, 1, 0]], "float32")
    assert (
        layers.Hashing(3)(np.array([1.5, 7, 9])).tolist() == layers.Hashing(3)([1, 7, 9]).tolist()
    )


def test_bins_are_found_as_by_keras():
    data = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]], "float32")
    layer = layers.Discretization(num_bins=4, epsilon=0.01)
    layer.adapt(data)
    np.testing.assert_allclose(layer.bin_boundaries, [0.0, 0.5, 1.3], rtol=1e-6)
    assert_is(layer(data), [[0, 2, 3, 2], [1, 3, 3, 1]], "int32")
    again = layers.Discretization.from_config(layer.get_config())
    assert again.bin_boundaries == layer.bin_boundaries
    again.adapt([data[:1], data[1:]])
    assert len(again.bin_boundaries) == 3


def test_statistics_are_measured_batch_by_batch():
    data = np.random.default_rng(0).normal(3.0, 2.0, (10, 4, 3)).astype("float32")
    whole = layers.Normalization()
    whole.adapt(data)
    batches = [data[:3], data[3:4], data[4:]]
    targets = [(batch, batch) for batch in batches]
    for given in (batches, iter(batches), iter(targets)):
        layer = layers.Normalization()
        layer.adapt(given)
        for found, wanted in zip(layer.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
    with pytest.raises(ValueError, match="expected data; there were none"):
        layers.Normalization().adapt(iter(()))


# Keeping


@pytest.mark.parametrize("make", [
    lambda: adapted(ngrams=2, output_sequence_length=5, standardize="lower", split="character"),
    lambda: adapted(output_mode="tf_idf", max_tokens=20, pad_to_max_tokens=True),
    lambda: layers.TextVectorization(),
    lambda: layers.StringLookup(vocabulary=LETTERS, num_oov_indices=2, mask_token="x", salt=3),
    lambda: layers.IntegerLookup(vocabulary=[3, 4], mask_token=0, oov_method="farmhash"),
    lambda: layers.Hashing(5, mask_value="q", salt=3),
])  # fmt: skip
def test_a_layer_comes_back_from_its_configuration(make):
    layer = make()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    data = [[3], [5]] if isinstance(layer, layers.IntegerLookup) else [["foo b"], ["a"]]
    np.testing.assert_array_equal(again(data), layer(data))


@pytest.mark.parametrize("options", [
    {}, {"output_mode": "tf_idf"}, {"split": "character", "standardize": None},
], ids=str)  # fmt: skip
def test_a_vocabulary_is_saved(tmp_path, options):
    layer = adapted(["foo bar\nbaz", "bar"], **options)
    layer.save_assets(str(tmp_path))
    again = layers.TextVectorization(**options)
    again.load_assets(str(tmp_path))
    assert again.get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(again(["foo bar"]), layer(["foo bar"]))
    is_text = "split" not in options
    assert (tmp_path / "vocabulary.txt").exists() == is_text
    if options == {}:
        assert (tmp_path / "vocabulary.txt").read_text() == "\n[UNK]\nbar\nfoo\nbaz"


class Reader(keraunos.Model):
    """Numbers of words to a sum, with what makes them of text beside."""

    def __init__(self) -> None:
        super().__init__()
        self.words = layers.TextVectorization()
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def test_a_vocabulary_is_saved_with_the_weights_of_its_model(tmp_path: Path):
    made, other = Reader(), Reader()
    made.words.adapt(DOCUMENTS)
    for model in (made, other):
        model(np.ones((1, 3), "float32"))
    made.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    assert other.words.get_vocabulary() == made.words.get_vocabulary()
    np.testing.assert_array_equal(other.get_weights()[0], made.get_weights()[0])


def test_text_to_train_on():
    texts = np.array(["good film", "bad film", "good", "bad"])
    vectorize = adapted(texts, output_sequence_length=3)
    model = keraunos.Sequential(
        [
            keraunos.Input((3,), dtype="int64"),
            layers.Embedding(vectorize.vocabulary_size(), 1),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile(keraunos.optimizers.SGD(0.01), "mse")
    labels = np.array([[1.0], [0.0], [1.0], [0.0]], "float32")
    history = model.fit(((vectorize(texts), labels) for _ in range(3)), verbose=0)
    assert len(history.history["loss"]) == 1


# What cannot be

INPUT = keraunos.KerasTensor((None, 1), "int32")


@pytest.mark.parametrize(("call", "message"), [
    (lambda: layers.TextVectorization()(INPUT), "call the layer on the data first"),
    (lambda: keraunos.Sequential([keraunos.Input((2,)), layers.StringLookup(vocabulary=["a"])]),
     "call the layer on the data first"),
    (lambda: keraunos.Sequential([layers.TextVectorization(), layers.Embedding(3, 2)]),
     "call the layer on the data first"),
    (lambda: keraunos.Input((1,), dtype="string"), "no tensors of strings: .*TextVectorization"),
    (lambda: layers.Dense(2)(np.array(["a"])), "no tensors of strings: .*TextVectorization"),
    (lambda: adapted([1, 2]), "expected strings; received 1"),
    (lambda: adapted([""]), "expected data with tokens"),
    (lambda: layers.StringLookup().adapt(LETTERS, steps=1), "expected steps beside data that give"),
    (lambda: layers.StringLookup(activity_regularizer="l2"), "activity_regularizer"),
    (lambda: layers.TextVectorization(vocabulary=["a"]).adapt(["b"]), "without vocabulary="),
    (lambda: layers.TextVectorization()([["a", "b"]]), r"shape \(batch,\) or \(batch, 1\)"),
    (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "alone"),
    (lambda: layers.TextVectorization(output_mode="count")(["a"]), "call adapt"),
    (lambda: layers.TextVectorization(max_tokens=2), "max_tokens above the 2 numbers"),
    (lambda: layers.TextVectorization(vocabulary=["a", "a"]), "'a' twice"),
    (lambda: layers.TextVectorization(vocabulary=["a", ""]), "without the mask_token ''"),
    (lambda: layers.TextVectorization(vocabulary="nowhere.txt"), "path of a file"),
    (lambda: layers.TextVectorization.from_config({"vocabulary": "/etc/passwd"}), "set_vocabulary"),
    (lambda: layers.TextVectorization(split="words"), "'whitespace', 'character'"),
    (lambda: layers.TextVectorization(split=lambda texts: [["a"]])(["a", "b"]), "for each of 2"),
    (lambda: layers.StringLookup(pad_to_max_tokens=True), "max_tokens beside"),
    (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["a", "q"]), "received 'q'"),
    (lambda: layers.StringLookup(vocabulary=[["a"], ["b", "c"]]), "different lengths"),
    (lambda: layers.StringLookup(vocabulary=["a"], idf_weights=[1.0]), "with output_mode"),
    (lambda: layers.StringLookup(invert=True, output_mode="count"), "expected output_mode"),
    (lambda: layers.IntegerLookup(vocabulary=[1])([1.5]), "expected integers"),
    (lambda: layers.IntegerLookup(salt=3), "oov_method"),
    (lambda: layers.Discretization(), "bin_boundaries or num_bins"),
    (lambda: layers.Discretization(num_bins=3)(np.ones(2, "float32")), "call adapt"),
    (lambda: layers.CategoryEncoding(), "expected num_tokens"),
    (lambda: layers.Hashing(0), "num_bins as an int of 1 or more"),
])  # fmt: skip
def test_what_is_wrong_is_told(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
