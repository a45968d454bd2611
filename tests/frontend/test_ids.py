"""Ids that an Embedding's table does not have: an error before anything runs, or NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops
from keraunos.frontend.errors import UsageError

TABLE = np.array([[10.0], [20.0], [30.0]], "float32")
GOOD = np.array([[0, 2], [1, 1]], "int32")
TARGETS = np.zeros((2, 1), "float32")


def model(dtype: str = "int32") -> Any:
    made = keraunos.Sequential(
        [
            keraunos.Input((2,), dtype=dtype),
            layers.Embedding(3, 1, name="words"),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    made.layers[0].set_weights([TABLE])
    made.compile(keraunos.optimizers.SGD(0.01), "mse")
    return made


WAYS = {
    "call": lambda m, x: m(x),
    "predict": lambda m, x: m.predict(x, verbose=0),
    "predict_on_batch": lambda m, x: m.predict_on_batch(x),
    "fit": lambda m, x: m.fit(x, TARGETS, verbose=0),
    "fit_generator": lambda m, x: m.fit(iter([(GOOD, TARGETS), (x, TARGETS)]), verbose=0),
    "train_on_batch": lambda m, x: m.train_on_batch(x, TARGETS),
    "test_on_batch": lambda m, x: m.test_on_batch(x, TARGETS),
    "evaluate": lambda m, x: m.evaluate(x, TARGETS, verbose=0),
    "compile": lambda m, x: keraunos.compile(m)(x),
    "layer": lambda m, x: m.layers[0](x),
    "fit_eagerly": lambda m, x: eager(m).fit(x, TARGETS, verbose=0),
    "evaluate_generator": lambda m, x: m.evaluate(iter([(GOOD, TARGETS), (x, TARGETS)]), verbose=0),
    "predict_generator": lambda m, x: m.predict(iter([GOOD, x]), verbose=0),
    "validation": lambda m, x: m.fit(GOOD, TARGETS, validation_data=(x, TARGETS), verbose=0),
}


def eager(made: Any) -> Any:
    made.run_eagerly = True
    return made


@pytest.mark.parametrize("wrong", [3, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("way", WAYS)
def test_an_id_outside_the_table_is_an_error(way: str, wrong: int) -> None:
    made, x = model(), GOOD.copy()
    x[1, 0] = wrong
    with pytest.raises(UsageError, match=rf"words. .*0 to 2.*received {wrong} at index \(., 0\)"):
        WAYS[way](made, x)


def test_nothing_is_trained_by_a_batch_with_a_wrong_id() -> None:
    made = model()
    made.train_on_batch(GOOD, TARGETS)
    before = made.get_weights()
    with pytest.raises(UsageError):
        made.train_on_batch(GOOD + 1, TARGETS)
    for one, other in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_arrays_are_looked_at_before_anything_is_trained() -> None:
    made = model()
    before = made.get_weights()
    wrong = np.concatenate([GOOD, GOOD, GOOD + 1])
    with pytest.raises(UsageError, match="received 3 at index "):
        made.fit(wrong, np.zeros((6, 1), "float32"), batch_size=2, verbose=0, shuffle=False)
    for one, other in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


ROWS = np.arange(12, dtype="float32").reshape(2, 3, 2)
OPEN = keraunos.KerasTensor((None, None, 2)), keraunos.KerasTensor((None,), "int32")


def test_an_id_is_held_against_an_axis_of_open_size() -> None:
    run = keraunos.compile(lambda x, at: ops.take(x, at, axis=1), *OPEN)
    np.testing.assert_array_equal(run(ROWS, np.array([2, -3])), ROWS[:, [2, 0]])
    for wrong in (3, -4):
        with pytest.raises(
            UsageError, match=rf"ids from -3 to 2, .* received {wrong} at index \(1,"
        ):
            run(ROWS, np.array([0, wrong]))
    longer = np.zeros((1, 9, 2), "float32")
    assert run(longer, np.array([8])).shape == (1, 1, 2)


def test_parts_of_open_size_are_looked_at_alone() -> None:
    table = layers.Embedding(3, 1, name="words")
    ids = keraunos.KerasTensor((None, None), "int32")
    run = keraunos.compile(lambda x: table(x[:, :-1]), ids)
    assert run(np.array([[0, 1, 9]])).shape == (1, 2, 1)
    with pytest.raises(UsageError, match=r'"words" .*received 9 at index \(0, 1\)'):
        run(np.array([[0, 9, 1]]))


def test_ids_that_are_shifted_are_looked_at() -> None:
    table = layers.Embedding(3, 1, name="words")
    ids = keraunos.KerasTensor((None, None), "int32")

    def shifted(x: Any) -> Any:
        return table(ops.concatenate([ops.zeros_like(x[:, :1]), x[:, :-1]], axis=1))

    run = keraunos.compile(shifted, ids)
    assert run(np.array([[1, 2, 9]])).shape == (1, 3, 1)
    with pytest.raises(UsageError, match="received 3"):
        run(np.array([[1, 3, 0]]))


class Reading(layers.Layer):
    """A cell that looks up what it is given at each step."""

    state_size = output_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.table = layers.Embedding(3, 1, name="words")

    def call(self, inputs: Any, states: Any) -> Any:
        found = states[0] + self.table(ops.cast(inputs[:, 0], "int32"))
        return found, [found]


def test_ids_within_a_loop_are_looked_at() -> None:
    layer = layers.RNN(Reading())
    assert layer(np.array([[[1], [2]]], "float32")).shape == (1, 1)
    with pytest.raises(UsageError, match=r"words.*received 3"):
        layer(np.array([[[1], [3]]], "float32"))


def test_the_warm_way_of_predict_on_batch_checks_as_well() -> None:
    made = model()
    for _ in range(3):
        made.predict_on_batch(GOOD)
    with pytest.raises(UsageError, match="received 3"):
        made.predict_on_batch(GOOD + 1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32"])
def test_ids_of_every_type_are_checked(dtype: str) -> None:
    made = model(dtype)
    np.testing.assert_allclose(made(GOOD.astype(dtype)), [[40.0], [40.0]])
    with pytest.raises(UsageError, match="received 3"):
        made((GOOD + 1).astype(dtype))


def test_an_id_that_a_narrower_type_would_cut_is_an_error() -> None:
    with pytest.raises(UsageError, match="received 4294967296"):
        layers.Embedding(3, 1)(np.array([2**32]))


def test_every_column_is_held_against_its_own_table() -> None:
    x = keraunos.Input((2,), dtype="int32")
    parts = layers.Embedding(3, 1, name="a")(x[:, 0]), layers.Embedding(9, 1, name="b")(x[:, 1])
    made = keraunos.Model(x, layers.Concatenate()(list(parts)))
    made(np.array([[2, 8]], "int32"))
    with pytest.raises(UsageError, match=r'layer "a" .*received 3'):
        made(np.array([[3, 8]], "int32"))
    with pytest.raises(UsageError, match=r'layer "b" .*received 9'):
        made(np.array([[2, 9]], "int32"))


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize("wrong", [3, -1, 2**31, -(2**31), 2**63 - 1, -(2**63)])
def test_a_computed_id_outside_the_table_gives_nan(wrong: int, passes: str) -> None:
    embedding = layers.Embedding(3, 5)
    embedding.build()
    run = keraunos.compile(
        lambda x: embedding(x * 1 + 0), keraunos.KerasTensor((None,), "int64"), passes=passes
    )
    found = run(np.array([2, wrong]))
    np.testing.assert_array_equal(found[0], embedding.get_weights()[0][2])
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("width", [1, 5, 16])
def test_the_gradient_of_a_computed_id_outside_the_table_goes_nowhere(width: int) -> None:
    table = np.ones((3, width), "float32")

    def loss(table: Any, ids: Any) -> Any:
        rows = ops.take(table, ids + 0, axis=0)
        return ops.sum(ops.where(ops.isnan(rows), 0.0, rows))

    found = keraunos.grad(loss)(table, np.array([0, -1, 3, -4, 2**31 - 1, -(2**31)], "int32"))
    np.testing.assert_array_equal(found, np.repeat([[1.0], [0.0], [1.0]], width, 1))
