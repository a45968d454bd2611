"""Where the time of a call goes: every launch is there, and the parts fit the whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from keraunos.compiler.cpu.target import CpuTarget
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import layers_of, profile
from keraunos.compiler.target import Peaks
from keraunos.runtime.cpu.calibration import Figures
from keraunos.runtime.cpu.host import DESCRIBED

GRAPH = parse_ir("""
graph net(%x: f32[N, 64]) -> f32[N, 64] {
  $a.kernel : f32[64, 64]   # a
  %0 = matmul(%x, $a.kernel)   # a
  %1 = relu(%0)                # a
  %2 = matmul(%1, $a.kernel)   # b
  return %2
}
""")
IMAGES = parse_ir("""
graph images(%x: f32[N, 9, 9, 8]) -> f32[N, 5, 5, 8] {
  $kernel : f32[3, 3, 8, 8]
  %0 = conv2d(%x, $kernel)
  %1 = conv2d(%0, $kernel)
  return %1
}
""")
WEIGHTS = {"a.kernel": np.eye(64, dtype="float32")}


@pytest.fixture(scope="module")
def executable():
    made = compile_graph(GRAPH)
    made.set_parameters(WEIGHTS)
    return made


def test_each_launch_is_there_in_order(executable):
    found = profile(executable, np.ones((1, 64), "float32"), repeats=5)
    assert [launch.layers for launch in found.launches] == ["a", "b"]
    assert found.repeats == 5
    assert found.sizes == {"N": 1}
    assert found.launches[0].kernel in executable.source
    # A multiplication and an addition for each weight.
    assert found.launches[1].flops == 2 * 64 * 64


def test_shares_are_of_what_the_machine_reaches(executable):
    found = profile(executable, np.ones((256, 64), "float32"), repeats=3)
    assert found.peaks == executable.target.peaks(found.threads)
    for launch in found.launches:
        rates = launch.gflops_per_second, launch.gigabytes_per_second
        assert launch.compute_share == pytest.approx(rates[0] / found.peaks.gflops)
        assert launch.memory_share == pytest.approx(rates[1] / found.peaks.gbs)
        assert launch.limit == (
            "compute" if launch.compute_share >= launch.memory_share else "memory"
        )
    assert "of memory, an estimate; keraunos calibrate measures them." in " ".join(
        str(found).split()
    )


def test_a_kernel_that_only_moves_is_bound_by_memory():
    graph = parse_ir(
        "graph g(%x: f32[N, 64]) -> f32[64, N] {\n  %0 = transpose(%x, axes=(1, 0))\n  return %0\n}"
    )
    (launch,) = profile(compile_graph(graph), np.ones((512, 64), "float32"), repeats=2).launches
    assert (launch.compute_share, launch.limit) == (0.0, "memory")


@pytest.mark.smoke
def test_peaks_are_measured_or_estimated():
    machine = replace(DESCRIBED["avx2"], clock_ghz=2.5, core_gbs=8.0)
    guess = CpuTarget("cpu:avx2", machine).peaks(2)
    # Eight lanes, two vectors a cycle, a product and a sum each.
    assert guess == Peaks(2 * 2.5 * 8 * 2 * 2, 16.0, measured=False)
    found = CpuTarget("cpu:avx2", machine, Figures(80.0, 200.0, 4, 12.0, 9.0, 30.0, 1, True))
    assert [found.peaks(threads) for threads in (1, 2, 4)] == [
        Peaks(80.0, 12.0, measured=True),
        Peaks(120.0, 18.0, measured=True),
        Peaks(200.0, 30.0, measured=True),
    ]
    alone = CpuTarget("cpu:avx2", machine, Figures(80.0, 80.0, 1, 12.0, 9.0, 12.0, 1, True))
    assert alone.peaks(2) == Peaks(160.0, 24.0, measured=True)
    busy = CpuTarget("cpu:avx2", machine, Figures(80.0, 60.0, 2, 12.0, 9.0, 7.0, 1, True))
    assert busy.peaks(2) == busy.peaks(1) == Peaks(80.0, 12.0, measured=True)
    # Reports differ; programs do not.
    assert found == alone


def test_the_parts_add_up_to_less_than_the_call(executable):
    found = profile(executable, np.ones((512, 64), "float32"))
    outer = [launch for launch in found.launches if not launch.depth]
    assert all(launch.nanoseconds > 0 for launch in found.launches)
    assert sum(launch.share for launch in outer) < 1.2  # medians of different runs
    assert "threads start and join" in str(found)


def test_launches_in_a_tile_stand_below_it():
    tiled = compile_graph(IMAGES)
    tiled.set_parameters({"kernel": np.ones((3, 3, 8, 8), "float32")})
    found = profile(tiled, np.ones((64, 9, 9, 8), "float32"), repeats=3)
    tile, *inside = found.launches
    assert tile.has_body
    assert [launch.depth for launch in inside] == [1, 1]
    assert tile.flops == sum(launch.flops for launch in inside)
    lines = str(found).splitlines()
    assert "at a time through 2 launches" in lines[4]
    assert lines[5].startswith("  ")


def test_the_dictionary_is_json(executable):
    found = profile(executable, np.ones((2, 64), "float32"), repeats=2).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert {"kernel", "layers", "nanoseconds", "gflops_per_second"} <= found["launches"][0].keys()


def test_profiling_gives_the_runs_nothing_wrong_to_do(executable):
    x = np.random.default_rng(0).standard_normal((6, 64)).astype("float32")
    before = executable(x)[0]
    profile(executable, x, repeats=2)
    np.testing.assert_array_equal(executable(x)[0], before)


def test_wrong_calls_are_refused(executable):
    with pytest.raises(ValueError, match="repeats: expected 1 or more, got 0"):
        profile(executable, np.ones((1, 64), "float32"), repeats=0)
    with pytest.raises(ValueError, match=r"expected shape \(N, 64\)"):
        profile(executable, np.ones((1, 63), "float32"))


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("label", "layers"),
    [("conv2d+add (a, b)", "a, b"), ("conv2d", ""), ("pack (matmul (a))", "matmul (a)")],
)
def test_layers_of_a_label(label, layers):
    assert layers_of(label) == layers
