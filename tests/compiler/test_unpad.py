"""Padding in front of convolutions, and zeros between pixels: before and after, values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.core import input_
from keraunos.compiler.passes.unpad import unpad

CASES = [  # size, window, strides, padding
    ((8, 8), (3, 3), (2, 2), "same"),
    ((9, 7), (3, 3), (2, 2), "same"),
    ((9, 8), (3, 3), (2, 2), "valid"),
    ((10, 11), (5, 4), (3, 2), "valid"),
    ((8, 8), (2, 2), (2, 2), "valid"),
    ((8, 9), (1, 1), (2, 2), "valid"),
    ((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((7, 7), (7, 7), (2, 2), ((3, 3), (3, 3))),
    ((8, 8), (3, 3), (1, 2), "same"),
    ((8, 8), (3, 2), (2, 3), "same"),  # rows that no window sees
    ((6, 6), (3, 3), (2, 2), ((2, 2), (2, 2))),  # wants less of the image
]


def after(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph after the pass, and the reasons of what was done."""
    decisions = Decisions()
    result = unpad(graph, context(decisions))
    verify(result, "unpad")
    assert_same_values(graph, result, sizes={"N": 2}, rtol=1e-9)
    return result, [decision.reason for decision in decisions]


def by_image(size: Any, window: Any, strides: Any, padding: Any, filters: int = 5) -> Graph:
    """The gradient of a convolution by its image."""
    x = input_("x", parse_type(f"f32[N, {size[0]}, {size[1]}, 3]"))
    kernel = input_("k", parse_type(f"f32[{window[0]}, {window[1]}, 3, {filters}]"))
    y = ops.conv2d(x, kernel, strides=strides, padding=padding)
    grad = input_("g", y.tensor_type)
    (slope,) = gradients(ops.sum(ops.multiply(y, grad), axes=(0, 1, 2, 3)), (x,))
    return Graph("by_image", (kernel, grad), (slope,))


def network(body: str) -> Graph:
    return parse_ir(f"graph g(%x: f32[N, 6, 5, 3], %k: f32[3, 3, 3, 4]) {{ {body} return %y }}")


@pytest.mark.smoke
def test_padding_becomes_the_convolutions_own() -> None:
    before = network("""%0 = pad(%x, low=(0, 1, 2, 0), high=(0, 0, 3, 0))
        %y = conv2d(%0, %k, strides=(2, 1), padding=((1, 1), (0, 0)))""")
    expected = network("%y = conv2d(%x, %k, strides=(2, 1), padding=((2, 1), (2, 3)))")
    assert after(before) == (expected, ["PADDING"])


@pytest.mark.smoke
@pytest.mark.parametrize(
    "pad",
    [
        "low=(0, 1, 1, 0), high=(0, 1, 1, 0), value=1.0",
        "low=(0, 1, 1, 0), high=(0, -1, 1, 0)",
        "low=(1, 1, 1, 0), high=(0, 1, 1, 0)",
    ],
)
def test_other_padding_stays(pad: str) -> None:
    before = network(f"%0 = pad(%x, {pad}) %y = conv2d(%0, %k)")
    assert after(before) == (before, [])


@pytest.mark.smoke
def test_rows_and_columns_of_a_stride_are_made_by_dense_convolutions() -> None:
    before = by_image((8, 8), (3, 3), (2, 2), "same")
    result, reasons = after(before)
    assert reasons == ["DENSE"]
    convolutions = [node for node in result.nodes if node.op is ops.conv2d]
    windows = [node.inputs[1].shape for node in convolutions]
    assert windows == [(2, 2, 5, 3), (2, 1, 5, 3), (1, 2, 5, 3), (1, 1, 5, 3)]
    assert all(node.inputs[0].shape[1:3] == (4, 4) for node in convolutions)
    assert result.outputs[0].op is ops.interleave


@pytest.mark.smoke
def test_what_a_whole_number_of_strides_is_too_much_is_left_out() -> None:
    result, reasons = after(by_image((9, 7), (3, 3), (2, 2), "same"))
    assert reasons == ["DENSE"]
    assert {node.shape[1:3] for node in result.outputs[0].inputs} == {(5, 4)}
    assert result.outputs[0].attrs["size"] == (9, 7)


@pytest.mark.smoke
def test_columns_that_see_the_same_pixels_are_channels_of_one_convolution() -> None:
    result, reasons = after(by_image((8, 8), (2, 2), (2, 2), "valid"))
    assert reasons == ["DENSE"]
    convolutions = [node for node in result.nodes if node.op is ops.conv2d]
    assert [node.inputs[1].shape for node in convolutions] == [(1, 1, 5, 6)] * 2


@pytest.mark.smoke
def test_one_pixel_of_a_kernel_spreads_after_the_product() -> None:
    result, reasons = after(by_image((8, 9), (1, 1), (2, 2), "valid"))
    assert reasons == ["DENSE"]
    assert result.outputs[0].op is ops.pad


@pytest.mark.smoke
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_values(case: Any) -> None:
    after(by_image(*case))


@pytest.mark.smoke
@pytest.mark.parametrize("case", CASES[-2:], ids=str)
def test_what_is_no_dense_convolution_stays(case: Any) -> None:
    assert after(by_image(*case))[1] == []


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_where_the_windows_that_see_it_are(
    case: Any, value: float
) -> None:
    """The gradient of one place spreads over its window, whatever it is."""
    graph = by_image(*case)
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 1, [n if isinstance(n, int) else 2 for n in i.shape])
              for i in graph.inputs]  # fmt: skip
    for place in ((0, 0), (1, 2), (-1, -1)):
        arrays[1][:] = 1
        arrays[1][1, *place, 2] = value
        # In the reference too zeros between pixels are multiplied, but by finite weights.
        (expected,) = evaluate(graph, arrays, {}, "float64")
        single = [array.astype(np.float32) for array in arrays]
        for options in ({}, {"passes": "none"}, {"disable": ["unpad"]}):
            (actual,) = compile_graph(graph, **options)(*single)
            np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled(case: Any) -> None:
    graph = by_image(*case, filters=20)
    run = compile_graph(graph)
    rng = np.random.default_rng(0)
    for samples in (1, 3):
        shapes = ([n if isinstance(n, int) else samples for n in i.shape] for i in graph.inputs)
        arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
        (expected,) = evaluate(graph, arrays, {}, "float64")
        np.testing.assert_allclose(run(*arrays)[0], expected, rtol=2e-4, atol=2e-5)
