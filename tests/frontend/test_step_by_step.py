"""Decoding step by step: one native call a step, and nothing traced after the first."""

import numpy as np
from counting import counted_calls

import keraunos as keras
from keraunos import layers
from keraunos.compiler.executable import Executable


def test_each_step_is_one_call_of_one_program():
    token, *states = (keras.Input(shape) for shape in ((None,), (6,), (6,)))
    embedded = layers.Embedding(9, 4)(token)
    outputs, *last = layers.LSTM(6, return_sequences=True, return_state=True)(
        embedded, initial_state=states
    )
    decoder = keras.Model([token, *states], [layers.Dense(9)(outputs), *last])
    letters, state = np.zeros((2, 1), "int32"), [np.zeros((2, 6), "float32")] * 2
    decoder.predict_on_batch([letters, *state])
    before = set(map(id, (kept for group in decoder.programs.values() for kept in group)))
    with counted_calls() as calls:
        for _ in range(5):
            scores, *state = decoder.predict_on_batch([letters, *state])
            letters = scores[:, -1:].argmax(-1)
    made = Executable.__call__.__code__
    called = calls.by_function[made.co_filename, made.co_firstlineno, made.co_name]
    assert called == 5
    assert {id(kept) for group in decoder.programs.values() for kept in group} == before
