"""The op table: complete, and each entry consistent with itself on its samples."""

import inspect

import numpy as np
import pytest
from op_cases import CASE_IDS, CASES

from keraunos.compiler import ops
from keraunos.compiler.ir.graph import Graph, apply
from keraunos.compiler.ir.kinds import (
    Composite,
    Leaf,
    Movement,
    NoGrad,
    OpKind,
    Projection,
    Region,
)

pytestmark = pytest.mark.smoke

NAMED = """
negative abs sign square sqrt rsqrt reciprocal exp expm1 log log1p tanh sigmoid erf relu floor ceil
round sin cos tan asin acos atan sinh cosh asinh acosh atanh logical_not is_nan is_inf is_finite
cast add subtract multiply divide floor_divide mod power maximum minimum equal not_equal less
less_equal greater greater_equal logical_and logical_or logical_xor select clip sum max min prod
any all argmax argmin reshape transpose broadcast_to slice pad flip repeat concatenate gather iota
matmul conv2d max_pool2d avg_pool2d depthwise_conv2d softmax log_softmax mean variance logsumexp
batch_norm layer_norm leaky_relu elu selu celu gelu silu softplus softsign hard_sigmoid hard_silu
mish relu6 hard_tanh log_sigmoid tanh_shrink soft_shrink hard_shrink threshold squareplus
sparse_plus sparse_sigmoid glu conv1d conv2d_transpose one_hot stop_gradient
"""
LEAVES = (Leaf, Region, Projection)
TABLE = [op for op in ops.all_ops() if not isinstance(op.kind, LEAVES)]


def test_the_table_holds_the_ops_that_layers_are_made_of():
    assert set(NAMED.split()) <= {op.name for op in ops.all_ops()}


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_entry_is_complete(op):
    assert op.doc.endswith("."), "one sentence says what it computes"
    assert op.samples, "samples feed the tests and the fuzzer"
    assert isinstance(op.kind, OpKind)
    composite = isinstance(op.kind, Composite)
    has_gradient = callable(op.gradient) or isinstance(op.gradient, NoGrad)
    assert has_gradient or (composite and op.gradient is None)
    assert getattr(ops, op.name) is op, "exported under its name"


def test_an_unknown_name_suggests_a_known_one():
    with pytest.raises(KeyError, match="did you mean softmax"):
        ops.get_op("sofmax")


def test_everything_exported_is_listed():
    public = {
        name
        for name, value in vars(ops).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(ops.__all__)


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_reference_gives_the_inferred_type_and_keeps_its_precision(case):
    """The interpreter checks shape and dtype; float32 must agree with float64 to rounding."""
    arrays = case.arrays()
    (single,) = case.run(case.node, arrays=arrays)
    (double,) = case.run(case.node, arrays=arrays, dtype="float64")
    np.testing.assert_allclose(single, double, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_reference_leaves_its_operands_alone(case):
    arrays = case.arrays()
    for array in arrays:
        array.setflags(write=False)
    case.run(case.node, arrays=arrays)


def cases_of(kind):
    """The cases of ops with this lowering facet, as parameters."""
    pairs = zip(CASES, CASE_IDS, strict=True)
    return [pytest.param(c, id=i) for c, i in pairs if isinstance(c.op.kind, kind)]


@pytest.mark.parametrize("case", cases_of(Composite))
def test_expansion_computes_what_the_reference_does(case):
    expansion = case.op.kind.expand(case.node)
    assert expansion.type == case.node.type
    arrays = case.arrays()
    found, expected = case.run(expansion, case.node, arrays=arrays, dtype="float64")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", cases_of(Composite))
def test_expansion_ends_in_primitives(case):
    node, rounds = case.node, 0
    graph = Graph("case", case.inputs, (node,))
    while any(isinstance(n.op.kind, Composite) for n in graph.nodes):
        graph = Graph("case", case.inputs, (_expanded(graph.outputs[0]),))
        rounds += 1
        assert rounds < 8


def _expanded(node):
    inputs = tuple(map(_expanded, node.inputs))
    same = node if inputs == node.inputs else apply(node.op, inputs, node.attrs)
    return same.op.kind.expand(same) if isinstance(same.op.kind, Composite) else same


@pytest.mark.parametrize("case", cases_of(Movement))
def test_index_map_says_what_the_reference_does(case):
    (x,) = case.arrays()
    index = case.op.kind.index(case.node)
    (expected,) = case.run(case.node, arrays=[x])
    found = np.empty_like(expected)
    for place in np.ndindex(expected.shape):
        found[place] = _read(x, index, place)
    np.testing.assert_array_equal(found, expected)


def _read(x, index, place):
    """One element by the definition of ``AxisMap``."""
    source = []
    for axis_map, size in zip(index.axes, x.shape, strict=True):
        at = axis_map.offset
        if axis_map.axis is not None:
            at += place[axis_map.axis] * axis_map.stride
        quotient, rest = divmod(at, axis_map.divisor)
        if not 0 <= quotient < size or (axis_map.exact and rest):
            assert index.fill is not None, "a map without fill reads inside only"
            return index.fill
        source.append(quotient)
    return x[tuple(source)]
