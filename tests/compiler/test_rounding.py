"""Sums of products are as exact as their order allows, in each element: small ones too."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import assert_sums_round
from graphs import random_arguments

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir

PRODUCTS = {
    "rows": "%x: f32[N, 300], %y: f32[300, 20] | matmul(%x, %y)",
    "long rows": "%x: f32[N, 3000], %y: f32[3000, 8] | matmul(%x, %y)",
    "matrices": "%x: f32[N, 5, 40], %y: f32[N, 40, 7] | matmul(%x, %y)",
    "columns": "%x: f32[N, 50, 6], %y: f32[N, 50, 9] | transposed_matmul(%x, %y)",
    "image": '%x: f32[N, 9, 8, 5], %y: f32[3, 3, 5, 18] | conv2d(%x, %y, padding="same")',
    "steps": "%x: f32[N, 9, 8, 16], %y: f32[5, 3, 16, 7] | conv2d(%x, %y, strides=(2, 3))",
    "gaps": "%x: f32[N, 9, 9, 4], %y: f32[3, 3, 4, 6] | conv2d(%x, %y, dilation=(2, 3))",
    "groups": "%x: f32[N, 6, 6, 8], %y: f32[3, 3, 2, 12] | conv2d(%x, %y, groups=4)",
    "pixels": "%x: f32[N, 6, 6, 70], %y: f32[1, 1, 70, 33] | conv2d(%x, %y)",
    "channels": "%x: f32[N, 7, 7, 19], %y: f32[3, 3, 19, 1] | depthwise_conv2d(%x, %y)",
    "kernel": "%x: f32[N, 9, 9, 4], %y: f32[N, 7, 7, 6] | "
    "conv2d_kernel_gradient(%x, %y, window=(3, 3))",
    "kernel of channels": "%x: f32[N, 9, 9, 19], %y: f32[N, 7, 7, 19] | "
    "depthwise_kernel_gradient(%x, %y, window=(3, 3))",
}


def uneven(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = ((*array.shape[:-1], 1), array.shape[-1:])
    scales = (10.0 ** rng.integers(-3, 4, shape) for shape in (rows, columns))
    return np.asarray(array * next(scales) * next(scales), "float32")


@pytest.mark.parametrize("samples", [1, 6])
@pytest.mark.parametrize("name", PRODUCTS)
def test_each_element_by_itself(name: str, samples: int) -> None:
    """Of rows and channels that are millions of times as large as others."""
    inputs, call = PRODUCTS[name].split(" | ")
    graph = parse_ir(f"graph g({inputs}) {{ %0 = {call} return %0 }}")
    arrays, _ = random_arguments(graph, samples, {"N": samples})
    rng = np.random.default_rng(samples)
    arrays = [uneven(array, rng) for array in arrays]
    (found,) = compile_graph(graph, disable="winograd")(*arrays)
    assert_sums_round(found, graph, arrays)
