"""A machine's figures: what they are made of, where they are kept, and what they decide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from keraunos.compiler import targets
from keraunos.compiler.cpu import calibrate
from keraunos.compiler.cpu.engines.fma import Fma
from keraunos.compiler.cpu.target import CpuTarget
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.targets import target_named
from keraunos.frontend.cli import main as cli
from keraunos.runtime.config import config
from keraunos.runtime.cpu import calibration
from keraunos.runtime.cpu.calibration import Figures, figures, keep_figures
from keraunos.runtime.cpu.host import WIDE, host

MEASURED = Figures(88.5, 170.0, 2, 14.5, 13.0, 26.0, 4, False)
GRAPH = """graph g(%x: f32[N, 64]) -> f32[N, 40] {
  $k : f32[64, 40]
  %0 = matmul(%x, $k)
  return %0
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Any:
    with config.update(cache_dir=tmp_path / "kernels"):
        yield tmp_path / "kernels"


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose table says: one step, and weights asked for ahead; nothing is compiled."""
    monkeypatch.setattr(calibrate, "host", lambda: replace(host(), issue_width=WIDE))
    monkeypatch.setattr(calibrate, "_product", lambda machine, size, _: (machine, size))
    monkeypatch.setattr(calibrate, "_memory", lambda: ("read", "write"))
    monkeypatch.setattr(calibrate, "_memory_of_all", lambda pool, threads: f"read by {threads}")


def measured(seconds: dict[tuple[Any, ...], float]) -> calibrate.Measure:
    """A stand-in for the clock: so long does each take, by loop and size or by name."""

    def measure(runs: Any, clock: Any) -> list[float]:
        found = []
        for run in runs:
            if isinstance(run, str):
                found.append(seconds.get((run,), 0.5))
                continue
            kind, size = run
            engine = Fma(machine=kind)
            found.append(seconds.get((engine.unrolled, engine.prefetches, size), 1.0))
        return found

    return measure


def test_the_fastest_loop_is_chosen_and_figures_are_rates(wide: None) -> None:
    in_cache, in_memory, pool = calibrate.IN_CACHE, calibrate.IN_MEMORY, calibrate.POOL
    times = {(2, False, in_cache): 0.5, (2, False, in_memory): 0.9, (4, False, in_cache): 0.4}
    times |= {(4, False, in_memory): 1.6, (2, False, pool): 2.0, ("read",): 0.25, ("write",): 4.0}
    times[f"read by {config.threads}",] = 0.125
    found = calibrate.calibrate(compile_graph, measured(times))
    assert (found.unrolled, found.prefetches) == (2, False)
    assert found.thread_gflops == pytest.approx(2 * np.prod(in_cache) / 0.4 / 1e9)
    assert found.pool_gflops == pytest.approx(2 * np.prod(pool) / 2 / 1e9)
    assert found.read_gbs == pytest.approx(16 * found.write_gbs)
    assert found.team_read_gbs == pytest.approx(2 * found.read_gbs)
    assert found.threads == config.threads


def test_a_loop_that_is_hardly_faster_leaves_the_table_as_it_is(wide: None) -> None:
    found = calibrate.calibrate(compile_graph, measured({(4, False, calibrate.IN_CACHE): 0.97}))
    assert (found.unrolled, found.prefetches) == (1, True)


def test_the_fastest_of_many_runs_counts() -> None:
    ticks, lengths = [0.0], iter([3.0, 1.0, 2.0])

    def run() -> None:
        ticks[0] += next(lengths, 5.0)

    assert calibrate.fastest([run], lambda: ticks[0]) == [1.0]


def test_what_was_not_measured_changes_nothing() -> None:
    assert figures() is None
    assert target_named("cpu").machine == host()


def test_figures_are_kept_and_describe_the_machine(folder: Path) -> None:
    path = keep_figures(MEASURED)
    assert path.parent == folder
    assert figures() == MEASURED
    assert target_named("cpu").machine == replace(host(), unrolled=4, prefetches=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps(MEASURED.to_dict() | {"unrolled": 10**6}).encode(),
        json.dumps(MEASURED.to_dict() | {"unrolled": True}).encode(),
        json.dumps(MEASURED.to_dict() | {"unrolled": 0}).encode(),
        json.dumps(MEASURED.to_dict() | {"read_gbs": float("nan")}).encode(),
        json.dumps(MEASURED.to_dict() | {"prefetches": "yes"}).encode(),
        json.dumps(MEASURED.to_dict() | {"more": 1}).encode(),
    ],
)
def test_a_damaged_file_is_passed_over_with_a_line(
    content: bytes, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_figures(MEASURED).write_bytes(content)
    assert figures() is None
    assert target_named("cpu").machine == host()
    (line,) = caplog.messages
    assert calibration.file_name() in line
    assert "\n" not in line


def test_what_others_may_write_is_passed_over(folder: Path) -> None:
    keep_figures(MEASURED).chmod(0o666)
    assert figures() is None


def test_another_processor_has_figures_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_figures(MEASURED)
    monkeypatch.setattr(calibration, "_processor", lambda: "model name : another")
    calibration._found.cache_clear()
    assert figures() is None


def test_kernels_are_others_once_a_machine_is_measured_and_compute_the_same() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 40)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((9, 64)).astype(np.float32)
    sources, results = [], []
    usual = replace(host(), issue_width=WIDE)
    runs = [compile_graph(parse_ir(GRAPH), target=CpuTarget("cpu:" + usual.vectors, usual))]
    keep_figures(MEASURED)
    runs.append(compile_graph(parse_ir(GRAPH)))
    for run in runs:
        run.set_parameters({"k": weights})
        sources.append("".join(run.source.values()))
        results += run(x)
    assert "prefetch(" in sources[0]
    assert "// 4 * 4" in sources[1]
    assert "prefetch(" not in sources[1]
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)


def test_the_command_shows_and_keeps_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "calibrate", lambda compiled: MEASURED)
    shown = CliRunner().invoke(cli.app, ["calibrate"]).stdout
    assert "88.5 GFLOP/s" in shown
    assert "4 unrolled steps of a sum, weights not prefetched" in shown
    assert figures() == MEASURED
    found = CliRunner().invoke(cli.app, ["calibrate", "--json"]).stdout
    assert json.loads(found) == MEASURED.to_dict()
