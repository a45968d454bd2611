"""Sequences of different lengths, and windows over series, as arrays and batches."""

import numpy as np
import pytest

from keraunos import utils
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


@pytest.mark.parametrize(("arguments", "message"), [
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
    ({"batch_size": None}, "expected batch_size as an int of 1 or more; received None"),
])  # fmt: skip
def test_windows_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        utils.timeseries_dataset_from_array(SERIES, TARGETS, **{"sequence_length": 3, **options})
