"""Models within models within models: as deep as anyone likes, within Python's usual limit."""

import sys
from pathlib import Path

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers

DEPTH = 120  # ten frames each would be more than Python allows
X = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)


def sequential() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    for _ in range(DEPTH):
        model = keras.Sequential([keras.Input((4,)), model])
    return model


def sequential_built_late() -> keras.Model:
    model = keras.Sequential([layers.Dense(4)])
    for _ in range(DEPTH):
        model = keras.Sequential([model])
    model.build((None, 4))
    return model


def functional() -> keras.Model:
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(4)(x))
    for _ in range(DEPTH):
        x = keras.Input((4,))
        model = keras.Model(x, model(x))
    return model


class Around(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def subclassed() -> keras.Model:
    model = layers.Dense(4)
    for _ in range(DEPTH):
        model = Around(model)
    model(X)
    return model


@pytest.mark.parametrize("make", [sequential, sequential_built_late, functional, subclassed])
def test_deep_nestings_do_all_that_flat_models_do(make, tmp_path: Path) -> None:
    assert sys.getrecursionlimit() <= 1000
    model = make()
    kernel, bias = model.get_weights()
    expected = X @ kernel + bias
    np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.save_weights(tmp_path / "deep.weights.h5")
    model.set_weights([kernel * 0, bias])
    model.load_weights(tmp_path / "deep.weights.h5")
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    lines: list[str] = []
    model.summary(print_fn=lines.append, expand_nested=True)
    assert "Total params: 20" in lines[0]
    model.compile("sgd", "mse")
    model.train_on_batch(X, X)
    assert not np.array_equal(model.get_weights()[0], kernel)
    model.trainable = False
    assert model.trainable_weights == []


def test_lists_as_deep_are_searched_for_weights() -> None:
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)
            self.kept = [layers.Dense(3)]
            for _ in range(2000):
                self.kept = [self.kept]

        def call(self, x):
            return self.dense(x)

    model = Holder()
    assert len(model.layers) == 2


def test_an_error_at_the_bottom_comes_through() -> None:
    class Failing(keras.layers.Layer):
        def call(self, x):
            raise KeyError("at the bottom")

    model = Failing()
    for _ in range(DEPTH):
        model = Around(model)
    with pytest.raises(KeyError, match="at the bottom"):
        model(X)
