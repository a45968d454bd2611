"""Loops do no more than is asked of them: before and after."""

from __future__ import annotations

import pytest
from graphs import assert_same_values
from here import context
from recurrent import input_, lstm_layer, weight

from keraunos.compiler import ops
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full
from keraunos.compiler.ops.core import ITEM
from keraunos.compiler.passes.trim import trim

pytestmark = pytest.mark.smoke


def trimmed(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph after, and the reasons of what was done."""
    decisions = Decisions()
    after = trim(graph, context(decisions))
    verify(after, "trim")
    assert_same_values(graph, after, sizes={"N": 2, "T": 3})
    return after, [decision.reason for decision in decisions]


def scans(graph: Graph):
    return [node for node in graph.nodes if node.op is ops.scan]


def test_results_that_nobody_reads_are_not_stacked():
    x = input_("x", "f32[N, T, 4]")
    last, _ = lstm_layer(x, 8, "lstm")
    after, reasons = trimmed(Graph("last", (x,), (last,)))
    (scan,) = scans(after)
    assert [str(type_) for type_ in scan.type.items] == ["f32[N, 8]", "f32[N, 8]"]
    assert reasons == ["UNREAD"]


def test_carries_that_nothing_depends_on_go_with_what_they_alone_read():
    x, w = input_("x", "f32[N, T, 4]"), weight("w", "f32[4, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        used, idle = state
        idle = ops.tanh(ops.add(ops.matmul(idle, w), slices[1]))
        return [ops.add(used, slices[0]), idle], []

    (last, _), _ = ops.trace_scan(step, [zeros, zeros], [x, ops.square(x)])
    after, _ = trimmed(Graph("idle", (x,), (last,)))
    (scan,) = scans(after)
    assert scan.inputs == (zeros, x)
    assert after.parameters == ()


def test_a_carry_read_by_one_that_is_used_stays():
    x = input_("x", "f32[N, T, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)
    ones = full(1, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        return [ops.add(state[0], state[1]), ops.multiply(state[1], slices[0])], []

    (first, _), _ = ops.trace_scan(step, [zeros, ones], [x])
    graph = Graph("chain", (x,), (first,))
    after, reasons = trimmed(graph)
    assert after == graph
    assert reasons == []


def test_what_stays_as_it_is_is_no_carry():
    x = input_("x", "f32[N, T, 4]")
    scale = ops.tanh(input_("h", "f32[N, 4]"))
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        total, same = state
        return [ops.add(total, ops.multiply(same, slices[0])), same], []

    (last, same), _ = ops.trace_scan(step, [zeros, scale], [x])
    after, _ = trimmed(Graph("same", (x, scale.inputs[0]), (last, same)))
    (scan,) = scans(after)
    assert scan.attrs["carries"] == 1
    assert scan.inputs == (zeros, x, scale)
    assert after.outputs[1] is scale


def test_a_carry_that_is_its_start_again_after_each_step_is_none():
    """And so is one that becomes what is the start of both."""
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")

    def step(state, slices):
        again, other = state
        return [h, again], [ops.multiply(other, slices[0]), again]

    finals, results = ops.trace_scan(step, [h, h], [x])
    after, _ = trimmed(Graph("again", (x, h), (*finals, *results)))
    (scan,) = scans(after)
    assert scan.attrs["carries"] == 0
    assert after.outputs[:2] == (h, h)


def test_a_slice_as_a_result_is_the_sequence_and_equal_results_are_one():
    x, y = input_("x", "f32[N, T, 4]"), input_("y", "f32[N, T, 4]")

    def step(state, slices):
        total = ops.add(*slices)
        return [], [slices[0], total, total]

    _, (same, first, second) = ops.trace_scan(step, [], [x, y])
    after, _ = trimmed(Graph("results", (x, y), (same, first, second)))
    assert after.outputs[0] is x
    assert after.outputs[1] is after.outputs[2]


def test_one_sequence_is_one_slice_and_one_stays_to_count_the_steps():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")

    def step(state, slices):
        return [ops.multiply(state[0], state[0])], []

    (last,), _ = ops.trace_scan(step, [h], [x, x, ops.tanh(x)])
    after, _ = trimmed(Graph("count", (x, h), (last,)))
    (scan,) = scans(after)
    assert scan.inputs == (h, x)


def test_loops_that_carry_the_same_become_one():
    graph = parse_ir("""
    graph two(%h: f32[N, 8], %x: f32[N, T, 8]) -> (f32[N, 8], f32[N, T, 8]) {
      $w : f32[8, 8]
      %0 = scan(%h, %x, $w, carries=1, sequences=1) {
        (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
        %0.0 = matmul(%c0, %w0)
        %0.1 = add(%0.0, %x0)
        return %0.1, %0.1
      }
      %1 = scan(%h, %x, $w, carries=1, sequences=1) {
        (%old: f32[N, 8], %now: f32[N, 8], %w: f32[8, 8])
        %1.0 = matmul(%old, %w)
        %1.1 = add(%1.0, %now)
        %1.2 = tanh(%old)
        return %1.1, %1.1, %1.2
      }
      %2 = item(%0, index=0)
      %3 = item(%1, index=2)
      return %2, %3
    }
    """)
    after, reasons = trimmed(graph)
    assert after == parse_ir("""
    graph two(%h: f32[N, 8], %x: f32[N, T, 8]) -> (f32[N, 8], f32[N, T, 8]) {
      $w : f32[8, 8]
      %0 = scan(%h, %x, $w, carries=1, sequences=1) {
        (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
        %0.0 = matmul(%c0, %w0)
        %0.1 = add(%0.0, %x0)
        %0.2 = tanh(%c0)
        return %0.1, %0.2
      }
      %1 = item(%0, index=0)
      %2 = item(%0, index=1)
      return %1, %2
    }
    """)
    assert reasons == ["SAME_CARRIES", "UNREAD"]


def test_a_loop_over_the_results_of_another_is_not_merged_with_it():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")

    def step(state, slices):
        new = ops.add(state[0], slices[0])
        return [new], [new]

    _, (sums,) = ops.trace_scan(step, [h], [x])
    mean = ops.mean(sums, axes=(1,))
    _, (scaled,) = ops.trace_scan(
        lambda state, slices: (step(state, slices)[0], [ops.multiply(state[0], mean)]), [h], [x]
    )
    after, _ = trimmed(Graph("after", (x, h), (scaled,)))
    assert len(scans(after)) == 2


def test_inner_loops_are_trimmed_too():
    x = input_("x", "f32[N, T, S, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def inner(state, slices):
        new = ops.add(state[0], slices[0])
        return [new], [new]

    def outer(state, slices):
        (last,), _ = ops.trace_scan(inner, [state[0]], [slices[0]])
        return [last], []

    (last,), _ = ops.trace_scan(outer, [zeros], [x])
    graph = Graph("nested", (x,), (last,))
    after = trim(graph, context())
    (scan,) = scans(after)
    (within,) = scans(scan.attrs["body"])
    assert len(within.type.items) == 1
    assert scan.op is not ITEM
    assert_same_values(graph, after, sizes={"N": 2, "T": 3, "S": 2})
