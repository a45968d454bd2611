"""float16 and bfloat16 by every way that Keras has: ops, inputs, layers, training, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.ir.evaluate import evaluate

HALVES = pytest.mark.parametrize("half", ["float16", "bfloat16"])
X = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")


@pytest.fixture
def default_float() -> Iterator[None]:
    yield
    keras.set_floatx("float32")


@HALVES
def test_names(half: str) -> None:
    assert keras.backend.standardize_dtype(half) == half
    assert keras.backend.standardize_dtype(np.dtype(half)) == half
    assert keras.Input((3,), dtype=half).dtype == half
    assert ops.cast(X, half).dtype == half
    assert ops.convert_to_tensor(X.tolist(), half).dtype == half
    assert keras.Variable(X, dtype=half).dtype == half


@HALVES
def test_casts_round_to_the_nearest(half: str) -> None:
    np.testing.assert_array_equal(ops.cast(X, half), X.astype(half))
    wide = keras.compile(lambda x: ops.cast(x, half), X)(X)
    np.testing.assert_array_equal(wide, X.astype(half))
    back = keras.compile(lambda x: ops.cast(x, "int32"), wide)(wide)
    np.testing.assert_array_equal(back, wide.astype("float32").astype("int32"))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float16", "bfloat16", "float32"),
        ("float16", "float32", "float32"),
        ("bfloat16", "float32", "float32"),
        ("bfloat16", "int64", "bfloat16"),
        ("int32", "float16", "float16"),
        ("bool", "bfloat16", "bfloat16"),
    ],
)
def test_promotion_is_that_of_keras(left: str, right: str, expected: str) -> None:
    assert ops.add(X.astype(left), X.astype(right)).dtype == expected


@HALVES
@pytest.mark.parametrize("number", [True, 2, 0.5])
def test_python_numbers_leave_the_type(half: str, number: Any) -> None:
    x = X.astype(half)
    found = ops.add(x, number)
    assert found.dtype == half
    np.testing.assert_array_equal(found, (x.astype("float32") + number).astype(half))


@HALVES
def test_each_op_rounds_once(half: str) -> None:
    """Eager, compiled and interpreted alike, whatever is fused."""

    def function(x: Any) -> Any:
        return ops.exp(x * 3 + x) / 7

    x = X.astype(half)
    step = (x.astype("float32") * 3).astype(half)
    step = (step.astype("float32") + x.astype("float32")).astype(half)
    expected = np.exp(step.astype("float32")).astype(half).astype("float32") / 7
    compiled = keras.compile(function, x)
    assert len(compiled.program.kernels) == 1
    (interpreted,) = evaluate(keras.trace(function, x), [x])
    np.testing.assert_array_equal(interpreted, expected.astype(half))
    np.testing.assert_array_equal(compiled(x), interpreted)


@HALVES
def test_nan_to_num_knows_the_largest(half: str) -> None:
    found = ops.nan_to_num(np.array([np.nan, np.inf, -np.inf], half))
    assert np.isfinite(found.astype("float32")).all()
    assert found[1] > 6e4


def small(half: str) -> Any:
    inputs = keras.Input((3,), dtype=half)
    hidden = layers.Dense(4, activation="relu", dtype=half)(inputs)
    hidden = layers.LayerNormalization(dtype=half)(hidden)
    return keras.Model(inputs, layers.Dense(2, dtype=half)(hidden))


@HALVES
def test_a_model_is_near_that_of_float32(half: str) -> None:
    model, wide = small(half), small("float32")
    wide.set_weights([weight.astype("float32") for weight in model.get_weights()])
    found, expected = model.predict(X, verbose=0), wide.predict(X.astype(half), verbose=0)
    assert found.dtype == half
    np.testing.assert_allclose(found.astype("float32"), expected, rtol=0.05, atol=0.05)
    np.testing.assert_array_equal(model(X), found)


@pytest.mark.parametrize("half", [pytest.param("float16", marks=pytest.mark.slow), "bfloat16"])
def test_a_model_learns(half: str) -> None:
    model = small(half)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(X, np.ones((5, 2)), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert {weight.dtype.name for weight in model.get_weights()} == {half}


@HALVES
def test_weights_come_back_from_files(half: str, tmp_path: Path) -> None:
    model, other, wide = small(half), small(half), small("float32")
    path = str(tmp_path / "half.weights.h5")
    model.save_weights(path)
    for each in (other, wide):
        each.load_weights(path)
        for found, expected in zip(each.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected.astype(found.dtype))


@pytest.mark.parametrize("half", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("default_float")
def test_a_half_type_may_be_the_default(half: str) -> None:
    keras.set_floatx(half)
    assert keras.backend.floatx() == half
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images = np.random.default_rng(0).random((6, 4, 4, 1))
    history = model.fit(images, np.arange(6) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.predict(images, verbose=0).dtype == half
    assert ops.ones((2,)).dtype == half
    assert keras.random.normal((2,)).dtype == half


def test_an_integer_is_no_default_float() -> None:
    with pytest.raises(ValueError, match=r"floatx: expected one of 'float32', .*received 'int32'"):
        keras.set_floatx("int32")


def test_mixed_policies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"received the policy 'mixed_bfloat16'. Give dtype='bf"):
        layers.Dense(2, dtype="mixed_bfloat16")
