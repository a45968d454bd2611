"""Where the time of a call goes: every launch is there, and the parts fit the whole."""

import json

import numpy as np
import pytest

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import layers_of, profile

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


def test_the_parts_add_up_to_less_than_the_call(executable):
    found = profile(executable, np.ones((512, 64), "float32"))
    outer = [launch for launch in found.launches if not launch.depth]
    assert all(launch.nanoseconds > 0 for launch in found.launches)
    assert sum(launch.share for launch in outer) < 1.2  # medians of different runs
    assert "starting and joining threads" in str(found)


def test_launches_in_a_tile_stand_below_it():
    tiled = compile_graph(IMAGES)
    tiled.set_parameters({"kernel": np.ones((3, 3, 8, 8), "float32")})
    found = profile(tiled, np.ones((64, 9, 9, 8), "float32"), repeats=3)
    tile, *inside = found.launches
    assert tile.has_parts
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
