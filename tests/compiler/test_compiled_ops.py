"""Every op of the table, compiled alone and compared with its numpy reference."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import assert_close, assert_sums_round
from op_cases import CASES as OP_CASES
from op_cases import Case, draw, is_differentiable
from tiers import deep

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Op, Sample
from keraunos.compiler.ir.kinds import (
    Composite,
    Contraction,
    KernelGradient,
    Leaf,
    Projection,
    Region,
)
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops import all_ops
from keraunos.compiler.ops.building import full
from keraunos.compiler.ops.core import input_

STRUCTURAL = (Leaf, Region, Projection)
CASES = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in all_ops()
    if not isinstance(op.kind, STRUCTURAL)
    for i, sample in enumerate(op.samples)
]


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_compiled_op_matches_its_reference(op: Op, sample: Sample) -> None:
    types = [parse_type(text) for text in sample.types]
    inputs = tuple(input_(f"x{i}", type_) for i, type_ in enumerate(types))
    graph = Graph(op.name, inputs, (op(*inputs, **sample.attrs),))
    rng = np.random.default_rng(0)
    arrays = [draw(type_, sample, rng) for type_ in types]
    (expected,) = evaluate(graph, arrays)
    (actual,) = compile_graph(graph)(*arrays)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
    else:
        np.testing.assert_array_equal(actual, expected)
    if isinstance(op.kind, (Contraction, KernelGradient)) and "winograd" not in op.name:
        assert_sums_round(actual, graph, arrays)


# The gradient of what is made of other ops is made of theirs.
DIFFERENTIABLE = [
    each
    for case in OP_CASES
    if is_differentiable(case) and "random" not in case.op.name
    for each in deep(
        case, when=isinstance(case.op.kind, Composite) and not callable(case.op.gradient)
    )
]


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.op.name)
def test_gradients_of_an_op_compiled(case: Case) -> None:
    weights = np.random.default_rng(1).standard_normal(case.node.shape)
    weighted = ops.multiply(case.node, ops.constant(weights.astype(case.node.dtype.numpy)))
    total = ops.sum(weighted, axes=tuple(range(len(weighted.shape))))
    floats = [node for node in case.inputs if node.dtype.is_float]
    slopes = Graph("slopes", case.inputs, gradients(ops.cast(total, dtype="float32"), floats))
    arrays = case.arrays()
    found = compile_graph(slopes)(*arrays)
    assert_close(found, evaluate(slopes, arrays, dtype="float64"), slopes)


@pytest.mark.parametrize("shapes", [("[3, 4]", "[3, 4]"), ("[3, 4]", "[4]", "[3, 4]"), ("[3, 4]",)])
def test_outputs_that_no_input_has_a_part_in(shapes):
    """One of them twice is a group of two results, which a kernel has to write."""
    x = input_("x", parse_type("f32[3, 4]"))
    outputs = tuple(full(1.5, parse_type(f"f32{shape}").shape, x.dtype) for shape in shapes)
    found = compile_graph(Graph("fills", (x,), outputs))(np.zeros((3, 4), "float32"))
    for array, node in zip(found, outputs, strict=True):
        np.testing.assert_array_equal(array, np.full(node.shape, 1.5))


@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize("groups", [1, 6])
def test_images_of_one_row_in_front_of_a_border(height, groups):
    """The product writes rows that lie apart, however few an image has."""
    x = input_("x", parse_type(f"f32[N, {height}, 7, 4]"))
    product = ops.conv2d(x, k := input_("k", parse_type("f32[1, 1, 4, 6]")))
    d = input_("d", parse_type(f"f32[1, 3, {6 // groups}, 6]"))
    last = ops.conv2d(product, d, padding=((0, 0), (2, 2)), groups=groups)
    graph = Graph("rows", (x, k, d), (last,))
    rng = np.random.default_rng(0)
    shapes = [(3, *x.shape[1:]), k.shape, d.shape]
    arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    (expected,) = evaluate(graph, arrays)
    np.testing.assert_allclose(compile_graph(graph)(*arrays)[0], expected, rtol=1e-4, atol=1e-5)
