"""Sequences of different lengths, and windows over series, as arrays and batches."""

import numpy as np
import pytest

from keraunos import layers, utils
from keraunos.frontend.training.data import source_of

SERIES = np.arange(40, dtype="float32").reshape(20, 2)
TARGETS = np.arange(20) * 10

ROWS = [[1, 2, 3], [4], [], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize(("options", "wanted"), [
    ({}, [[0, 0, 1, 2, 3], [0, 0, 0, 0, 4], [0] * 5, [5, 6, 7, 8, 9]]),
    ({"padding": "post"}, [[1, 2, 3, 0, 0], [4, 0, 0, 0, 0], [0] * 5, [5, 6, 7, 8, 9]]),
    ({"maxlen": 2}, [[2, 3], [0, 4], [0, 0], [8, 9]]),
    ({"maxlen": 2, "truncating": "post", "value": -1}, [[1, 2], [-1, 4], [-1, -1], [5, 6]]),
    ({"maxlen": 6, "value": 7}, [
        [7, 7, 7, 1, 2, 3], [7, 7, 7, 7, 7, 4], [7] * 6, [7, 5, 6, 7, 8, 9],
    ]),
    ({"maxlen": 0}, [[], [], [], []]),
])  # fmt: skip
def test_padding(options, wanted):
    padded = utils.pad_sequences(ROWS, **options)
    assert padded.dtype == np.int32
    np.testing.assert_array_equal(padded, np.array(wanted))


def test_padding_of_steps_with_a_shape():
    padded = utils.pad_sequences([np.ones((2, 3)), [], np.ones((1, 3)) * 2], dtype="float32")
    assert padded.shape == (3, 2, 3)
    assert padded.dtype == np.float32
    np.testing.assert_array_equal(padded[2], [[0, 0, 0], [2, 2, 2]])
    assert utils.pad_sequences([]).shape == (0, 0)


def test_strings_are_padded():
    words = [["a", "long"], ["b"]]
    padded = utils.pad_sequences(words, dtype=object, value="", padding="post")
    assert padded.dtype == object and padded.tolist() == [["a", "long"], ["b", ""]]
    assert utils.pad_sequences(words, dtype="str", value="-").tolist() == [
        ["a", "long"],
        ["-", "b"],
    ]


@pytest.mark.parametrize(("arguments", "message"), [
    (([[1]], None, "int32", "pre", "pre", "x"), "a value that int32 holds; received 'x'"),
    (([[1], 2],), "sequences of steps; received 2"),
    (([[1], [[2]]],), r"steps of shape \(\).*received \(1,\) in sequence 1"),
    (([[1]], 2, "int32", "left"), "padding as one of 'pre', 'post'; received 'left'"),
])  # fmt: skip
def test_what_cannot_be_padded(arguments, message):
    with pytest.raises(ValueError, match=message):
        utils.pad_sequences(*arguments)


def test_windows_and_their_targets():
    data = utils.timeseries_dataset_from_array(SERIES, TARGETS, 3, batch_size=7)
    assert len(data) == 3
    batches = list(data)
    assert [x.shape for x, _ in batches] == [(7, 3, 2), (7, 3, 2), (4, 3, 2)]
    for start, (x, y) in enumerate(
        (x, y) for xs, ys in batches for x, y in zip(xs, ys, strict=True)
    ):
        np.testing.assert_array_equal(x, SERIES[start : start + 3])
        assert y == start * 10


def test_windows_apart_and_with_gaps():
    data = utils.timeseries_dataset_from_array(
        SERIES, None, 3, sequence_stride=4, sampling_rate=2, start_index=1, end_index=15
    )
    (windows,) = data
    np.testing.assert_array_equal(windows[:, :, 0] / 2, [[1, 3, 5], [5, 7, 9], [9, 11, 13]])


def test_windows_one_by_one():
    data = utils.timeseries_dataset_from_array(SERIES, TARGETS, 3, batch_size=None)
    assert len(data) == 18
    window, target = data[5]
    np.testing.assert_array_equal(window, SERIES[5:8])
    assert target == 50
    assert [x.shape for x in data.map(lambda x, y: x[0])] == [(2,)] * 18


def test_fewer_targets_than_windows():
    (_, targets), = utils.timeseries_dataset_from_array(SERIES, TARGETS[:4], 2)  # fmt: skip
    assert targets.tolist() == [0, 10, 20, 30]


def test_shuffled_windows_keep_their_targets():
    make = lambda seed: utils.timeseries_dataset_from_array(  # noqa: E731
        SERIES, TARGETS, 3, shuffle=True, seed=seed
    )
    (x, y), = make(1)  # fmt: skip
    assert sorted(y) == [10 * i for i in range(18)] != list(y)
    np.testing.assert_array_equal(x[:, 0, 0], y / 5)
    np.testing.assert_array_equal(next(iter(make(1)))[1], y)
    assert next(iter(make(2)))[1].tolist() != y.tolist()


def test_windows_are_data_to_train_on():
    source = source_of(utils.timeseries_dataset_from_array(SERIES, TARGETS, 3, batch_size=6))
    assert source.count == 3
    assert [batch.x.shape for batch in source.batches()] == [(6, 3, 2)] * 3


@pytest.mark.parametrize(("options", "message"), [
    ({"sequence_length": 0}, "sequence_length as an int of 1 or more; received 0"),
    ({"sequence_stride": 0}, "sequence_stride as an int of 1"),
    ({"sampling_rate": -1}, "sampling_rate as an int of 1"),
    ({"sequence_length": 21}, "expected 21 steps or more for one window; received 20"),
    ({"start_index": 19}, "expected 3 steps or more for one window; received 1"),
    ({"batch_size": 0}, "batch_size as an int of 1 or more"),
    ({"start_index": -1}, "start_index as an int of 0 or more"),
])  # fmt: skip
def test_windows_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        utils.timeseries_dataset_from_array(SERIES, TARGETS, **{"sequence_length": 3, **options})


# Files of text


@pytest.fixture
def folder(tmp_path):
    for kind, texts in {"bad": ["no", "never"], "good": ["yes", "sure", "fine"]}.items():
        (tmp_path / kind).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / kind / f"{number}.txt").write_text(text)
    (tmp_path / "good" / "notes.md").write_text("none")
    return tmp_path


