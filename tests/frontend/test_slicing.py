"""Slices, rolls, splits, repeats, paddings and diagonals against numpy, of known and open sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import KerasTensor, Model, layers, ops

X = np.arange(48, dtype="float32").reshape(8, 6)
CUBE = np.arange(60, dtype="float32").reshape(3, 4, 5)
SQUARE = np.arange(36, dtype="float32").reshape(6, 6)
OPEN = {
    "eager": None,
    "known": (8, 6),
    "batch": (None, 6),
    "columns": (8, None),
    "all": (None,) * 2,
}


def agrees(function: Any, want: Any, x: np.ndarray, shape: Any, passes: str = "default") -> None:
    if shape is None:
        found = function(x)
    else:
        found = keraunos.compile(function, KerasTensor(shape, x.dtype.name), passes=passes)(x)
    wanted = want if isinstance(want, list) else [want]
    for one, other in zip(found if isinstance(want, list) else [found], wanted, strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-6)


KEYS = [
    np.s_[:10], np.s_[:, -2:], np.s_[:, -20:], np.s_[5:2], np.s_[::-1], np.s_[::-2],
    np.s_[:, ::-2], np.s_[5:1:-2], np.s_[-1:0:-1], np.s_[-100::-3], np.s_[100:2:-3],
    np.s_[-3:100:2], np.s_[100:], np.s_[:-100], np.s_[:, 3:-4], np.s_[2:-3, 1:-1], np.s_[-5:4],
    np.s_[:: 2**63 - 1], np.s_[:: 1 - 2**63], np.s_[: 2**63 - 1], np.s_[-(2**63) :],
    np.s_[:, ::3], np.s_[3:3], np.s_[0:0], np.s_[..., 2], np.s_[None, :, None],
    np.s_[..., -1:, None],
    np.s_[7], np.s_[-8], np.s_[np.int64(-1), np.array(2)],
    (np.array([1, -2]), np.s_[:3]), (np.array([0, -1]), np.array([1, 2])),
    (np.array([[0], [-1]]), np.array([1, -6])), (-1, np.array([1, 2])), ([1, 1, -1],),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("shape", OPEN)
def test_slices_are_numpys(shape: str, key: Any) -> None:
    agrees(lambda x: x[key] if shape != "eager" else ops.get_item(x, key), X[key], X, OPEN[shape])


@pytest.mark.parametrize(
    "key",
    [
        (0, slice(None), np.array([1, 2])),
        (np.array([0, 2]), slice(None), np.array([1, -1])),
        (slice(None), np.array([0, 1]), np.array([[1], [-2]])),
        (np.array([0, 2]), None, np.array([1, -1])),
        (Ellipsis, np.array([1, -1]), 2),
        (slice(1, None), [0, 1], slice(None, None, -2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [None, (3, 4, 5), (None, None, 5)])
def test_several_arrays_broadcast_as_in_numpy(key: Any, shape: Any) -> None:
    agrees(lambda x: ops.get_item(x, key), CUBE[key], CUBE, shape)


@pytest.mark.parametrize("samples", [1, 2, 5, 9])
@pytest.mark.parametrize("key", [np.s_[:4], np.s_[-4:], np.s_[2:-2], np.s_[3::2], np.s_[:-3:-1]])
@pytest.mark.parametrize("passes", ["default", "none"])
def test_one_program_slices_batches_of_every_size(samples: int, key: Any, passes: str) -> None:
    run = keraunos.compile(lambda x: x[key] * 2, KerasTensor((None, 3)), passes=passes)
    x = np.arange(3.0 * samples, dtype="float32").reshape(samples, 3)
    np.testing.assert_array_equal(run(x), x[key] * 2)


@pytest.mark.parametrize("key", [np.s_[:4], np.s_[-4:], np.s_[1:-2], np.s_[6:0:-2], np.s_[:7:3]])
@pytest.mark.parametrize("samples", [2, 3, 9])
def test_the_gradient_of_a_slice_of_a_batch_is_its_padding(samples: int, key: Any) -> None:
    x = np.arange(2.0 * samples, dtype="float32").reshape(samples, 2)
    want = np.zeros_like(x)
    want[key] = 2 * x[key]
    run = keraunos.compile(keraunos.grad(lambda x: ops.sum(x[key] ** 2)), KerasTensor((None, 2)))
    np.testing.assert_array_equal(run(x), want)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_models_slice_sequences_of_every_length(length: int) -> None:
    x = keraunos.Input((None, 3))
    model = Model(x, layers.Concatenate(axis=1)([x[:, :1], x[:, -2:], x[:, ::-2]]))
    data = np.arange(6.0 * length, dtype="float32").reshape(2, length, 3)
    want = np.concatenate([data[:, :1], data[:, -2:], data[:, ::-2]], 1)
    np.testing.assert_array_equal(model.predict(data, verbose=0), want)


def test_a_layer_after_a_slice_of_a_sequence_knows_its_size() -> None:
    x = keraunos.Input((None, 3))
    model = Model(x, layers.Dense(4)(layers.Flatten()(x[:, :2])))
    assert model.predict(np.ones((2, 5, 3), "float32"), verbose=0).shape == (2, 4)


@pytest.mark.parametrize("at", [5, -6])
def test_an_index_outside_a_batch_is_an_error_when_it_runs(at: int) -> None:
    run = keraunos.compile(lambda x: x[at], KerasTensor((None, 2)))
    assert run(np.ones((6, 2), "float32")).shape == (2,)
    with pytest.raises(ValueError, match=r"slice.*expected .*with N = 5"):
        run(np.ones((5, 2), "float32"))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (X[:, 0] > 3, TypeError, r"received booleans.*ops\.where"),
        (True, TypeError, "received True"),
        (1.5, TypeError, "received 1.5"),
        (slice(0.5, None), TypeError, r"slices of integers; received 0\.5"),
        (slice(None, None, 0), ValueError, "an int other than 0"),
        ((0, 0, 0), IndexError, "at most 2 indices"),
        ((Ellipsis, Ellipsis), IndexError, "at most one"),
        (8, IndexError, "out of bounds"),
    ],
)
def test_what_is_no_index_is_refused(key: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.get_item(X, key)


def test_a_block_ends_where_an_axis_of_unknown_size_does() -> None:
    run = keraunos.compile(lambda x: ops.slice(x, (1, 2), (20, 3)), KerasTensor((None, 6)))
    np.testing.assert_array_equal(run(X), X[1:21, 2:5])


@pytest.mark.parametrize(
    ("start", "size"), [((1, 2), (8, 3)), ((-1, 0), (2, 1)), ((-9, 0), (1, 1))]
)
def test_a_block_beyond_a_known_end_is_refused(start: Any, size: Any) -> None:
    with pytest.raises(ValueError, match="expected a block within axis 0 of size 8"):
        ops.slice(X, start, size)


def test_a_block_of_what_is_left() -> None:
    for shape in OPEN.values():
        agrees(lambda x: ops.slice(x, (3, 1), (-1, 2)), X[3:, 1:3], X, shape)


@pytest.mark.parametrize("start", [[0, 1], [3, 2], [7, -4], [-9, 99]])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
@pytest.mark.parametrize("sizes", [(8, 6), (None, 6), (None, None)])
def test_a_block_that_begins_where_the_data_say_fits(sizes: Any, dtype: str, start: Any) -> None:
    specs = KerasTensor(sizes), KerasTensor((2,), dtype)
    run = keraunos.compile(lambda x, k: ops.slice(x, k, (3, 2)), *specs)
    start_at = [at + size if at < 0 else at for at, size in zip(start, X.shape, strict=True)]
    row, column = np.clip(start_at, 0, [5, 4])
    found = run(X, np.array(start, dtype))
    np.testing.assert_array_equal(found, X[row : row + 3, column : column + 2])


@pytest.mark.parametrize("start", [-2, -3, -8])
def test_a_block_begins_so_far_from_the_end(start: int) -> None:
    want = X[start:, :1] if start >= -2 else X[start : start + 2, :1]
    for shape in OPEN.values():
        agrees(lambda x: ops.slice(x, (start, 0), (2, 1)), want, X, shape)


def test_a_block_has_a_start_for_each_axis() -> None:
    with pytest.raises(ValueError, match="each of 2 axes; received 1 and 2"):
        ops.slice(X, (1,), (2, 2))


@pytest.mark.parametrize(
    ("shift", "axis"),
    [(3, 0), (-19, 1), (50, None), ((3, -2), (0, 1)), (2, (0, 1)), ((1, 2), 0), (8, 0), (0, 1)],
)
@pytest.mark.parametrize("shape", OPEN)
def test_rolls_go_around(shape: str, shift: Any, axis: Any) -> None:
    agrees(lambda x: ops.roll(x, shift, axis), np.roll(X, shift, axis), X, OPEN[shape])


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_one_program_rolls_batches_of_every_size(samples: int) -> None:
    run = keraunos.compile(lambda x: ops.roll(x, (-4, 7), (0, 1)), KerasTensor((None, None)))
    x = np.arange(3.0 * samples, dtype="float32").reshape(samples, 3)
    np.testing.assert_array_equal(run(x), np.roll(x, (-4, 7), (0, 1)))


@pytest.mark.parametrize(
    "axes", [0, 1, 2, ([0], [0]), ([1], [1]), ([0, 1], [0, 1]), ([1, 0], [1, 0])]
)
def test_tensordot_sums_over_open_axes(axes: Any) -> None:
    second = X.T if axes == 1 else X
    for shape in (None, (None, 6), (None, None)):
        agrees(
            lambda x: ops.tensordot(x, ops.transpose(x) if axes == 1 else x, axes),
            np.tensordot(X, second, axes),
            X,
            shape,
        )


@pytest.mark.parametrize("cuts", [[3, 10], [-3], [2, 2, 5], [7, 3]])
@pytest.mark.parametrize("shape", OPEN)
def test_cuts_beyond_the_end_give_empty_parts(shape: str, cuts: list[int]) -> None:
    agrees(lambda x: ops.split(x, cuts, 0), np.split(X, cuts, 0), X, OPEN[shape])


@pytest.mark.parametrize(
    "pair",
    [
        (lambda x: ops.repeat(x, 0, 1), np.repeat(X, 0, 1)),
        (lambda x: ops.repeat(x, 3), np.repeat(X, 3)),
        (lambda x: ops.tile(x, (2, 0)), np.tile(X, (2, 0))),
        (lambda x: ops.tile(x, (2, 1, 3)), np.tile(X, (2, 1, 3))),
        (lambda x: ops.flip(x), np.flip(X)),
        (lambda x: ops.argmax(x, 0), np.argmax(X, 0)),
        (lambda x: ops.argmin(x), np.argmin(X)),
        (lambda x: ops.arange(ops.shape(x)[0], 0, -3), np.arange(8, 0, -3)),
        (lambda x: ops.arange(2, ops.shape(x)[1], 3), np.arange(2, 6, 3)),
        (lambda x: ops.arange(9, ops.shape(x)[1]), np.arange(9, 6)),
        (lambda x: ops.shape(x)[0] * x - ops.shape(x)[1], 8 * X - 6),
        (lambda x: ops.shape(x)[1] - x / ops.shape(x)[0], 6 - X / 8),
        (lambda x: ops.diagonal(x), np.diagonal(X)),
        (lambda x: ops.diagonal(x, 2), np.diagonal(X, 2)),
        (lambda x: ops.diagonal(x, -5), np.diagonal(X, -5)),
        (lambda x: ops.diagonal(x, 9), np.diagonal(X, 9)),
        (lambda x: ops.trace(x, -1), np.trace(X, -1)),
    ],
)
@pytest.mark.parametrize("shape", OPEN)
def test_other_arrangements_are_numpys(shape: str, pair: Any) -> None:
    agrees(*pair, X, OPEN[shape])


@pytest.mark.parametrize(
    "function",
    [
        lambda n: n / 2,
        lambda n: 1 / n,
        lambda n: n**0.5,
        lambda n: n * 0.5,
        lambda n: n - 0.5,
        float,
    ],
)
def test_sizes_that_become_no_size_say_how_to_compute(function: Any) -> None:
    with pytest.raises(TypeError, match=r"take ops\.cast\(size, 'float32'\)"):
        keraunos.trace(lambda x: x * function(ops.shape(x)[1]), (2, None))
    agrees(lambda x: x * ops.cast(ops.shape(x)[1], "float32") ** 0.5, X * 6**0.5, X, (8, None))


@pytest.mark.parametrize("axes", [(0, 1), (2, 0), (-1, 1)])
def test_diagonals_of_several_matrices(axes: tuple[int, int]) -> None:
    for shape in (None, (None, None, 5)):
        agrees(lambda x: ops.diagonal(x, 1, *axes), np.diagonal(CUBE, 1, *axes), CUBE, shape)
        agrees(lambda x: ops.trace(x, 0, *axes), np.trace(CUBE, 0, *axes), CUBE, shape)


@pytest.mark.parametrize("equation", ["ii->i", "ii->", "ii", "ii,ij->j", "ij,jj->i"])
def test_einsum_takes_diagonals(equation: str) -> None:
    count = equation.split("->")[0].count(",") + 1
    want = np.einsum(equation, *[SQUARE] * count)
    for shape in (None, (6, 6)):
        agrees(lambda x: ops.einsum(equation, *[x] * count), want, SQUARE, shape)


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_a_mirror_may_be_mirrored(mode: str) -> None:
    for width in (2, 9, ((0, 20), (11, 0))):
        agrees(lambda x, w=width: ops.pad(x, w, mode), np.pad(X, width, mode), X, None)
        agrees(lambda x, w=width: ops.pad(x, w, mode), np.pad(X, width, mode), X, (8, 6))


def test_repeats_that_differ() -> None:
    counts = [2, 0, 1, 3, 0, 1]
    want = np.repeat(X, counts, 1)
    for shape in (None, (None, 6)):
        agrees(lambda x: ops.repeat(x, counts, 1), want, X, shape)
    with pytest.raises(ValueError, match="one for each element of axis 1"):
        ops.repeat(X, [1, 2], 1)
