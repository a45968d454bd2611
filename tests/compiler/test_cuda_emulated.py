"""Models for GPUs on the emulator give what the CPU gives, by accesses that are all allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from op_cases import CASES, Case
from tiers import deep

import keraunos as keras
from keraunos import layers
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.kinds import Leaf, Projection, Region
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.dump import dump
from keraunos.compiler.report.profile import profile
from keraunos.frontend.programs import TracedProgram
from keraunos.runtime.cuda.device import emulator

TARGET = "cuda-emulated"


def cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, 3, padding="same"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def recurrent() -> Any:
    return keras.Sequential(
        [keras.Input((6, 5)), layers.LSTM(7, return_sequences=True), layers.GRU(4)]
    )


@pytest.mark.parametrize("make", [cnn, *deep(recurrent, when=True)])
def test_models_give_what_they_give_on_the_cpu(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(1)
    model = make()
    run, here = keras.compile(model, target=TARGET), keras.compile(model)
    rng = np.random.default_rng(0)
    for batch in (3, 1):  # from one compilation
        x = rng.normal(size=(batch, *model.input_shape[1:])).astype("float32")
        there = run(x)
        np.testing.assert_allclose(there, here(x), rtol=2e-5, atol=2e-6)
        with monkeypatch.context() as patch:
            patch.setattr(emulator(), "backwards", True)
            np.testing.assert_array_equal(run(x), there)  # whoever comes first


def test_a_step_of_training_updates_weights() -> None:
    values = []
    for target in (TARGET, "cpu"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        model.compile("sgd", "mse")
        step = model.training_step(np.ones((2, 4), "float32"), np.zeros((2, 3), "float32"))
        made = compile_graph(step.traced.graph, target=target, state=step.traced.state())
        run = TracedProgram(step.traced, made)
        results = [run(*step.arrays) for _ in range(2)]
        values.append([*(r for each in results for r in each), *model.get_weights()])
    for there, here in zip(*values, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)


SUMS = """graph sums(%x: f32[N, 8]) -> f32[N] {
  %0 = exp(%x)
  %1 = sum(%0, axes=(1,), keepdims=False)
  return %1
}"""


def test_what_is_compiled_is_shown(tmp_path: Path) -> None:
    x = np.ones((2, 8), "float32")
    run = compile_graph(parse_ir(SUMS), target=TARGET)
    np.testing.assert_allclose(run(x)[0], 8 * np.exp(np.ones(2)), rtol=1e-5)
    assert profile(run, x, repeats=1).launches
    far = compile_graph(parse_ir(SUMS), target="cuda:sm_80")
    for made, architecture in ((run, "sm_90a"), (far, "sm_80")):
        texts = [path.read_text() for path in dump(made, tmp_path) if path.suffix == ".ptx"]
        assert len(texts) == len(made.program.kernels)
        assert all(f".target {architecture}" in text for text in texts)


def test_without_a_card_the_error_names_what_runs_here() -> None:
    run = compile_graph(parse_ir(SUMS), target="cuda")
    with pytest.raises(ValueError, match=r"'cuda:sm_90a', which this machine does not.*'cuda-emul"):
        run(np.ones((2, 8), "float32"))


RUN = [
    case
    for case in CASES
    if not isinstance(case.op.kind, (Leaf, Region, Projection)) and "winograd" not in case.op.name
]
OPS = [each for number, case in enumerate(RUN) for each in deep(case, when=number % 20 > 0)]


@pytest.mark.parametrize("case", OPS, ids=lambda case: case.op.name)
def test_ops_agree_with_their_references(case: Case) -> None:
    arrays = case.arrays()
    (expected,) = case.run(case.node, arrays=arrays)
    (actual,) = compile_graph(Graph("op", case.inputs, (case.node,)), target=TARGET)(*arrays)
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    if case.node.dtype.is_float:
        tolerance = 2e-2 if expected.dtype.itemsize == 2 else 3e-5
        floats = (each.astype("float64") for each in (actual, expected))
        np.testing.assert_allclose(*floats, rtol=tolerance, atol=1e-5)
    else:
        np.testing.assert_array_equal(actual, expected)
