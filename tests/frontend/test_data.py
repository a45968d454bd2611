"""Data of fit and evaluate, as batches: arrays, streams, weights, splits, epochs."""

import random
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from keraunos import utils
from keraunos.frontend.training.array_data import array_data, split
from keraunos.frontend.training.batch import unpack_x_y_sample_weight
from keraunos.frontend.training.data import Epochs, source_of
from keraunos.frontend.training.dataset import PyDataset
from keraunos.frontend.training.streams import is_stream

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


class ByArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


class ByDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class ByNumpy:
    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


class Batches(PyDataset):
    def __init__(self, count=3, **options):
        super().__init__(**options)
        self.count = count
        self.calls = []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((2, 2), index, "float32"), np.full(2, index)

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def batches(source) -> list:
    """Copies of the batches of one pass, each as (x, y, weights)."""
    return [copied((b.x, b.y, b.sample_weight)) for b in source.batches()]


def copied(data):
    if isinstance(data, dict):
        return {key: copied(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(copied(value) for value in data)
    return None if data is None else data.copy()


def same(received, wanted) -> None:
    assert received.dtype == wanted.dtype
    assert received.flags.c_contiguous
    np.testing.assert_array_equal(received, wanted)


# Arrays


@pytest.mark.parametrize("given", [
    X, X.astype("float64"), np.asfortranarray(X), np.repeat(X, 2, 0)[::2], X.tolist(),
    [tuple(row) for row in X.tolist()], ByArray(X), ByDLPack(X), ByNumpy(X),
    list(X.tolist()), X.astype("float16"),
], ids=lambda given: type(given).__name__)  # fmt: skip
@pytest.mark.parametrize("shuffle", [False, True])
def test_anything_that_is_an_array(given, shuffle):
    found = batches(array_data(given, Y, batch_size=4, shuffle=shuffle))
    assert [len(x) for x, _, _ in found] == [4, 4, 2]
    x, y = (np.concatenate([batch[i] for batch in found]) for i in range(2))
    same(x, X[y])
    same(np.sort(y), Y)
    assert all(batch[2] is None for batch in found)


def test_a_file_mapped_into_memory_is_read_by_the_batch(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = array_data(mapped, Y, batch_size=4)
    for batch in source.batches():
        assert type(batch.x) is np.ndarray
        assert np.shares_memory(batch.x, mapped)
        same(batch.x, X[batch.y])
    for batch in array_data(mapped, Y, batch_size=4, shuffle=True).batches():
        same(batch.x, X[batch.y])


def test_dtypes_are_those_of_the_compiler():
    for given, kept in (
        (X.astype("float64"), "float32"),
        (Y.astype("int64"), "int64"),
        (Y.astype("int16"), "int32"),
        (Y.astype("uint8"), "uint8"),
        (Y > 3, "bool"),
        (Y.astype(">i4"), "int32"),
        (X.astype(">f8"), "float32"),
        (X.astype(">f4"), "float32"),
        ([1, 2, 3], "int32"),
        ([1.5, 2.5], "float32"),
    ):
        x, _, _ = batches(array_data(given))[0]
        assert x.dtype == np.dtype(kept)
        np.testing.assert_array_equal(x, given)


@pytest.mark.parametrize("shuffle", [False, True])
def test_nestings_keep_their_form(shuffle):
    x = {"b": X, "a": [X + 1, (X + 2, None)]}
    for batch in array_data(x, (Y, [Y]), batch_size=3, shuffle=shuffle).batches():
        assert list(batch.x) == ["b", "a"]
        assert type(batch.x["a"]) is list
        inner = batch.x["a"][1]
        assert type(inner) is tuple
        assert inner[1] is None
        same(batch.x["a"][0], batch.x["b"] + 1)
        same(inner[0], batch.x["b"] + 2)
        assert type(batch.y) is tuple
        same(batch.y[0], batch.y[1][0])
        same(batch.x["b"], X[batch.y[0]])


def test_slices_are_views_and_gathers_share_one_memory():
    assert all(np.shares_memory(b.x, X) for b in array_data(X, batch_size=4).batches())
    source = array_data(X, batch_size=4, shuffle=True)
    first, second, last = source.batches()
    assert first is second
    assert last.x.shape == (2, 2)
    assert np.shares_memory(first.x, last.x)
    assert not np.shares_memory(first.x, X)


def test_the_order_is_that_of_numpys_seeded_permutations():
    utils.set_random_seed(5)
    source = array_data(X, Y, batch_size=4, shuffle=True)
    found = [np.concatenate([y for _, y, _ in batches(source)]) for _ in range(2)]
    np.random.seed(5)
    for order in found:
        same(order, np.random.permutation(10))
    assert list(found[0]) != list(found[1])


def test_shuffling_within_batches():
    utils.set_random_seed(0)
    found = [y for _, y, _ in batches(array_data(X, Y, batch_size=5, shuffle="batch"))]
    assert [sorted(y) for y in found] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert [list(y) for y in found] != [sorted(y) for y in found]


def test_the_batch_size_unless_given():
    wide = np.zeros((70, 1))
    assert [len(x) for x, _, _ in batches(array_data(wide))] == [32, 32, 6]
    assert [len(x) for x, _, _ in batches(array_data(wide, steps=4))] == [18, 18, 18, 16]
    assert [len(x) for x, _, _ in batches(array_data(wide, batch_size=50, steps=4))] == [50, 20]
    assert array_data(wide, batch_size=1000).count == 1


def test_what_is_not_finite_passes():
    x = np.array([[np.nan], [np.inf]], "float32")
    np.testing.assert_array_equal(batches(array_data(x, x))[0][1], x)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: array_data(X, Y[:9]), ValueError,
     r"one number of samples.*x \(10, 2\); y \(9,\)$"),
    (lambda: array_data([X, X[:4]], Y, np.ones(3)), ValueError,
     r"x \(10, 2\), \(4, 2\); y \(10,\); sample_weight \(3,\)$"),
    (lambda: array_data(list(X), Y), ValueError, r"list of 10 arrays.*np.stack\(x\)"),
    (lambda: array_data(X[:0], Y[:0]), ValueError, r"at least one sample; received x \(0, 2\)"),
    (lambda: array_data([], []), ValueError, "at least one sample"),
    (lambda: array_data(None), ValueError, "expected x as arrays"),
    (lambda: array_data({}), ValueError, "expected x as arrays"),
    (lambda: array_data(np.float32(3)), ValueError, "first axis is the batch"),
    (lambda: array_data([[1, 2], [3]]), TypeError, "Pad the rows"),
    (lambda: array_data(np.array(["a"])), TypeError, "expected numbers"),
    (lambda: array_data("text"), TypeError, "array of numbers; received str"),
    (lambda: array_data(X, object()), TypeError, "array of numbers; received object"),
    (lambda: array_data(X, batch_size=0), ValueError, "batch_size as an int of 1.*received 0"),
    (lambda: array_data(X, batch_size=2.0), ValueError, "batch_size.*received 2.0"),
])  # fmt: skip
def test_what_is_no_data(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Weights


def weights_of(*args, **options):
    return np.concatenate([weights for _, _, weights in batches(array_data(*args, **options))])


def test_weights_follow_their_samples():
    for x, y, weights in batches(array_data(X, Y, Y / 2, batch_size=4, shuffle=True)):
        same(weights, (y / 2).astype("float32"))
        same(x, X[y])
    assert weights_of(X, Y, Y).dtype == np.float32
    assert weights_of(X, Y, Y > 2).dtype == np.float32


@pytest.mark.parametrize("labels", [
    Y % 4,
    (Y % 4).astype("float32"),
    (Y % 4)[:, None],
    np.eye(4)[Y % 4],
    (Y % 4).astype("uint8"),
    (Y % 4).tolist(),
])  # fmt: skip
def test_weights_of_classes(labels):
    given = weights_of(X, labels, class_weight={0: 2.0, 1: 0.5, np.int64(3): 7})
    same(given, np.array([2, 0.5, 1, 7] * 3, "float32")[:10])


def test_classes_of_booleans_and_of_what_is_no_number():
    same(weights_of(X, Y > 4, class_weight={True: 3}), np.repeat(np.float32([1, 3]), 5))
    same(weights_of(X[:2], [1.0, np.nan], class_weight={1: 3}), np.float32([3, 1]))


def test_one_array_of_weights_serves_every_target():
    data = array_data(X, {"a": Y, "b": [Y, Y]}, Y)
    (_, _, weights), = batches(data)  # fmt: skip
    same(weights["a"], Y.astype("float32"))
    same(weights["b"][1], Y.astype("float32"))


def test_weights_for_each_target():
    (_, _, weights), = batches(array_data(X, [Y, Y], [Y, np.ones((10, 3))]))  # fmt: skip
    assert weights[1].shape == (10, 3)
    (_, _, weights), = batches(array_data(X, [Y, Y], [Y, None]))  # fmt: skip
    assert weights[1] is None


@pytest.mark.parametrize(("weights", "classes", "y", "error", "message"), [
    (Y, {1: 2}, Y, ValueError, "class_weight or sample_weight; received both"),
    (None, [1, 2], Y, TypeError, "received list.*enumerate"),
    (None, {1: 2}, [Y, Y], ValueError, "one array of targets; received 2"),
    (None, {1: 2}, None, ValueError, "one array of targets; received no targets"),
    (None, {1: 2}, np.zeros((10, 3, 2)), ValueError, "one class a sample"),
    (np.ones((10, 3)), None, [Y, Y], ValueError, r"of shape \(10,\) beside several"),
    ([Y, Y, Y], None, [Y, Y], ValueError, "a list of 2 arrays; received a list of 3"),
    ({"a": Y}, None, {"a": Y, "b": Y}, ValueError, "a dict of a, b; received a dict of a"),
    (["a"], None, Y, TypeError, "expected numbers"),
])  # fmt: skip
def test_weights_that_do_not_fit(weights, classes, y, error, message):
    with pytest.raises(error, match=message):
        array_data(X, y, weights, class_weight=classes)


# Splits


def test_the_last_part_is_for_validation():
    (x, y, weights), (late_x, late_y, late_weights) = split([X, X], Y, Y, 0.3)
    same(x[1], X[:7])
    same(y, Y[:7])
    same(weights, Y[:7].astype("float32"))
    same(late_x[0], X[7:])
    same(late_y, Y[7:])
    same(late_weights, Y[7:].astype("float32"))
    assert split(X, None, None, 0.25)[0][0].shape == (7, 2)  # floor(10 * 0.75)


@pytest.mark.parametrize("fraction", [1.0, -0.1, 1e-17, 0.99])
def test_splits_that_leave_nothing(fraction):
    with pytest.raises(ValueError, match="validation_split"):
        split(X, Y, None, fraction)


@pytest.mark.parametrize("data", [X, [X, Y], (X, Y), {"x": X, "y": Y}])
@pytest.mark.parametrize(("left", "right", "sizes"), [
    (0.8, None, (8, 2)), (None, 0.3, (7, 3)), (4, None, (4, 6)), (2, 3, (2, 3)),
    (0.5, 0.2, (5, 2)), (None, 4, (6, 4)),
])  # fmt: skip
def test_split_dataset(data, left, right, sizes):
    parts = utils.split_dataset(data, left, right)
    for part, size in zip(parts, sizes, strict=True):
        assert type(part) is type(data)
        arrays = part.values() if isinstance(part, dict) else part if part is not X else [part]
        arrays = [part] if isinstance(part, np.ndarray) else list(arrays)
        assert all(len(array) == size for array in arrays)
    first = parts[0] if isinstance(data, np.ndarray) else next(iter(
        parts[0].values() if isinstance(data, dict) else parts[0]
    ))  # fmt: skip
    same(first, X[: sizes[0]])


def test_split_dataset_shuffles_rows_together():
    (x, y), (late_x, late_y) = utils.split_dataset((X, Y), 0.6, shuffle=True, seed=3)
    same(np.sort(np.concatenate([y, late_y])), Y)
    assert list(y) != [0, 1, 2, 3, 4, 5]
    same(x, X[y])
    same(late_x, X[late_y])
    again, _ = utils.split_dataset((X, Y), 0.6, shuffle=True, seed=3)
    same(again[1], y)


@pytest.mark.parametrize(("sizes", "message"), [
    ((None, None), "left_size, right_size or both"),
    ((8, 5), "10 samples.*received 8 and 5"),
    ((1.5, None), "fraction between 0 and 1"),
    ((0.7, 0.7), "10 samples"),
    ((-1, None), "received -1"),
    (("a", None), "received 'a'"),
])  # fmt: skip
def test_sizes_that_do_not_split(sizes, message):
    with pytest.raises(ValueError, match=message):
        utils.split_dataset(X, *sizes)


# Streams


def test_what_is_a_stream():
    class Loader:
        def __iter__(self):
            return iter(())

    for stream in (iter([]), (x for x in []), Batches(), Loader(), map(abs, [])):
        assert is_stream(stream)
    for value in (X, [X], (X,), {"a": X}, "text", ByArray(X), ByDLPack(X), ByNumpy(X), None, 3):
        assert not is_stream(value)


@pytest.mark.parametrize("item", [
    X, (X,), (X, Y), (X, Y, Y), [X, Y], {"a": X}, ({"a": X}, [Y, Y]), (ByArray(X), ByDLPack(Y)),
    (X.tolist(), Y.tolist()), (X.astype("float64"), Y), (np.asfortranarray(X), Y),
])  # fmt: skip
def test_batches_of_any_form(item):
    (x, y, weights), = batches(source_of(iter([item])))  # fmt: skip
    inputs, targets, given = unpack_x_y_sample_weight(item)
    same(x["a"] if isinstance(inputs, dict) else x, X)
    assert (y is None) == (targets is None)
    for target in y if isinstance(y, list) else [] if y is None else [y]:
        np.testing.assert_array_equal(target, Y)
    assert (weights is None) == (given is None)
    assert weights is None or weights.dtype == np.float32


def test_a_batch_of_too_many_parts():
    with pytest.raises(ValueError, match="received a tuple of 4 parts"):
        batches(source_of(iter([(X, Y, Y, Y)])))
    with pytest.raises(ValueError, match="the data gave None"):
        batches(source_of(iter([(None, Y)])))


def test_classes_are_weighed_in_batches_too():
    data = source_of(iter([(X, Y % 2), (X, (Y + 1) % 2)]), class_weight={1: 5})
    first, second = (weights for _, _, weights in batches(data))
    same(first, np.array([1, 5] * 5, "float32"))
    same(second, np.array([5, 1] * 5, "float32"))
    with pytest.raises(ValueError, match="received both"):
        batches(source_of(iter([(X, Y, Y)]), class_weight={1: 5}))


@pytest.mark.parametrize(("name", "value"), [
    ("y", Y), ("sample_weight", Y), ("batch_size", 3),
])  # fmt: skip
def test_what_has_no_place_beside_a_stream(name, value):
    with pytest.raises(ValueError, match=f"expected no {name} beside data that give batches"):
        source_of(iter([X]), **{name: value})


def test_sequences_come_in_order_or_shuffled():
    assert [y[0] for _, y, _ in batches(source_of(Batches(5)))] == [0, 1, 2, 3, 4]
    utils.set_random_seed(1)
    found = [y[0] for _, y, _ in batches(source_of(Batches(9), shuffle=True))]
    wanted = list(range(9))
    random.seed(1)
    random.shuffle(wanted)
    assert found == wanted != sorted(wanted)


def test_the_number_of_batches():
    class Endless(Batches):
        num_batches = None

    class Loader:
        def __init__(self, count):
            self.count = count

        def __len__(self):
            if self.count is None:
                raise TypeError("endless")
            return self.count

        def __iter__(self):
            return iter([X])

    assert source_of(Batches(4)).count == 4
    assert source_of(Endless()).count is None
    assert source_of(Loader(7)).count == 7
    assert source_of(Loader(None)).count is None
    assert source_of(iter([])).count is None
    taken = source_of(Endless(), shuffle=True).batches()
    assert [next(taken).y[0] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_dataset_says_what_it_lacks():
    class Empty(PyDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has to define __len__\(\)"):
        _ = Empty().num_batches
    with pytest.raises(NotImplementedError, match="Empty has to define __getitem__"):
        Empty()[0]
    assert utils.Sequence is utils.PyDataset is PyDataset
    assert len(list(Batches(3))) == 3


class Slow(Batches):
    """Remembers which threads made batches."""

    def __init__(self, count, barrier=None, **options):
        super().__init__(count, **options)
        self.threads = set()
        self.made = []
        self.barrier = barrier

    def __getitem__(self, index):
        self.threads.add(threading.get_ident())
        self.made.append(index)
        if self.barrier is not None:
            self.barrier.wait(300)
        return super().__getitem__(index)


def test_workers_make_batches_side_by_side_and_in_order():
    slow = Slow(8, threading.Barrier(2), workers=2)
    assert [y[0] for _, y, _ in batches(source_of(slow))] == list(range(8))
    assert threading.get_ident() not in slow.threads
    assert len(slow.threads) == 2


def test_workers_are_ahead_by_so_much():
    slow = Slow(100, workers=2, max_queue_size=3)
    passed = source_of(slow).batches()
    next(passed)
    passed.close()
    assert len(slow.made) <= 4


PROCESSES = """
import os
import numpy as np
from keraunos.utils import PyDataset
from keraunos.frontend.training.data import source_of

class Batches(PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return np.full((2, 2), index), np.full(2, os.getpid())

data = Batches(workers=2, use_multiprocessing=True)
found = [(int(b.x[0, 0]), int(b.y[0])) for b in source_of(data).batches()]
assert [index for index, _ in found] == list(range(6)), found
assert os.getpid() not in {process for _, process in found}, found
"""


def test_processes_make_batches():
    """In a process of its own: forking one that runs the threads of other libraries may hang."""
    run = subprocess.run([sys.executable, "-c", PROCESSES], capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr.decode()


def test_an_error_of_a_worker_comes_out():
    class Broken(Batches):
        def __getitem__(self, index):
            if index == 2:
                raise RuntimeError("no such file")
            return super().__getitem__(index)

    passed = source_of(Broken(5, workers=2)).batches()
    assert [next(passed).y[0], next(passed).y[0]] == [0, 1]
    with pytest.raises(RuntimeError, match="no such file"):
        next(passed)


# Epochs


def epochs(source, steps, count) -> list:
    """What comes in each epoch: the first target of each batch."""
    found = []
    cut = Epochs(source, steps)
    for _ in range(count):
        begun = cut.begin()
        if begun is None:
            found.append(None)
            continue
        found.append([int(batch.y[0]) for batch in begun])
        cut.end()
    return found


def test_an_epoch_is_one_pass():
    data = Batches(3)
    assert epochs(source_of(data), None, 2) == [[0, 1, 2]] * 2
    assert data.calls == ["begin", "end"] * 2
    assert epochs(array_data(X, Y, batch_size=5), None, 2) == [[0, 5]] * 2


def test_an_epoch_of_some_steps_goes_on_where_the_last_ended():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epochs(array_data(X, Y, batch_size=2), 2, 2) == [[0, 2], [4, 6]]
        assert epochs(source_of(Batches(4)), 2, 3) == [[0, 1], [2, 3], [0, 1]]
        assert epochs(source_of(iter([(X[i:], Y[i:]) for i in range(4)])), 2, 2) == [[0, 1], [2, 3]]


def test_a_pass_that_ends_within_an_epoch_cuts_it_short_and_begins_anew():
    with pytest.warns(UserWarning, match="ran out of data"):
        assert epochs(source_of(Batches(3)), 2, 4) == [[0, 1], [2], [0, 1], [2]]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert epochs(array_data(X, Y, batch_size=5), 3, 2) == [[0, 5]] * 2


@pytest.mark.parametrize(("steps", "wanted"), [
    (2, [[0, 1], [2, 3], [4], None]),
    (5, [[0, 1, 2, 3, 4], None]),
    (None, [[0, 1, 2, 3, 4], None, None]),
])  # fmt: skip
def test_an_iterator_ends_for_good(steps, wanted):
    stream = ((X, Y + i) for i in range(5))
    with pytest.warns(UserWarning, match="ran out of data"):
        assert epochs(source_of(stream), steps, len(wanted)) == wanted


def test_no_batch_at_all():
    for stream in (iter([]), Batches(0)):
        with pytest.raises(ValueError, match="at least one batch; the data gave none"):
            epochs(source_of(stream), None, 1)


@pytest.mark.parametrize("steps", [0, -1, True])
def test_steps_that_are_none(steps):
    with pytest.raises(ValueError, match="steps of 1 or more"):
        Epochs(array_data(X), steps)


def test_unpacking_and_packing():
    assert utils.unpack_x_y_sample_weight(X) == (X, None, None)
    assert utils.unpack_x_y_sample_weight([X, Y])[1] is Y
    assert utils.pack_x_y_sample_weight(X) is X
    assert utils.pack_x_y_sample_weight([X]) == ([X],)
    assert utils.pack_x_y_sample_weight(X, Y) == (X, Y)
    assert utils.pack_x_y_sample_weight(X, Y, Y) == (X, Y, Y)
