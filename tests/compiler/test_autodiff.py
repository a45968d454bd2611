"""Gradients: every op against finite differences, and reverse mode over whole graphs."""

import numpy as np
import pytest
from here import HERE
from op_cases import CASE_IDS, CASES, is_differentiable

from keraunos.compiler import ops
from keraunos.compiler.autodiff import grad, gradients
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node, Origin, origin_scope
from keraunos.compiler.ir.kinds import Composite, NoGrad
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.pipeline import optimize

pytestmark = pytest.mark.smoke

STEP = 1e-6


def input_(name, text):
    return ops.input_(name, parse_type(text))


def total(node):
    return ops.sum(node, axes=tuple(range(len(node.shape))))


SMOOTH = [
    pytest.param(case, id=i)
    for case, i in zip(CASES, CASE_IDS, strict=True)
    if is_differentiable(case)
]


def directional(inputs, loss, arrays, directions):
    """The slope of ``loss`` along ``directions``, by central differences in float64."""
    graph = Graph("loss", inputs, (loss,))
    ends = []
    for sign in (1, -1):
        pairs = zip(arrays, directions, strict=True)
        moved = [a if d is None else a + sign * STEP * d for a, d in pairs]
        ends.append(float(evaluate(graph, moved, dtype="float64")[0]))
    return (ends[0] - ends[1]) / (2 * STEP)


def check_gradients(inputs, node, arrays, seed=1):
    """Compares the gradients by all float inputs with differences along one direction.

    The loss is a random combination of the elements, so that no two errors cancel by symmetry.
    """
    rng = np.random.default_rng(seed)
    weights = ops.constant(rng.standard_normal(node.shape).astype(node.dtype.numpy))
    loss = ops.cast(total(ops.multiply(node, weights)), dtype="float32")
    floats = [i for i in inputs if i.dtype.is_float]
    directions = [rng.standard_normal(i.shape) if i in floats else None for i in inputs]
    arrays = [a.astype(float) if a.dtype.kind == "f" else a for a in arrays]
    slopes = Graph("slopes", inputs, gradients(loss, floats))
    assert [n.type for n in slopes.outputs] == [n.type for n in floats]
    found = evaluate(slopes, arrays, dtype="float64")
    moving = [d for d in directions if d is not None]
    slope = sum(float(np.sum(g * d)) for g, d in zip(found, moving, strict=True))
    expected = directional(inputs, loss, arrays, directions)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", SMOOTH)
def test_gradient_of_op(case):
    check_gradients(case.inputs, case.node, case.arrays())


@pytest.mark.parametrize("case", SMOOTH)
def test_gradient_of_the_gradient(case):
    """Gradients are made of ops, so they have gradients."""
    rng = np.random.default_rng(2)
    weights = ops.constant(rng.standard_normal(case.node.shape).astype(case.node.dtype.numpy))
    loss = ops.cast(total(ops.multiply(case.node, weights)), dtype="float32")
    first = next(i for i in case.inputs if i.dtype.is_float)
    (slope,) = gradients(loss, [first])
    check_gradients(case.inputs, ops.cast(slope, dtype="float32"), case.arrays())


def test_every_op_with_a_float_result_has_a_gradient_or_says_why():
    without = {
        op.name
        for op in ops.all_ops()
        if not callable(op.gradient) and not isinstance(op.kind, Composite)
    }
    silent = {name for name in without if not isinstance(ops.get_op(name).gradient, NoGrad)}
    assert not silent


def test_every_op_with_a_gradient_is_tried():
    """A loop's gradient has tests of its own, and what holds its operand has none."""
    tried = {case.op.name for case in CASES if is_differentiable(case)}
    having = {op.name for op in ops.all_ops() if not isinstance(op.gradient, NoGrad)}
    assert having - tried == {"cond", "scan", "stop_gradient"}


# Whole graphs


def test_grad_of_a_graph_keeps_its_inputs():
    x, w = input_("x", "f32[3, 4]"), ops.parameter("w", parse_type("f32[4, 2]"))
    graph = Graph("loss", (x,), (total(ops.relu(ops.matmul(x, w))),))
    result = grad(graph, [w, x])
    assert result.inputs == (x,)
    assert [str(n.type) for n in result.outputs] == ["f32[4, 2]", "f32[3, 4]"]
    xs, ws = np.ones((3, 4), np.float32), np.full((4, 2), 0.5, np.float32)
    by_w, by_x = evaluate(result, [xs], {"w": ws})
    np.testing.assert_allclose(by_w, np.full((4, 2), 3))
    np.testing.assert_allclose(by_x, np.full((3, 4), 1))


