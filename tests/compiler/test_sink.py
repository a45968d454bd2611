"""What is computed after a loop: before and after, what stays, what is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import assert_same_values
from here import context
from recurrent import draw_weights, gru_layer, input_, lstm_layer, tanh_layer, weight

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Node, Origin, origin_scope
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full
from keraunos.compiler.passes.expand import expand
from keraunos.compiler.passes.hoist import hoist
from keraunos.compiler.passes.sink import sink
from keraunos.compiler.passes.trim import trim


def sunk(graph: Graph) -> tuple[Graph, Decisions]:
    decisions = Decisions()
    after = sink(graph, context(decisions))
    verify(after, "sink")
    for steps in (3, 1, 0):
        assert_same_values(graph, after, sizes={"N": 2, "T": steps})
    return after, decisions


def prepared(graph: Graph) -> Graph:
    """What ``sink`` sees: loops without what need not be in them."""
    log = Decisions()
    return hoist(trim(expand(graph, context(log)), context(log)), context(log))


def gradient_check_of(graph: Graph) -> Graph:
    (output,) = graph.outputs
    loss = ops.sum(ops.sin(output), axes=tuple(range(output.tensor_type.rank)))
    return graph.with_outputs(gradients(loss, (*graph.inputs, *graph.parameters)))


def loops(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op is ops.scan]


def in_loop(graph: Graph) -> list[str]:
    """The ops in the body of the last loop."""
    return [node.op.name for node in loops(graph)[-1].attrs["body"].nodes if node.inputs]


BEFORE = """
graph sums(%h: f32[N, 8], %x: f32[N, T, 4], %z: f32[4, 8], %b: f32[8])
    -> (f32[N, 8], f32[4, 8], f32[8]) {
  $u : f32[8, 8]

  %0 = scan(%h, %z, %b, %x, $u, carries=3, sequences=1) {
    (%c0: f32[N, 8], %c1: f32[4, 8], %c2: f32[8], %x0: f32[N, 4], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = tanh(%0.0)
    %0.2 = transpose(%x0, axes=(1, 0))
    %0.3 = matmul(%0.2, %0.1)
    %0.4 = add(%c1, %0.3)
    %0.5 = sum(%0.1, axes=(0,))
    %0.6 = add(%0.5, %c2)
    return %0.1, %0.4, %0.6
  }
  %1 = item(%0, index=0)
  %2 = item(%0, index=1)
  %3 = item(%0, index=2)
  return %1, %2, %3
}
"""

AFTER = """
graph sums(%h: f32[N, 8], %x: f32[N, T, 4], %z: f32[4, 8], %b: f32[8])
    -> (f32[N, 8], f32[4, 8], f32[8]) {
  $u : f32[8, 8]

  %0 = scan(%h, %x, $u, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 4], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = tanh(%0.0)
    return %0.1, %0.1
  }
  %1 = item(%0, index=0)
  %2 = item(%0, index=1)
  %3 = reshape(%x, shape=(N*T, 4))
  %4 = transpose(%3, axes=(1, 0))
  %5 = reshape(%2, shape=(N*T, 8))
  %6 = matmul(%4, %5)
  %7 = add(%z, %6)
  %8 = sum(%2, axes=(0, 1))
  %9 = add(%b, %8)
  return %1, %7, %9
}
"""


def test_sums_of_products_and_of_rows_become_one():
    after, decisions = sunk(parse_ir(BEFORE))
    assert after == parse_ir(AFTER)
    assert [(d.pattern, d.action, d.reason) for d in decisions] == [
        ("matmul", "sunk", "ONE_SUM"),
        ("sum", "sunk", "ONE_SUM"),
    ]


def test_a_second_time_nothing_is_left_to_do():
    after, _ = sunk(parse_ir(BEFORE))
    again, decisions = sunk(after)
    assert again == after
    assert len(decisions) == 0


@pytest.mark.parametrize("layer", [tanh_layer, lstm_layer, gru_layer])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_recurrent_nets_have_no_weights_in_their_loops(layer, reverse):
    x = input_("x", "f32[N, T, 3]")
    last, states = layer(x, 4, "layer", reverse)
    both = ops.concatenate(ops.reshape(last, shape=(x.shape[0], 1, 4)), states, axis=1)
    before = prepared(gradient_check_of(Graph("net", (x,), (both,))))
    after, _ = sunk(before)
    assert_same_values(before, after, sizes={"N": 3, "T": 5})
    back = loops(after)[-1]
    carries = {str(node.type) for node in back.inputs[: back.attrs["carries"]]}
    assert carries == {"f32[N, 4]"}
    assert "sum" not in in_loop(after)
    inner = {tanh_layer: 1, lstm_layer: 1, gru_layer: 2}[layer]
    assert in_loop(after).count("matmul") == inner, "only products with what is carried"


def test_gradients_run_compiled():
    x = input_("x", "f32[N, T, 5]")
    _, states = lstm_layer(x, 16, "one")
    last, _ = gru_layer(states, 16, "two")
    slopes = gradient_check_of(Graph("net", (x,), (last,)))
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((6, 7, 5)).astype("float32")]
    weights = draw_weights(slopes)
    expected = evaluate(slopes, arrays, weights, "float64")
    for passes in ({}, {"disable": ("sink",)}):
        run = compile_graph(slopes, **passes)
        run.set_parameters(weights)
        for one, other in zip(run(*arrays), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * np.abs(other).max())


def test_layers_and_lines_stay_with_what_moves():
    with origin_scope(Origin("lstm", "model.py", 3)):
        x = input_("x", "f32[N, T, 4]")
        last, _ = lstm_layer(x, 8, "lstm")
    after, decisions = sunk(prepared(gradient_check_of(Graph("net", (x,), (last,)))))
    products = [node for node in after.nodes if node.op is ops.matmul]
    assert {str(origin) for node in products for origin in node.origins} == {"lstm  model.py:3"}
    assert {d.layers for d in decisions} == {("lstm",)}


def test_a_convolution_in_a_loop():
    x, w = input_("x", "f32[N, T, 6, 5, 2]"), weight("w", "f32[3, 3, 2, 2]")
    start = full(0, (x.shape[0], 6, 5, 2), FLOAT32)

    def step(state, slices):
        seen = ops.conv2d(ops.add(state[0], slices[0]), w, padding="same")
        return [ops.tanh(seen)], []

    (last,), _ = ops.trace_scan(step, [start], [x])
    before = prepared(gradient_check_of(Graph("net", (x,), (last,))))
    after, decisions = sunk(before)
    assert "conv2d_kernel_gradient" in [d.pattern for d in decisions]
    assert "conv2d_kernel_gradient" not in in_loop(after)


def test_a_loop_in_a_loop():
    x, w = input_("x", "f32[N, T, 3, 4]"), weight("w", "f32[4, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def inner(state, slices):
        return [ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))], []

    def outer(state, slices):
        (last,), _ = ops.trace_scan(inner, [state[0]], [slices[0]])
        return [last], []

    (last,), _ = ops.trace_scan(outer, [zeros], [x])
    after, _ = sunk(prepared(gradient_check_of(Graph("net", (x,), (last,)))))
    back = loops(after)[-1]
    assert back.attrs["carries"] == 1, "the sum over the outer steps is gone as well"


def test_time_in_front():
    x, w = input_("x", "f32[T, N, 4]"), weight("w", "f32[4, 4]")
    zeros = full(0, (x.shape[1], 4), FLOAT32)

    def step(state, slices):
        return [ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))], []

    (last,), _ = ops.trace_scan(step, [zeros], [x], axis=0)
    after, _ = sunk(prepared(gradient_check_of(Graph("net", (x,), (last,)))))
    assert loops(after)[-1].attrs["carries"] == 1


def test_time_as_the_last_axis_keeps_products_inside():
    x, w = input_("x", "f32[N, 4, T]"), weight("w", "f32[4, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        return [ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))], []

    (last,), _ = ops.trace_scan(step, [zeros], [x], axis=2)
    after, _ = sunk(prepared(gradient_check_of(Graph("net", (x,), (last,)))))
    assert loops(after)[-1].attrs["carries"] == 2


# Sums of other kinds


def summed(add, *sequences: Node, start: Node, **options) -> Graph:
    """A loop with a state of its own, and a sum to which ``add(state, *slices)`` is added."""
    x = sequences[0]
    begin = full(0.5, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.tanh(ops.add(state[0], slices[0]))
        return [new, add(state[1], new, *slices)], []

    (last, total), _ = ops.trace_scan(step, [begin, start], sequences, **options)
    return Graph("sums", (*sequences, start), (last, total))


X = "f32[N, T, 4]"


def test_terms_that_cannot_move_stay_and_the_others_go():
    x, start = input_("x", X), input_("s", "f32[4]")

    def add(total, new, x):
        rows = ops.sum(new, axes=(0,))
        largest = ops.max(new, axes=(0,))
        return ops.add(ops.add(total, rows), largest)

    after, decisions = sunk(summed(add, x, start=start))
    assert [d.pattern for d in decisions] == ["sum"]
    assert loops(after)[-1].attrs["carries"] == 2
    assert "max" in in_loop(after)
    assert "sum" not in in_loop(after)


def test_linear_functions_of_sums_are_applied_once():
    x, start, w = input_("x", X), input_("s", "f32[8]"), weight("w", "f32[4, 2]")

    def add(total, new, x):
        rows = ops.negative(ops.sum(new, axes=(0,)))
        wide = ops.pad(rows, low=(1,), high=(3,))
        product = ops.matmul(
            ops.transpose(ops.matmul(ops.transpose(new, axes=(1, 0)), x), axes=(1, 0)), w
        )
        return ops.add(total, ops.add(wide, ops.reshape(product, shape=(8,))))

    after, _ = sunk(summed(add, x, start=start))
    assert loops(after)[-1].attrs["carries"] == 1
    assert in_loop(after) == ["add", "tanh"]


def test_what_is_padded_with_a_number_is_not_linear():
    x, start = input_("x", X), input_("s", "f32[6]")

    def add(total, new, x):
        return ops.add(total, ops.pad(ops.sum(new, axes=(0,)), low=(1,), high=(1,), value=1.0))

    after, decisions = sunk(summed(add, x, start=start))
    assert len(decisions) == 0
    assert loops(after)[-1].attrs["carries"] == 2


def test_sequences_and_what_stays_the_same_are_summed_without_the_loop():
    x, start, w = input_("x", X), input_("s", "f32[N, 4]"), input_("w", "f32[N, 4]")
    graph = summed(lambda total, new, x: ops.add(ops.add(total, x), w), x, start=start)
    graph = Graph("sums", (*graph.inputs, w), graph.outputs)
    after, _ = sunk(graph)
    assert loops(after)[-1].attrs["carries"] == 1


@pytest.mark.parametrize(
    "add",
    [
        lambda total, new, x: ops.add(total, ops.multiply(total, ops.sum(new, axes=(0,)))),
        lambda total, new, x: ops.add(ops.sum(new, axes=(0,)), ops.add(total, total)),
        lambda total, new, x: ops.multiply(total, ops.sum(new, axes=(0,))),
        lambda total, new, x: ops.sum(new, axes=(0,)),
    ],
)
def test_what_is_no_mere_sum_stays(add):
    x, start = input_("x", X), input_("s", "f32[4]")
    graph = summed(add, x, start=start)
    after, decisions = sunk(graph)
    assert len(decisions) == 0
    assert after == graph


@pytest.mark.parametrize("which", ["old", "new", "on the way"])
def test_a_sum_that_a_step_reads_stays(which):
    x, start = input_("x", X), input_("s", "f32[4]")
    begin = full(0.5, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.tanh(ops.add(state[0], slices[0]))
        between = ops.add(state[1], ops.sum(new, axes=(0,)))
        total = ops.add(between, ops.sum(slices[0], axes=(0,)))
        read = {"old": state[1], "new": total, "on the way": between}[which]
        return [new, total], [ops.exp(read)]

    (last, total), (seen,) = ops.trace_scan(step, [begin, start], [x])
    after, decisions = sunk(Graph("sums", (x, start), (last, total, seen)))
    assert len(decisions) == 0
    assert loops(after)[-1].attrs["carries"] == 2


# What steps hand out


def test_a_product_that_only_the_caller_reads_is_one_product():
    x, w, b = input_("x", X), weight("w", "f32[4, 8]"), weight("b", "f32[8]")
    begin = full(0.5, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.tanh(ops.add(state[0], slices[0]))
        return [new], [ops.relu(ops.add(ops.matmul(new, w), b))]

    (last,), (results,) = ops.trace_scan(step, [begin], [x])
    after, decisions = sunk(Graph("net", (x,), (last, results)))
    assert in_loop(after) == ["add", "tanh"]
    assert [(d.pattern, d.reason) for d in decisions] == [
        (name, "WHOLE_SEQUENCE") for name in ("matmul", "add", "relu")
    ]


def test_a_product_that_the_next_step_needs_stays():
    x, w = input_("x", X), weight("w", "f32[4, 4]")
    begin = full(0.5, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.matmul(ops.add(state[0], slices[0]), w)
        return [new], [new, ops.tanh(new)]

    (last,), results = ops.trace_scan(step, [begin], [x])
    graph = Graph("net", (x,), (last, *results))
    after, decisions = sunk(graph)
    assert len(decisions) == 0
    assert after == graph


def test_arithmetic_alone_stays():
    x = input_("x", X)
    begin = full(0.5, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.tanh(ops.add(state[0], slices[0]))
        return [new], [ops.exp(new)]

    (last,), (results,) = ops.trace_scan(step, [begin], [x])
    after, decisions = sunk(Graph("net", (x,), (last, results)))
    assert len(decisions) == 0
    assert "exp" in in_loop(after)


def test_sums_so_far_that_are_results_stay_in_the_loop():
    graph = parse_ir("""
graph sums_so_far(%h: f32[8], %x: f32[T, 8]) -> (f32[8], f32[T, 8]) {
  %0 = scan(%h, %x, carries=1, sequences=1, axis=0) { (%c0: f32[8], %x0: f32[8])
    %0.0 = add(%c0, %x0)
    return %0.0, %c0
  }
  %1 = item(%0, index=0)
  %2 = item(%0, index=1)
  return %1, %2
}
""")
    after, _ = sunk(graph)
    assert in_loop(after) == ["add"]
    x = np.arange(24, dtype="float32").reshape(3, 8)
    run = compile_graph(graph)
    for received, expected in zip(
        run(np.ones(8, "float32"), x), evaluate(graph, [np.ones(8, "float32"), x]), strict=True
    ):
        np.testing.assert_array_equal(received, expected)
