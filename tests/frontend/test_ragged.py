"""Sequences of different lengths where an array is expected: an error that says how to pad."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops, utils

LISTS = [[1, 2, 0], [2, 1], [1], [0, 0]]
ARRAYS = [np.array(row) for row in LISTS]
TARGETS = np.zeros((4, 1), "float32")


def of_objects(rows: list[Any]) -> np.ndarray:
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


DATA = {
    "lists": LISTS,
    "tuples": tuple(map(tuple, LISTS)),
    "arrays": ARRAYS,
    "objects": of_objects(LISTS),
    "objects_of_arrays": of_objects(ARRAYS),
}
WAYS = {
    "call": lambda m, x: m(x),
    "predict": lambda m, x: m.predict(x, verbose=0),
    "predict_on_batch": lambda m, x: m.predict_on_batch(x),
    "predict_generator": lambda m, x: m.predict(iter([x]), verbose=0),
    "fit": lambda m, x: m.fit(x, TARGETS, verbose=0),
    "fit_generator": lambda m, x: m.fit(iter([(x, TARGETS)]), verbose=0),
    "validation": lambda m, x: m.fit(TARGETS, TARGETS, validation_data=(x, TARGETS), verbose=0),
    "evaluate": lambda m, x: m.evaluate(x, TARGETS, verbose=0),
    "evaluate_generator": lambda m, x: m.evaluate(iter([(x, TARGETS)]), verbose=0),
    "train_on_batch": lambda m, x: m.train_on_batch(x, TARGETS),
    "test_on_batch": lambda m, x: m.test_on_batch(x, TARGETS),
    "compile": lambda m, x: keraunos.compile(m)(x),
    "layer": lambda m, x: m.layers[0](x),
    "op": lambda m, x: ops.add(x, 1),
}


def model(has_input: bool) -> Any:
    start = [keraunos.Input((None,), dtype="int32")] if has_input else []
    rest = [layers.Embedding(3, 1), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    made = keraunos.Sequential([*start, *rest])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("has_input", [True, False])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("way", WAYS)
def test_rows_of_different_lengths_are_told_how_to_be_padded(
    way: str, data: str, has_input: bool
) -> None:
    made = model(has_input or way == "compile")
    with pytest.raises((TypeError, ValueError), match=r"keraunos.utils.pad_sequences\(x\)"):
        WAYS[way](made, DATA[data])


def test_padded_they_are_data() -> None:
    padded = utils.pad_sequences(LISTS)
    assert model(True)(padded).shape == (4, 1)