def test_gradients_of_a_value_used_twice_add_up():
    x = input_("x", "f32[3]")
    loss = total(ops.add(ops.multiply(x, x), ops.exp(x)))
    (slope,) = evaluate(Graph("g", (x,), gradients(loss, [x])), [np.array([0.0, 1.0, 2.0])])
    np.testing.assert_allclose(slope, 2 * np.arange(3) + np.exp(np.arange(3)), rtol=1e-6)


def test_one_operand_given_twice_to_a_composite():
    x = input_("x", "f32[3]")
    same = ops.batch_norm(ops.reshape(x, shape=(1, 3)), x, x, x, ops.square(x))
    check_gradients((x,), same, [np.array([0.5, 1.0, 2.0])])


def test_a_composite_whose_operands_depend_on_each_other():
    """Its expansion must not be followed beyond its own operands."""
    x = input_("x", "f32[2, 3]")
    mean = ops.mean(x, axes=(0,))
    variance = ops.variance(x, axes=(0,))
    ones, zeros = ops.constant(np.ones(3, "f4")), ops.constant(np.zeros(3, "f4"))
    node = ops.batch_norm(x, ones, zeros, mean, variance)
    check_gradients((x,), node, [np.random.default_rng(0).standard_normal((2, 3))])


def test_forward_composites_stay_whole():
    x = input_("x", "f32[3]")
    loss = total(ops.mish(ops.square(ops.mish(x))))
    names = [n.op.name for n in Graph("g", (x,), gradients(loss, [x])).nodes]
    assert "mish" in names


def test_derivative_of_the_loss_by_itself_is_one():
    x = input_("x", "f32[]")
    assert evaluate(Graph("g", (x,), gradients(x, [x])), [np.float32(3)]) == (1,)


def test_derivative_by_a_value_in_the_middle():
    x = input_("x", "f32[3]")
    middle = ops.square(x)
    slopes = gradients(total(ops.square(middle)), [middle, x])
    values = evaluate(Graph("g", (x,), slopes), [np.array([1.0, 2.0, 3.0])])
    np.testing.assert_allclose(values[0], [2, 8, 18])
    np.testing.assert_allclose(values[1], [4, 32, 108])


def test_symbolic_batch():
    x, w = input_("x", "f32[N, 6, 6, 2]"), ops.parameter("w", parse_type("f32[3, 3, 2, 4]"))
    hidden = ops.max_pool2d(ops.conv2d(x, w, padding="same"), window=(2, 2), strides=(2, 2))
    loss = ops.mean(ops.square(hidden), axes=(0, 1, 2, 3))
    graph = grad(Graph("loss", (x,), (loss,)), [w])
    rng = np.random.default_rng(0)
    ws, d = rng.standard_normal((2, 3, 3, 2, 4))
    for batch in (1, 3):
        xs = rng.standard_normal((batch, 6, 6, 2))
        (slope,) = evaluate(graph, [xs], {"w": ws}, dtype="float64")
        ends = [
            evaluate(Graph("l", (x,), (loss,)), [xs], {"w": ws + s * STEP * d}, dtype="float64")[0]
            for s in (1, -1)
        ]
        np.testing.assert_allclose(np.sum(slope * d), (ends[0] - ends[1]) / (2 * STEP), rtol=1e-5)


def test_symbolic_image_with_strides():
    """Sizes such as (H - 3)//2 + 1 lead back to images of H."""
    x, w = input_("x", "f32[N, H, H, 2]"), input_("w", "f32[3, 3, 2, 3]")
    node = ops.conv2d(x, w, strides=(2, 2))
    loss = total(ops.square(ops.square(node)))
    slopes = Graph("g", (x, w), gradients(loss, [x, w]))
    rng = np.random.default_rng(0)
    for size in (7, 8):
        arrays = [rng.standard_normal((1, size, size, 2)), rng.standard_normal((3, 3, 2, 3))]
        ds = [rng.standard_normal(a.shape) for a in arrays]
        found = evaluate(slopes, arrays, dtype="float64")
        slope = sum(np.sum(g * d) for g, d in zip(found, ds, strict=True))
        np.testing.assert_allclose(slope, directional((x, w), loss, arrays, ds), rtol=1e-5)


