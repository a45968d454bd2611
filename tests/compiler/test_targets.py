"""Targets by name: compiled for on any machine, run where there are such vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from machines import target_of

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.graph import IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.pipeline import NEUTRAL
from keraunos.compiler.report.dump import dump
from keraunos.compiler.report.explain import explain
from keraunos.compiler.targets import CPU_NAMES, NAMES, target_named
from keraunos.runtime.cpu.host import DESCRIBED, host
from keraunos.runtime.devices import targets_here
from keraunos.runtime.executor import Executor

GRAPH = parse_ir("""graph g(%x: f32[N, 12, 12, 24]) -> f32[N, 12, 12, 40] {
  $k : f32[3, 3, 24, 40]
  %0 = conv2d(%x, $k, padding="same")
  %1 = relu(%0)
  return %1
}""")
FOREIGN = next(name for name in CPU_NAMES[1:] if name not in targets_here())


@pytest.mark.parametrize("name", CPU_NAMES)
def test_every_target_can_be_compiled_for_here(name: str) -> None:
    made = compile_graph(GRAPH, target=name)
    assert made.program.target == (name if name != "cpu" else f"cpu:{host().vectors}")
    lanes = host().lanes if name == "cpu" else DESCRIBED[name.partition(":")[2]].lanes
    assert all(f"for {lanes} float32 lanes" in text for text in made.source.values())
    assert made.report.kernels == len(made.source) and made.report.arena_bytes >= 0
    assert explain(made).to_dict()


def test_before_a_targets_own_passes_the_graph_is_the_same() -> None:
    last = NEUTRAL[-1].__name__
    graphs = {compile_graph(GRAPH, target=name).stages[last] for name in NAMES}
    assert len(graphs) == 1
    # 24 channels are whole vectors of eight, not of sixteen.
    ops = {
        name: {node.op.name for node in compile_graph(GRAPH, target=name).stages["winograd"].nodes}
        for name in ("cpu:avx2", "cpu:avx512")
    }
    assert "winograd_conv2d" in ops["cpu:avx2"] - ops["cpu:avx512"]


def test_what_another_machine_runs_is_not_run_here() -> None:
    made = compile_graph(GRAPH, target=FOREIGN)
    x = np.zeros((1, 12, 12, 24), "float32")
    for act in (
        lambda: made.set_parameters({"k": np.zeros((3, 3, 24, 40), "float32")}),
        lambda: made.state,
        lambda: made.source_path,
        lambda: made.executor(x),
    ):
        with pytest.raises(IRError, match=f"compiled for '{FOREIGN}', which this machine does not"):
            act()
    with pytest.raises(ValueError, match=f"got one for '{FOREIGN}'"):
        Executor(made.program)


def test_dumps_for_another_machine_have_no_instructions(tmp_path: Path) -> None:
    written = dump(compile_graph(GRAPH, target=FOREIGN), tmp_path)
    kinds = {path.suffix for path in written}
    assert ".py" in kinds and ".ir" in kinds and ".s" not in kinds


def test_a_described_machine_with_vectors_as_here_is_run() -> None:
    usual = target_of(replace(DESCRIBED[host().vectors], l2_bytes=host().l2_bytes))
    made = compile_graph(GRAPH, target=usual)
    x, k = (np.random.default_rng(0).normal(size=s).astype("float32") for s in
            ((3, 12, 12, 24), (3, 3, 24, 40)))  # fmt: skip
    here = compile_graph(GRAPH)
    for run in (made, here):
        run.set_parameters({"k": k})
    np.testing.assert_allclose(made(x)[0], here(x)[0], rtol=1e-4, atol=1e-4)


def test_there_is_no_other_target() -> None:
    with pytest.raises(IRError, match=r"expected one of 'cpu', .*; got 'cpu:avx3'; did you mean"):
        target_named("cpu:avx3")