def test_texts_and_labels_of_files(folder, capsys):
    data = utils.text_dataset_from_directory(folder, batch_size=2, shuffle=False)
    assert capsys.readouterr().out == "Found 5 files belonging to 2 classes.\n"
    assert data.class_names == ["bad", "good"] and len(data) == 3
    assert [(x.tolist(), y.tolist()) for x, y in data] == [
        (["no", "never"], [0, 0]), (["yes", "sure"], [1, 1]), (["fine"], [1])
    ]  # fmt: skip
    assert data[0][1].dtype == "int32"


@pytest.mark.parametrize(("options", "wanted"), [
    ({"label_mode": "binary"}, [[0.0], [0.0], [1.0], [1.0], [1.0]]),
    ({"label_mode": "categorical", "class_names": ["good", "bad"]},
     [[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 2),
    ({"labels": [4, 5, 6, 7, 8]}, [4, 5, 6, 7, 8]),
])  # fmt: skip
def test_labels_of_files(folder, options, wanted):
    data = utils.text_dataset_from_directory(folder, shuffle=False, verbose=False, **options)
    ((_, labels),) = data
    assert labels.tolist() == wanted


@pytest.mark.parametrize("options", [{"labels": None}, {"label_mode": None}])
def test_texts_without_labels(folder, options):
    data = utils.text_dataset_from_directory(
        folder, shuffle=False, max_length=2, verbose=False, **options
    )
    assert data[0].tolist() == ["no", "ne", "ye", "su", "fi"]
    alone = utils.text_dataset_from_directory(folder, labels=None, batch_size=None, verbose=False)
    assert sorted(alone) == ["fine", "never", "no", "sure", "yes"]


def test_files_in_two_parts_and_in_random_order(folder):
    options = {"validation_split": 0.4, "verbose": False, "seed": 3}
    first, last = (
        utils.text_dataset_from_directory(folder, subset=name, **options)
        for name in ("training", "validation")
    )
    assert len(first[0][0]) == 3 and len(last[0][0]) == 2
    assert set(first[0][0]) | set(last[0][0]) == {"no", "never", "yes", "sure", "fine"}
    both = utils.text_dataset_from_directory(folder, subset="both", **options)
    assert [each[0][0].tolist() for each in both] == [first[0][0].tolist(), last[0][0].tolist()]
    seen = set()
    for _ in range(9):
        first.on_epoch_end()
        seen.add(tuple(first[0][0]))
        pairs = zip(*first[0], strict=True)
        assert all((text in ("yes", "sure", "fine")) == label for text, label in pairs)
    assert len(seen) > 1


def test_texts_are_mapped_to_data(folder):
    texts = utils.text_dataset_from_directory(folder, shuffle=False, verbose=False)
    vectorize = layers.TextVectorization(output_sequence_length=1)
    vectorize.adapt(texts.map(lambda x, y: x))
    ((x, y),) = texts.map(lambda x, y: (vectorize(x), y))
    assert x.tolist() == [[4], [5], [2], [3], [6]] and y.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(("options", "message"), [
    ({"directory": "nowhere"}, "path of a folder; received 'nowhere'"),
    ({"class_names": ["good"]}, "the folders bad, good"),
    ({"labels": [1, 2]}, "labels as 5 ints"),
    ({"labels": [1] * 5, "class_names": ["a"]}, "class_names with labels"),
    ({"labels": [1, 2, 3, 3, 3], "label_mode": "binary"}, "expected two classes"),
    ({"validation_split": 0.5}, "validation_split and subset together"),
    ({"validation_split": 2.0, "subset": "both"}, "between 0 and 1"),
    ({"validation_split": 0.1, "subset": "both"}, "files enough for both"),
    ({"validation_split": 0.5, "subset": "training"}, "expected a seed"),
])  # fmt: skip
def test_files_that_cannot_be_read(folder, options, message):
    given = {"directory": folder, "verbose": False, **options}
    with pytest.raises(ValueError, match=message):
        utils.text_dataset_from_directory(**given)