def test_gradient_nodes_carry_the_origin_of_their_op():
    x = input_("x", "f32[3]")
    with origin_scope(Origin("dense_7", "model.py", 12)):
        hidden = ops.tanh(x)
    (slope,) = gradients(total(hidden), [x])
    assert slope.layers == ("dense_7",)


# Only what is asked for


def three_layers() -> tuple[Node, Node, list[Node]]:
    """A loss of an input through three products with weights."""
    x = hidden = input_("x", "f32[N, 4]")
    weights = [ops.parameter(f"w{i}", parse_type("f32[4, 4]")) for i in range(3)]
    for weight in weights:
        hidden = ops.tanh(ops.matmul(hidden, weight))
    return x, ops.mean(ops.square(hidden), axes=(0, 1)), weights


def backward(loss: Node, wrt: list[Node], x: Node) -> list[str]:
    """The ops that only the gradients need, in order."""
    forward = set(Graph("loss", (x,), (loss,)).nodes)
    graph = Graph("slopes", (x,), gradients(loss, wrt))
    return [node.op.name for node in graph.nodes if node.inputs and node not in forward]


def test_the_backward_part_goes_no_farther_than_what_is_asked_for():
    x, loss, weights = three_layers()
    products = [
        backward(loss, wrt, x).count("matmul")
        for wrt in ([weights[2]], weights[1:], weights, [x], [x, *weights], [weights[0]])
    ]
    # For each layer one by the weight, and one by its input if something before it is asked for.
    assert products == [1, 3, 5, 3, 6, 3]


def test_frozen_weights_cost_no_backward_work_after_passes_either():
    """The head of a network that is kept as it is: its inputs get no gradients."""
    x, loss, weights = three_layers()
    graph = Graph("loss", (x,), (loss, *gradients(loss, [weights[2]])))
    done = optimize(graph, HERE, stop_after="sink").last
    names = [node.op.name for node in done.nodes]
    assert names.count("matmul") == 3
    assert names.count("transposed_matmul") == 1


def test_a_weight_used_twice_gets_the_sum_of_both_uses():
    x, w = input_("x", "f32[3, 4]"), ops.parameter("w", parse_type("f32[4, 4]"))
    loss = total(ops.tanh(ops.matmul(ops.tanh(ops.matmul(x, w)), w)))
    one, two = (ops.parameter(name, w.tensor_type) for name in ("one", "two"))
    apart = total(ops.tanh(ops.matmul(ops.tanh(ops.matmul(x, one)), two)))
    rng = np.random.default_rng(0)
    xs, ws = rng.standard_normal((3, 4)), rng.standard_normal((4, 4))
    (whole,) = evaluate(Graph("g", (x,), gradients(loss, [w])), [xs], {"w": ws}, "float64")
    slopes = Graph("g", (x,), gradients(apart, [one, two]))
    parts = evaluate(slopes, [xs], {"one": ws, "two": ws}, "float64")
    np.testing.assert_allclose(whole, parts[0] + parts[1], rtol=1e-12)
    names = [node.op.name for node in Graph("g", (x,), gradients(loss, [w])).nodes]
    assert names.count("matmul") == 2 + 3, "two uses, one of which hands its gradient on"


# Corners


@pytest.mark.parametrize("step", [1, 2, 3])
def test_gradient_of_a_slice_of_nothing(step):
    x = input_("x", "f32[5, 4]")
    nothing = ops.slice(x, start=(2, 0), stop=(2, 4), step=(step, 1))
    (slope,) = gradients(total(nothing), [x])
    (found,) = evaluate(Graph("g", (x,), (slope,)), [np.ones((5, 4))])
    np.testing.assert_array_equal(found, np.zeros((5, 4)))


@pytest.mark.parametrize(
    ("node", "value", "expected"),
    [
        (ops.softplus, 0.0, 0.5),
        (ops.softplus, 200.0, 1.0),
        (ops.log_sigmoid, 0.0, 0.5),
        (ops.elu, 200.0, 1.0),
        (ops.relu, 0.0, 0.0),
        (ops.abs, 0.0, 0.0),
        (ops.sigmoid, -200.0, 0.0),
    ],
)
def test_slope_in_a_corner(node, value, expected):
    x = input_("x", "f32[]")
    (slope,) = evaluate(Graph("g", (x,), gradients(node(x), [x])), [np.float32(value)])
    assert slope == expected


