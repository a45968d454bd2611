"""Variants of one graph: what is left out, what is measured, what is refused."""

import json
import re

import numpy as np
import pytest

import keraunos as keras
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.compare import _difference, compare_graph
from keraunos.compiler.report.comparison import Comparison, Variant

GRAPH = parse_ir("""
graph net(%x: f32[N, 8]) -> f32[N, 8] {
  $a.kernel : f32[8, 8]
  %0 = matmul(%x, $a.kernel)
  %1 = relu(%0)
  %2 = exp(%1)
  return %2
}
""")
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((4, 8)).astype("float32")
WEIGHTS = {"a.kernel": RANDOM.standard_normal((8, 8)).astype("float32") * 0.1}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare_graph(GRAPH, [X], WEIGHTS, repeats=2)


def test_each_pass_that_changes_something_is_a_row(comparison):
    names = [variant.name for variant in comparison.variants]
    assert names[0] == "none"
    assert "+fuse" in names
    assert comparison.same["default"] in names
    assert "+fold_batch_norm" in comparison.same


def test_fusing_saves_launches_and_memory(comparison):
    none, fused = comparison["none"], comparison["+fuse"]
    assert (none.launches, fused.launches) == (3, 1)
    # x and the weights once, the result once; unfused two values more, written and read.
    assert none.bytes_moved - fused.bytes_moved == 4 * X.nbytes
    assert comparison["default"].launches == 1


def test_every_variant_is_right(comparison):
    expected = np.exp(np.maximum(X.astype("f8") @ WEIGHTS["a.kernel"].astype("f8"), 0))
    for variant in comparison.variants:
        assert 0 < variant.error < 1e-6 * expected.max()


def test_the_table_and_the_dictionary(comparison):
    text = str(comparison)
    assert text.startswith("net (N=4)\n")
    (note,) = re.findall(r"Passes that changed nothing: (.*?)\.\n", text, re.DOTALL)
    idle = note.replace("\n", " ").split(", ")
    assert {f"+{name}" for name in idle} == comparison.same.keys() - {"default"}
    assert not {line.split()[0] for line in text.split("\n\n")[1].splitlines()} & set(idle)
    assert max(map(len, text.splitlines())) <= 100
    found = comparison.to_dict()
    assert json.loads(json.dumps(found))["sizes"] == {"N": 4}
    assert [each["name"] for each in found["variants"]] == [v.name for v in comparison.variants]


def test_variants_of_ones_own_are_all_kept():
    chosen = {"default": {}, "no fusion": {"disable": ("fuse",)}, "again": {}}
    comparison = compare_graph(GRAPH, [X], WEIGHTS, chosen, repeats=1)
    assert [variant.name for variant in comparison.variants] == list(chosen)
    assert comparison.baseline.name == "default"
    assert "vs default" in str(comparison)


def test_names_choose_among_the_variants():
    comparison = compare_graph(GRAPH, [X], WEIGHTS, ["none", "default"], 1, reference=False)
    assert [variant.name for variant in comparison.variants] == ["none", "default"]
    assert comparison["none"].error is None


def test_of_loops_it_is_shown_what_becomes_of_them():
    model = keras.Sequential([keras.Input((3, 8)), keras.layers.SimpleRNN(8)])
    found = keras.compare(model, np.ones((2, 3, 8), "float32"), repeats=1)
    shown = [*(variant.name for variant in found.variants), *found.same]
    assert set(shown) == {"rolled", "hoisted", "cell fused", "unrolled", "wavefront", "default"}
    assert found["unrolled"].launches != found["cell fused"].launches
    assert all(variant.error < 1e-5 for variant in found.variants)
    chosen = keras.compare(model, np.ones((2, 3, 8), "float32"), ["none", "unrolled"], repeats=1)
    assert [variant.name for variant in chosen.variants] == ["none", "unrolled"]


def test_wrong_variants_and_repeats_are_refused():
    with pytest.raises(ValueError, match=r"got 'fuse'; did you mean \+fuse"):
        compare_graph(GRAPH, [X], WEIGHTS, ["fuse"])
    with pytest.raises(ValueError, match="at least one variant"):
        compare_graph(GRAPH, [X], WEIGHTS, [])
    with pytest.raises(ValueError, match="repeats: expected 1 or more, got 0"):
        compare_graph(GRAPH, [X], WEIGHTS, repeats=0)


@pytest.mark.smoke
def test_differences_see_what_is_not_finite():
    nan, inf = np.nan, np.inf
    expected = np.array([1.0, nan, inf, 2.0])
    assert _difference(np.array([1.0, nan, inf, 2.5], "f4"), expected) == 0.5
    assert _difference(np.array([1.0, 0.0, inf, 2.0], "f4"), expected) == inf
    assert _difference(np.array([1.0, nan, -inf, 2.0], "f4"), expected) == inf
    assert _difference(np.array([True, False]), np.array([True, True])) == 1.0


def variant(name: str, seconds: tuple[float, ...]) -> Variant:
    return Variant(name, {}, seconds, 1, 1, 0, 0.0, 0, 0.0)


@pytest.mark.smoke
def test_wide_times_are_called_out():
    calm = Comparison("net", {}, (variant("none", (0.99, 1.0, 1.01)),), {})
    busy = Comparison("net", {}, (variant("none", (1.0, 2.0, 9.0)),), {})
    assert "busy" not in str(calm)
    assert "busy" in str(busy)
    assert busy["none"].spread == pytest.approx((5.5 - 1.5) / 2 / 2)
    with pytest.raises(KeyError, match="none"):
        busy["nothing"]
