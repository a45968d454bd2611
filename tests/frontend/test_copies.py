"""Layers and models in copies and pickles: they compute, describe themselves and learn alike."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, ops
from keraunos.compiler.ir.types import FLOAT32

X = np.random.default_rng(0).random((8, 4)).astype("float32")
Y = X[:, :2]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


TWICE = pytest.mark.parametrize("twice", [pickled, copy.deepcopy])


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.inner(x)


def functional() -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, ops.tanh(layers.Dense(2)(layers.Dense(3, activation="relu")(x))))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "functional": functional,
    "sequential": lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
    "of its own": Own,
}


@TWICE
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_that_was_trained_goes_on_alike(make: Any, twice: Any) -> None:
    model = make()
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    other = twice(model)
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    found = [each.fit(X, Y, shuffle=False, verbose=0).history for each in (model, other)]
    assert found[0] == found[1]
    other.layers[-1].trainable = False
    assert model.layers[-1].trainable


def chain_of_layers(length: int) -> keras.Model:
    x = start = keras.Input((4,))
    for _ in range(length):
        x = layers.Add()([x, layers.Dense(4)(x)])
    return keras.Model(start, x)


def chain_of_functions(length: int) -> keras.Model:
    x = start = keras.Input((4,))
    for _ in range(length):
        x = ops.tanh(x + 1)
    return keras.Model(start, x)


def models_within_models(depth: int) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    for _ in range(depth):
        model = keras.Sequential([keras.Input((4,)), model])
    return model


@TWICE
@pytest.mark.parametrize("make", [chain_of_layers, chain_of_functions, models_within_models])
def test_copies_of_long_chains_need_no_deep_recursion(make: Any, twice: Any) -> None:
    model = make(150)
    other = twice(model)
    assert len(other.layers) == len(model.layers)
    graph, copied = keras.trace(model), keras.trace(other)
    assert str(copied).splitlines()[1:] == str(graph).splitlines()[1:]
    assert twice(graph) == graph


@TWICE
def test_a_copy_of_a_layer_is_without_the_models_around_it(twice: Any) -> None:
    model = chain_of_layers(150)
    last = model.layers[-2]
    other = twice(last)
    assert not other.inbound_nodes
    np.testing.assert_array_equal(other.get_weights()[0], last.get_weights()[0])
    layer, whole = twice((last, model))
    assert whole.layers[-2] is layer
    assert layer.output is layer.inbound_nodes[0].outputs


@TWICE
def test_copies_are_built_upon(twice: Any) -> None:
    """Parts of a copy, of tensors within; a stack one layer shorter, and longer."""
    whole = twice(chain_of_layers(3))
    part = keras.Model(whole.input, whole.layers[2].output)
    further = keras.Model(whole.input, layers.Dense(1)(whole.output))
    assert further.predict(X, verbose=0).shape == (8, 1)
    np.testing.assert_allclose(part(X), whole.layers[2]([X, whole.layers[1](X)]), rtol=1e-6)
    stack = twice(keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)]))
    stack.pop()
    stack.add(layers.Dense(5))
    assert stack(X).shape == (8, 5)
    assert twice(keras.Sequential([keras.Input((4,))])).start.batch_shape == (None, 4)


@TWICE
def test_a_layer_that_was_called_comes_back(twice: Any) -> None:
    layer = layers.Dense(3, activation="gelu")
    np.testing.assert_array_equal(twice(layer)(X).shape, (8, 3))
    expected = layer(X)
    np.testing.assert_array_equal(twice(layer)(X), expected)


@TWICE
def test_values_of_the_compiler_stay_what_they_are(twice: Any) -> None:
    """Ops and types are known by identity, equal nodes are one node, with the lines they had."""
    x = keras.Input((4,))
    node = ops.exp(x + 1.0).node
    other = twice(node)
    assert other.op is node.op
    assert other.dtype is FLOAT32
    assert other.origins == node.origins
    assert other.op(*other.inputs) is other


@TWICE
def test_programs_say_how_they_are_kept(twice: Any) -> None:
    with pytest.raises(TypeError, match=r"not copied or pickled.*save\(path\)"):
        twice(keras.compile(functional()))
