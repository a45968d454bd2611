"""What is not finite reaches the results that it is a part of, and no others, by any passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from here import HERE

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.pipeline import mandatory, stage_names

IMAGE = "%x: f32[N, 7, 6, 5]"
CASES = {
    "strided": (IMAGE, "%k: f32[3, 2, 5, 9]", 'conv2d(%x, %k, strides=(2, 1), padding="same")'),
    "dilated": (IMAGE, "%k: f32[2, 3, 5, 3]", "conv2d(%x, %k, dilation=(2, 2))"),
    "groups": (
        "%x: f32[N, 7, 6, 4]",
        "%k: f32[3, 3, 2, 6]",
        'conv2d(%x, %k, groups=2, padding="same")',
    ),
    "sequence": ("%x: f32[N, 9, 5]", "%k: f32[3, 5, 7]", 'conv1d(%x, %k, padding="same")'),
    "depthwise": (IMAGE, "%k: f32[3, 3, 5, 2]", 'depthwise_conv2d(%x, %k, padding="same")'),
    "transposed": (
        IMAGE,
        "%k: f32[3, 4, 9, 5]",
        'conv2d_transpose(%x, %k, strides=(2, 3), padding="same")',
    ),
    "maximum": (
        IMAGE,
        "%k: f32[5]",
        'max_pool2d(%x, window=(3, 3), strides=(2, 2), padding="same")',
    ),
    "mean": (IMAGE, "%k: f32[5]", 'avg_pool2d(%x, window=(3, 3), strides=(1, 2), padding="same")'),
    "product": ("%x: f32[N, 7, 21]", "%k: f32[21, 19]", "matmul(%x, %k)"),
}
NEEDED = {run.__name__ for run in mandatory(HERE)}  # kernels cannot do without
OPTIONAL = [name for name in stage_names(HERE) if name not in NEEDED]
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"passes": "none"}, {"disable": ["unpad", "fuse"]})


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_finite_stays_where_it_belongs(name: str) -> None:
    x, k, op = CASES[name]
    graph = parse_ir(f"graph g({x}, {k}) {{ %y = {op} return %y }}")
    runs = [compile_graph(graph, **options) for options in OPTIONS]
    rng = np.random.default_rng(0)
    shapes = [[n if isinstance(n, int) else 3 for n in i.shape] for i in graph.inputs]
    for place in (0, 1, -1):
        for value in (np.nan, np.inf, -np.inf):
            arrays = [rng.uniform(0.5, 1, shape).astype(np.float32) for shape in shapes]
            arrays[0][(1, *(place % n for n in shapes[0][1:]))] = value
            (expected,) = evaluate(graph, arrays, dtype="float64")
            assert np.isfinite(expected[[0, 2]]).all()
            for run in runs:
                np.testing.assert_allclose(run(*arrays)[0], expected, rtol=1e-5)


FACTORED = """
graph g(%x: f32[N, 8, 8, 3], %s: f32[3]) {
  %0 = sum(%x, axes=(0, 1, 2))
  %1 = multiply(%x, %s)
  %2 = sum(%1, axes=(0, 1, 2))
  return %0, %2
}
"""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_factor_that_is_not_finite_spoils_the_sums_it_belongs_to(value: float) -> None:
    """Taken out of a sum it may give infinity for NaN, as NUMERICS.md says, but nothing finite."""
    graph = parse_ir(FACTORED)
    runs = [compile_graph(graph, **options) for options in OPTIONS]
    x = np.random.default_rng(0).uniform(0.5, 1, (3, 8, 8, 3)).astype(np.float32)
    x[1] *= -1
    spoiled = x.copy()
    spoiled[1, 2, 3, 1] = value
    scale, ones = np.array([3, value, 2], np.float32), np.ones(3, np.float32)
    for arrays in ((x, scale), (spoiled, ones), (spoiled, scale)):
        expected = evaluate(graph, arrays, dtype="float64")
        for run in runs:
            for found, wanted in zip(run(*arrays), expected, strict=True):
                np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
                fit = np.isfinite(wanted)
                np.testing.assert_allclose(found[fit], wanted[fit], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_a_weight_that_is_not_finite_spoils_what_it_meets(
    value: float, strides: tuple[int, int]
) -> None:
    """What it meets in padding alone may be as without it, as NUMERICS.md says."""
    text = f'%y = conv2d(%x, %k, strides={strides}, padding="same")'
    graph = parse_ir(f"graph g(%x: f32[N, 6, 7, 4], %k: f32[3, 3, 4, 5]) {{ {text} return %y }}")
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, (2, 6, 7, 4)).astype(np.float32)
    clean = rng.uniform(0.5, 1, (3, 3, 4, 5)).astype(np.float32)
    (without,) = evaluate(graph, [x, clean], dtype="float64")
    for place in ((0, 0), (1, 1), (2, 0)):
        weights = clean.copy()
        weights[(*place, 1, 2)] = value
        (expected,) = evaluate(graph, [x, weights], dtype="float64")
        # Elsewhere it meets padding alone.
        met = _of_one(graph, x, place) != 0
        for options in OPTIONS:
            (found,) = compile_graph(graph, **options)(x, weights)
            fit = np.where(np.isfinite(found) & ~met, without, expected)
            np.testing.assert_allclose(found, fit, rtol=1e-5)


def _of_one(graph: Any, x: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    """What the weight at ``place`` alone gives, being 1: 0 where it meets padding."""
    weights = np.zeros((3, 3, 4, 5), np.float32)
    weights[(*place, 1, 2)] = 1
    return np.asarray(evaluate(graph, [x, weights])[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["gamma", "beta", "mean", "variance"])
def test_a_statistic_that_is_not_finite_spoils_its_channel_alone(which: str, value: float) -> None:
    """An infinite gamma gives NaN where passes make a scale of it, as NUMERICS.md says."""
    names = ("gamma", "beta", "mean", "variance")
    graph = parse_ir(f"""
    graph g(%x: f32[N, 5, 5, 3]) {{
      {" ".join(f"${name}: f32[4]" for name in names)} $k: f32[3, 3, 3, 4]
      %0 = conv2d(%x, $k, padding="same")
      %1 = batch_norm(%0, $gamma, $beta, $mean, $variance, epsilon=0.001)
      return %1
    }}""")
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.5, 1, 4).astype(np.float32) for name in names}
    values["k"] = rng.uniform(-1, 1, (3, 3, 3, 4)).astype(np.float32)
    values[which][1] = value
    x = rng.uniform(-1, 1, (2, 5, 5, 3)).astype(np.float32)
    (expected,) = evaluate(graph, [x], values, dtype="float64")
    for options in OPTIONS:
        run = compile_graph(graph, **options)
        run.set_parameters(values)
        (found,) = run(x)
        if which == "gamma" and np.isnan(found[..., 1]).all():
            assert not np.isfinite(expected[..., 1]).any()
            found[..., 1] = expected[..., 1]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [None, *OPTIONAL])
def test_samples_beside_one_that_is_not_finite_keep_their_bits(name: str | None) -> None:
    """Whichever pass is left out."""
    graph = parse_ir("""
    graph g(%x: f32[N, 8, 8, 3]) {
      $k: f32[3, 3, 3, 8] $dense: f32[128, 4]
      $gamma: f32[8] $beta: f32[8] $mean: f32[8] $variance: f32[8]
      %0 = conv2d(%x, $k, padding="same")
      %1 = batch_norm(%0, $gamma, $beta, $mean, $variance, epsilon=0.001)
      %2 = relu(%1)
      %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2), padding="valid")
      %4 = reshape(%3, shape=(N, 128))
      %5 = matmul(%4, $dense)
      %6 = softmax(%5, axis=-1)
      return %6
    }""")
    rng = np.random.default_rng(0)
    names = ("gamma", "beta", "mean", "variance")
    shapes = {"k": (3, 3, 3, 8), "dense": (128, 4), **dict.fromkeys(names, (8,))}
    run = compile_graph(graph, disable=[name] if name else [])
    run.set_parameters({n: rng.uniform(0.5, 1, s).astype(np.float32) for n, s in shapes.items()})
    x = rng.uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
    (clean,) = run(x)
    x[1, 3, 4, 1] = np.nan
    (found,) = run(x)
    np.testing.assert_array_equal(found[[0, 2]], clean[[0, 2]])
    assert np.isfinite(clean).all() and np.isnan(found[1]).all()
