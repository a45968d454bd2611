"""What picks by integers, against numpy: eager and compiled, sizes known and not, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import KerasTensor, ops

DTYPES = ["int8", "uint8", "int32", "int64"]
PASSES = ["default", "none"]
X = np.arange(24, dtype="float32").reshape(4, 6)


def picks(dtype: str, size: int, shape: tuple[int, ...]) -> np.ndarray:
    low = 0 if dtype == "uint8" else -size
    return np.random.default_rng(1).integers(low, size, shape).astype(dtype)


SIZES = {"known": (4, 6), "batch": (None, 6), "open": (None, None)}


def compiled(function: Any, *arrays: np.ndarray, sizes: Any = None, passes: str = "default") -> Any:
    specs = [KerasTensor(array.shape, array.dtype.name) for array in arrays]
    for i, size in enumerate(sizes or ()):
        specs[i] = KerasTensor(size, arrays[i].dtype.name)
    return np.asarray(keraunos.compile(function, *specs, passes=passes)(*arrays))


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_eager_take_counts_from_the_end(dtype: str, axis: int | None) -> None:
    size = X.size if axis is None else X.shape[axis]
    at = picks(dtype, size, (3, 2))
    np.testing.assert_array_equal(ops.take(X, at, axis), np.take(X, at, axis))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_compiled_take_counts_from_the_end(sizes: str, dtype: str, axis: int) -> None:
    at = picks(dtype, X.shape[axis], (3, 2))
    found = compiled(lambda x, k: ops.take(x, k, axis), X, at, sizes=[SIZES[sizes]])
    np.testing.assert_array_equal(found, np.take(X, at, axis))


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "float32"])
def test_tables_of_every_type_are_picked_from(dtype: str, passes: str) -> None:
    x, at = (X % 3).astype(dtype), picks("int32", 4, (7,))
    found = compiled(lambda x, k: ops.take(x, k, 0), x, at, sizes=[SIZES["batch"]], passes=passes)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x[at])


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
def test_what_is_taken_by_computed_indices_outside_is_nan(
    sizes: str, dtype: str, passes: str
) -> None:
    x = X.astype(dtype)
    at = np.array([-(2**63), -(2**32), -5, -4, 3, 4, 2**32, 2**63 - 1])
    keraunos.set_floatx(dtype)
    try:
        found = compiled(
            lambda x, k: ops.take(x, k + 0, 0), x, at, sizes=[SIZES[sizes]], passes=passes
        )
    finally:
        keraunos.set_floatx("float32")
    np.testing.assert_array_equal(found[3:5], x[[0, 3]])
    assert np.isnan(found[[0, 1, 2, 5, 6, 7]]).all()


@pytest.mark.parametrize(
    ("dtype", "fill"), [("int8", -128), ("uint8", 255), ("int32", -(2**31)), ("int64", -(2**63))]
)
def test_integers_taken_outside_are_the_least(dtype: str, fill: int) -> None:
    x, at = np.zeros((3, 2), dtype), np.array([0, 3, -4])
    found = compiled(lambda x, k: ops.take(x, k + 0, 0), x, at)
    np.testing.assert_array_equal(found, np.array([[0, 0], [fill, fill], [fill, fill]], dtype))


def test_nothing_can_be_taken_from_an_empty_axis() -> None:
    at = np.array([0, -1, 5])
    found = compiled(lambda x, k: ops.take(ops.concatenate([x[:0], x[:0]], 0), k + 0, 0), X, at)
    assert np.isnan(found).all()


@pytest.mark.parametrize("at", [4, -5, [0, 4], np.array([2**32]), np.array([[1], [-9]])])
def test_a_known_index_outside_is_an_index_error(at: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds for axis 0 of size 4"):
        ops.take(X, at, axis=0)
    with pytest.raises(IndexError, match="out of bounds for axis 0 of size 4"):
        keraunos.trace(lambda x: ops.take(x, at, axis=0), (4, 6))


def test_booleans_pick_nothing() -> None:
    with pytest.raises(TypeError, match=r"received booleans.*ops\.where"):
        ops.take(X, np.array([True, False]), axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_eager_take_along_axis_counts_from_the_end(axis: int, dtype: str) -> None:
    at = picks(dtype, X.shape[axis], X.shape)
    found = ops.take_along_axis(X, at, axis)
    np.testing.assert_array_equal(found, np.take_along_axis(X, at.astype("int64"), axis))


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(
    ("sizes", "axis"), [("known", 0), ("known", 1), ("batch", 0), ("batch", 1), ("open", 1)]
)
def test_compiled_take_along_axis_counts_from_the_end(sizes: str, axis: int, passes: str) -> None:
    at, both = picks("int32", X.shape[axis], X.shape), [SIZES[sizes]] * 2
    found = compiled(lambda x, k: ops.take_along_axis(x, k, axis), X, at, sizes=both, passes=passes)
    np.testing.assert_array_equal(found, np.take_along_axis(X, at, axis))


def test_take_along_axis_broadcasts_the_other_axes() -> None:
    x = np.arange(24, dtype="int32").reshape(2, 3, 4)
    at = np.array([[[-1, 0]], [[1, -4]]])
    want = np.take_along_axis(x, at, -1)
    np.testing.assert_array_equal(ops.take_along_axis(x, at, -1), want)
    np.testing.assert_array_equal(compiled(lambda x, k: ops.take_along_axis(x, k, -1), x, at), want)


def test_what_is_taken_outside_along_an_axis_is_nan() -> None:
    at = np.array([[6, -7, -6, 2**32], [5, -1, 2**62, -(2**63)]])
    found = compiled(
        lambda x, k: ops.take_along_axis(x, k, 1), X[:2], at, sizes=[(None, 6), (None, 4)]
    )
    nan = np.nan
    np.testing.assert_array_equal(found, [[nan, nan, 0, nan], [11, 11, nan, nan]])


def test_infinities_and_nan_beside_what_is_picked_stay_there() -> None:
    x = np.array([[np.inf, 1.0, np.nan]], "float32")
    at = np.array([[1, -2]])
    np.testing.assert_array_equal(ops.take_along_axis(x, at, 1), [[1.0, 1.0]])


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("at", [-1, 2, np.array([-1, 0, -4]), [[0], [-2]]])
def test_x_of_integers_counts_from_the_end(at: Any, sizes: str) -> None:
    found = compiled(lambda x: x[at], X, sizes=[SIZES[sizes]])
    np.testing.assert_array_equal(found, X[at])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_take_adds_up_at_the_rows_meant(axis: int, dtype: str) -> None:
    x, at = X.astype(dtype), np.array([-1, 2, -1, 0, -4, 99, -99])
    weights = np.arange(1.0, 1 + x.take(at % 4, axis).size).astype(dtype)
    weights = weights.reshape(x.take(at % 4, axis).shape)

    def loss(x: Any, k: Any) -> Any:
        taken = ops.take(x, k + 0, axis)
        return ops.sum(ops.where(ops.isnan(taken), 0.0, taken * weights))

    want = np.zeros_like(x)
    size = x.shape[axis]
    for i, k in enumerate(at):
        if -size <= k < size:
            np.moveaxis(want, axis, 0)[k] += np.moveaxis(weights, axis, 0)[i]
    keraunos.set_floatx(dtype)
    try:
        found = keraunos.grad(loss)(x, at)
    finally:
        keraunos.set_floatx("float32")
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_gradient_of_take_along_axis_adds_up_at_the_elements_meant() -> None:
    at = np.array([[-1, 5, 2], [0, -6, 0], [1, 2, 3], [-1, -2, -3]])
    weights = np.arange(12, dtype="float32").reshape(4, 3)
    found = keraunos.grad(lambda x, k: ops.sum(ops.take_along_axis(x, k, 1) * weights))(X, at)
    want = np.zeros_like(X)
    np.add.at(want, (np.arange(4)[:, None], at), weights)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hot_of_what_is_no_class_is_zero(dtype: str) -> None:
    at = np.array([0, 2, 3, 127]).astype(dtype)
    want = np.eye(200, dtype="float32")[at.astype(int)]
    np.testing.assert_array_equal(ops.one_hot(at, 200), want)
    np.testing.assert_array_equal(compiled(lambda k: ops.one_hot(k, 200), at), want)
    np.testing.assert_array_equal(ops.one_hot(at, 2), want[:, :2])


@pytest.mark.parametrize("wrong", [-1, 3, 2**32, 2**32 + 1, -(2**63)])
def test_integers_are_not_cut_to_classes_that_they_do_not_name(wrong: int) -> None:
    at = np.array([1, wrong])
    want = [[0, 1, 0], [0, 0, 0]]
    for function in (ops.one_hot, lambda k, n: ops.multi_hot(k[:, None], n)):
        np.testing.assert_array_equal(function(at, 3), want)
        np.testing.assert_array_equal(compiled(lambda k, f=function: f(k, 3), at), want)
    scores = np.full((2, 3), 1 / 3, "float32")
    loss = ops.sparse_categorical_crossentropy(at, scores)
    np.testing.assert_allclose(loss, [np.log(3), 0], rtol=1e-6)


def test_arrays_of_indices_that_do_not_broadcast_are_an_index_error() -> None:
    given = np.array([0, 1]), np.array([[0, 1, 2]])
    with pytest.raises(IndexError, match=r"that broadcast; received shapes \(2,\), \(1, 3\)"):
        keraunos.compile(lambda x: x[given], np.ones((4, 4), "float32"))