def test_ties_share_the_gradient_of_max():
    x = input_("x", "f32[4]")
    slopes = gradients(ops.max(x, axes=(0,)), [x])
    (slope,) = evaluate(Graph("g", (x,), slopes), [np.array([1.0, 3.0, 3.0, 0.0])])
    np.testing.assert_array_equal(slope, [0, 0.5, 0.5, 0])


def test_the_first_of_a_tie_takes_the_gradient_of_max_pool():
    x = input_("x", "f32[1, 2, 2, 1]")
    pooled = ops.max_pool2d(x, window=(2, 2), strides=(2, 2))
    (slope,) = evaluate(Graph("g", (x,), gradients(total(pooled), [x])), [np.ones((1, 2, 2, 1))])
    np.testing.assert_array_equal(slope.reshape(-1), [1, 0, 0, 0])


@pytest.mark.parametrize(("zeros", "expected"), [(0, [6, 3, 2]), (1, [0, 0, 2]), (2, [0, 0, 0])])
def test_gradient_of_a_product_with_zeros(zeros, expected):
    x = input_("x", "f32[3]")
    values = np.array([1.0, 2.0, 3.0])
    values[3 - zeros :] = 0
    (slope,) = evaluate(Graph("g", (x,), gradients(ops.prod(x, axes=(0,)), [x])), [values])
    np.testing.assert_allclose(slope, expected)


def test_power_at_zero():
    x = input_("x", "f32[2]")
    power = ops.power(x, ops.constant([0.0, 2.0]))
    (slope,) = evaluate(Graph("g", (x,), gradients(total(power), [x])), [np.zeros(2)])
    np.testing.assert_array_equal(slope, [0, 0])


# What has no gradient


def test_zeros_for_what_the_output_does_not_depend_on():
    x, y = input_("x", "f32[2]"), input_("y", "f32[3]")
    (slope,) = evaluate(Graph("g", (x, y), gradients(total(x), [y])), [np.ones(2), np.ones(3)])
    np.testing.assert_array_equal(slope, np.zeros(3))


@pytest.mark.parametrize("flat", [ops.stop_gradient, ops.floor, ops.sign, ops.round])
def test_zeros_through_steps(flat):
    x = input_("x", "f32[2]")
    (slope,) = evaluate(Graph("g", (x,), gradients(total(flat(x)), [x])), [np.ones(2)])
    np.testing.assert_array_equal(slope, np.zeros(2))


def test_stop_gradient_holds_one_factor():
    x = input_("x", "f32[2]")
    loss = total(ops.multiply(x, ops.stop_gradient(x)))
    (slope,) = evaluate(Graph("g", (x,), gradients(loss, [x])), [np.array([2.0, 3.0])])
    np.testing.assert_array_equal(slope, [2, 3])


def test_an_index_has_no_gradient_and_the_error_says_where():
    x = input_("x", "f32[2, 3]")
    with origin_scope(Origin("pick", "model.py", 7)):
        index = ops.argmax(x)
    loss = total(ops.cast(index, dtype="float32"))
    with pytest.raises(
        IRError, match=r"argmax .*: an index has no derivative\n  at pick  model.py:7"
    ):
        gradients(loss, [x])


def test_a_fused_region_is_refused():
    x = input_("x", "f32[2]")
    region = ops.core.fuse_nodes([node := ops.exp(x)], [node], "exp")
    with pytest.raises(IRError, match=r"fused .* differentiate before fusing"):
        gradients(total(region), [x])


def test_the_output_must_be_a_float_scalar():
    x = input_("x", "f32[2]")
    with pytest.raises(IRError, match=r"expected a float scalar.*f32\[2\]"):
        gradients(x, [x])
    with pytest.raises(IRError, match="expected a float scalar"):
        gradients(ops.any(ops.is_nan(x), axes=(0,)), [x])


def test_only_floats_can_be_differentiated_by():
    x, indices = input_("x", "f32[4]"), input_("i", "i32[2]")
    with pytest.raises(IRError, match=r"expected floats to differentiate by, got i32\[2\]"):
        gradients(total(ops.gather(x, indices)), [indices])


def test_a_graph_with_two_outputs_is_refused():
    x = input_("x", "f32[]")
    with pytest.raises(IRError, match="expected one output"):
        grad(Graph("g", (x,), (x, x)), [x])


def test_deep_graphs_do_not_recurse():
    x = node = input_("x", "f32[]")
    for _ in range(3000):
        node = ops.sin(node)
    assert len(gradients(node, [x])) == 1
