"""What is not finite reaches the results that it is a part of, and no others, by any passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keraunos.compiler.evaluate import evaluate
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.parser import parse_ir

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
