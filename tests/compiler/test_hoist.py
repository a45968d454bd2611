"""What leaves a loop: before and after, what stays, what is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import assert_same_values
from here import context
from recurrent import input_, lstm_layer, weight

from keraunos.compiler import ops
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Origin, origin_scope
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full, pieces
from keraunos.compiler.passes.batching import StepOperand, batch_steps
from keraunos.compiler.passes.expand import expand
from keraunos.compiler.passes.hoist import hoist
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke


def hoisted(graph: Graph) -> tuple[Graph, Decisions]:
    decisions = Decisions()
    after = hoist(graph, context(decisions))
    verify(after, "hoist")
    assert_same_values(graph, after, sizes={"N": 2, "T": 3})
    return after, decisions


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.inputs]


def in_loop(graph: Graph) -> list[str]:
    """The ops left in the body of the one loop."""
    (scan,) = (node for node in graph.nodes if node.op is ops.scan)
    return names(scan.attrs["body"])


BEFORE = """
graph rnn(%h: f32[N, 8], %x: f32[N, T, 4]) -> f32[N, T, 8] {
  $w : f32[4, 8]
  $b : f32[8]
  $u : f32[8, 8]

  %0 = scan(%h, %x, $w, $b, $u, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 4], %w0: f32[4, 8], %w1: f32[8], %w2: f32[8, 8])
    %0.0 = matmul(%x0, %w0)
    %0.1 = add(%0.0, %w1)
    %0.2 = multiply(%w2, 0.5)
    %0.3 = matmul(%c0, %0.2)
    %0.4 = tanh(add_0)
    return %0.4, %0.4
  }
  %1 = item(%0, index=1)
  return %1
}
""".replace("%0.4 = tanh(add_0)", "%0.5 = add(%0.1, %0.3)\n    %0.4 = tanh(%0.5)")

AFTER = """
graph rnn(%h: f32[N, 8], %x: f32[N, T, 4]) -> f32[N, T, 8] {
  $w : f32[4, 8]
  $b : f32[8]
  $u : f32[8, 8]

  %0 = matmul(%x, $w)
  %1 = add(%0, $b)
  %2 = multiply($u, 0.5)
  %3 = scan(%h, %1, %2, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
    %3.0 = matmul(%c0, %w0)
    %3.1 = add(%x0, %3.0)
    %3.2 = tanh(%3.1)
    return %3.2, %3.2
  }
  %4 = item(%3, index=1)
  return %4
}
"""


def test_projections_become_one_product_and_arithmetic_on_weights_is_done_once():
    after, decisions = hoisted(parse_ir(BEFORE))
    assert after == parse_ir(AFTER)
    assert [(d.pattern, d.action, d.reason) for d in decisions] == [
        ("multiply", "hoisted", "LOOP_INVARIANT"),
        ("matmul", "hoisted", "WHOLE_SEQUENCE"),
        ("add", "hoisted", "WHOLE_SEQUENCE"),
    ]
    assert list(decisions)[1].detail == "all T steps at once"


def test_a_second_time_nothing_is_left_to_do():
    after, _ = hoisted(parse_ir(BEFORE))
    again, decisions = hoisted(after)
    assert again == after
    assert len(decisions) == 0


def test_layers_and_lines_stay_with_what_moves():
    with origin_scope(Origin("lstm", "model.py", 3)):
        x = input_("x", "f32[N, T, 4]")
        last, _ = lstm_layer(x, 8, "lstm")
    after, decisions = hoisted(Graph("net", (x,), (last,)))
    (product,) = (node for node in after.nodes if node.op is ops.matmul)
    assert [str(origin) for origin in product.origins] == ["lstm  model.py:3"]
    assert {d.layers for d in decisions} == {("lstm",)}


def test_what_depends_on_a_carry_stays():
    x = input_("x", "f32[N, T, 4]")
    last, _ = lstm_layer(x, 8, "lstm")
    after, _ = hoisted(Graph("net", (x,), (last,)))
    assert in_loop(after).count("matmul") == 1
    assert in_loop(after).count("sigmoid") == 3


def test_moving_data_for_the_loop_alone_stays_in_it():
    """Gates cut out of the projection cost nothing there and a pass over memory outside."""
    x, w = input_("x", "f32[N, T, 4]"), weight("w", "f32[4, 16]")

    def step(state, slices):
        z, r = pieces(ops.matmul(slices[0], w), 1, [8, 8])
        return [ops.add(ops.multiply(z, state[0]), r)], []

    zeros = full(0, (x.shape[0], 8), FLOAT32)
    (last,), _ = ops.trace_scan(step, [zeros], [x])
    after, _ = hoisted(Graph("gates", (x,), (last,)))
    assert in_loop(after) == ["slice", "multiply", "slice", "add"]
    assert names(after) == ["broadcast_to", "matmul", "scan", "item"]


def test_what_would_grow_stays():
    x, y = input_("x", "f32[N, T, 8, 1]"), input_("y", "f32[N, T, 1, 8]")

    def step(state, slices):
        return [ops.add(state[0], ops.multiply(*slices))], []

    zeros = full(0, (x.shape[0], 8, 8), FLOAT32)
    (last,), _ = ops.trace_scan(step, [zeros], [x, y])
    after, decisions = hoisted(Graph("outer", (x, y), (last,)))
    assert in_loop(after) == ["multiply", "add"]
    assert len(decisions) == 0


def test_a_loop_without_carries_is_none():
    x, w, b = input_("x", "f32[N, T, 4]"), weight("w", "f32[4, 6]"), weight("b", "f32[6]")

    def step(state, slices):
        y = ops.tanh(ops.add(ops.matmul(slices[0], w), b))
        spread = ops.broadcast_to(ops.square(b), shape=(x.shape[0], 6))
        return [], [ops.mean(y, axes=(1,)), spread, slices[0]]

    _, results = ops.trace_scan(step, [], [x])
    after, _ = hoisted(expand(Graph("map", (x,), results), context()))
    assert "scan" not in names(after)
    assert after.outputs[2] is x


def test_from_a_loop_within_a_loop_all_the_way_out():
    x, w = input_("x", "f32[N, T, S, 4]"), weight("w", "f32[4, 8]")
    zeros = full(0, (x.shape[0], 8), FLOAT32)

    def inner(state, slices):
        return [ops.add(ops.multiply(state[0], state[0]), ops.matmul(slices[0], w))], []

    def outer(state, slices):
        return list(ops.trace_scan(inner, [state[0]], [slices[0]])[0]), []

    (last,), _ = ops.trace_scan(outer, [zeros], [x])
    decisions = Decisions()
    graph = Graph("nested", (x,), (last,))
    after = hoist(graph, context(decisions))
    assert_same_values(graph, after, sizes={"N": 2, "T": 3, "S": 2})
    assert names(after) == ["broadcast_to", "matmul", "scan", "item"]


def test_steps_that_differ_are_declined_with_a_reason():
    """Time lies between the rows of one operand and those of the other."""
    x, w = input_("x", "f32[N, T, 4]"), input_("w", "f32[N, 4, 4]")

    def step(state, slices):
        row = ops.reshape(slices[0], shape=(x.shape[0], 1, 4))
        product = ops.reshape(ops.matmul(row, w), shape=(x.shape[0], 4))
        return [ops.add(state[0], product)], []

    zeros = full(0, (x.shape[0], 4), FLOAT32)
    (last,), _ = ops.trace_scan(step, [zeros], [x])
    after, decisions = hoisted(Graph("products", (x, w), (last,)))
    assert "matmul" in in_loop(after)
    (declined,) = (d for d in decisions if d.declined)
    assert (declined.pattern, declined.reason) == ("matmul", "TIME_AXIS")


N, T = symbol("N"), symbol("T")
LIFTED = {
    "add": ("f32[N, 3]", lambda x: ops.add(x, ops.constant(np.ones((1, 3), "f4")))),
    "wider": ("f32[1, 3]", lambda x: ops.add(x, ops.constant(np.ones((4, 3), "f4")))),
    "sum": ("f32[N, 3, 4]", lambda x: ops.sum(x, axes=(-1,))),
    "max": ("f32[N, 3, 4]", lambda x: ops.max(x, axes=(0, 2), keepdims=True)),
    "transpose": ("f32[N, 3, 4]", lambda x: ops.transpose(x, axes=(2, 0, 1))),
    "slice": ("f32[N, 6]", lambda x: ops.slice(x, start=(0, 1), stop=(N, 6), step=(1, 2))),
    "pad": ("f32[N, 3]", lambda x: ops.pad(x, low=(0, 1), high=(0, 2), value=0.5)),
    "pad_between": (
        "f32[N, 3]",
        lambda x: ops.pad(x, low=(0, 1), high=(0, 2), interior=(0, 1)),
    ),
    "flip": ("f32[N, 3]", lambda x: ops.flip(x, axes=(-1,))),
    "repeat": ("f32[N, 3]", lambda x: ops.repeat(x, factors=(1, 2))),
    "broadcast_to": ("f32[N, 1]", lambda x: ops.broadcast_to(x, shape=(N, 5))),
    "reshape": ("f32[N, 6]", lambda x: ops.reshape(x, shape=(N, 2, 3))),
    "concatenate": ("f32[N, 3]", lambda x: ops.concatenate(x, ops.tanh(x), axis=-1)),
    "gather": (
        "i32[N]",
        lambda i: ops.gather(ops.constant(np.arange(8, dtype="f4").reshape(4, 2)), i, axis=0),
    ),
    "matmul": ("f32[N, 3]", lambda x: ops.matmul(x, ops.constant(np.eye(3, 2, dtype="f4")))),
    "matmul_of_many": (
        "f32[N, 3, 4]",
        lambda x: ops.matmul(x, ops.transpose(x, axes=(0, 2, 1))),
    ),
    "conv2d": (
        "f32[N, 5, 5, 2]",
        lambda x: ops.conv2d(x, ops.constant(np.ones((3, 3, 2, 3), "f4")), padding="same"),
    ),
    "depthwise_conv2d": (
        "f32[N, 5, 5, 2]",
        lambda x: ops.depthwise_conv2d(x, ops.constant(np.ones((3, 3, 2, 1), "f4"))),
    ),
    "max_pool2d": (
        "f32[N, 4, 4, 2]",
        lambda x: ops.max_pool2d(x, window=(2, 2), strides=(2, 2)),
    ),
}


# Time as the last axis but one or the last: it would be summed over, or part the images.
STAY = {
    (name, 2)
    for name in ("reshape", "matmul", "matmul_of_many", "conv2d", "depthwise_conv2d", "max_pool2d")
}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", LIFTED)
def test_lifted_ops_compute_all_steps(name, axis):
    """Each rule against the loop it replaces; where there is none the loop stays."""
    text, build = LIFTED[name]
    slice_ = input_("x0", text)
    if slice_.tensor_type.rank < axis:
        pytest.skip("no such axis")
    shape = (*slice_.shape[:axis], T, *slice_.shape[axis:])
    x = ops.input_("x", slice_.tensor_type.with_shape(shape))
    if build(slice_).tensor_type.rank < axis:
        pytest.skip("its result has no such axis")
    _, (result,) = ops.trace_scan(lambda _, s: ([], [build(s[0])]), [], [x], axis=axis)
    after, _ = hoisted(Graph("one", (x,), (result,)))
    assert ("scan" in names(after)) == ((name, axis) in STAY)


def test_a_lifted_value_has_the_type_of_the_stacked_one():
    x, whole = input_("x", "f32[N, 3]"), input_("w", "f32[N, T, 3]")
    node = ops.tanh(x)
    assert batch_steps(node, [StepOperand(x, whole, True)], 1, T) is ops.tanh(whole)
    assert batch_steps(node, [StepOperand(x, whole, True)], 0, T) is None


def test_nothing_is_computed_for_no_steps():
    after, _ = hoisted(parse_ir(BEFORE))
    weights = {"w": np.ones((4, 8)), "b": np.ones(8), "u": np.ones((8, 8))}
    (found,) = evaluate(after, [np.ones((2, 8)), np.ones((2, 0, 4))], weights)
    assert found.shape == (2, 0, 8)
