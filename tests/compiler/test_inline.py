"""What moves into a loop: before and after, what stays outside, gradients of a cell."""

from __future__ import annotations

import pytest
from graphs import assert_same_values
from here import HERE, context
from recurrent import input_, lstm_layer

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.passes.inline import inline
from keraunos.compiler.pipeline import optimize

pytestmark = pytest.mark.smoke

BEFORE = """
graph net(%h: f32[N, 8], %x: f32[N, T, 8], %y: f32[N, T, 8], %b: f32[8]) -> f32[N, 8] {
  $u : f32[8, 8]

  %0 = multiply(%x, %y)
  %1 = sigmoid(%0)
  %2 = add(%1, %b)
  %3 = scan(%h, %2, $u, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
    %3.0 = matmul(%c0, %w0)
    %3.1 = multiply(%3.0, %x0)
    return %3.1
  }
  %4 = item(%3, index=0)
  return %4
}
"""

AFTER = """
graph net(%h: f32[N, 8], %x: f32[N, T, 8], %y: f32[N, T, 8], %b: f32[8]) -> f32[N, 8] {
  $u : f32[8, 8]

  %0 = scan(%h, %x, %y, $u, %b, carries=1, sequences=2) {
    (%c0: f32[N, 8], %x0: f32[N, 8], %x1: f32[N, 8], %w0: f32[8, 8], %w1: f32[8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = multiply(%x0, %x1)
    %0.2 = sigmoid(%0.1)
    %0.3 = add(%0.2, %w1)
    %0.4 = multiply(%0.0, %0.3)
    return %0.4
  }
  %1 = item(%0, index=0)
  return %1
}
"""


def inlined(graph: Graph) -> tuple[Graph, Decisions]:
    decisions = Decisions()
    after = inline(graph, context(decisions))
    verify(after, "inline")
    for steps in (3, 1, 0):
        assert_same_values(graph, after, sizes={"N": 2, "T": steps})
    return after, decisions


def test_what_a_loop_alone_reads_is_computed_in_its_steps():
    after, decisions = inlined(parse_ir(BEFORE))
    assert str(after) == str(parse_ir(AFTER))
    assert {(d.action, d.reason) for d in decisions} == {("inlined", "ONE_READER")}
    assert [d.pattern for d in decisions] == ["multiply", "sigmoid", "add"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("multiply(%x, %y)", "matmul(%x, $u)"),  # its kernel does what follows, too
        (
            "%4 = item(%3, index=0)",
            "%5 = item(%3, index=0)\n  %6 = sum(%2, axes=(1,))\n  %4 = add(%5, %6)",
        ),
        ("multiply(%3.0, %x0)", "matmul(%x0, %w0)\n    %3.2 = multiply(%3.0, %3.1)"),
    ],
)
def test_what_others_make_or_read_stays_outside(old, new):
    text = BEFORE.replace(old, new)
    graph = parse_ir(text.replace("return %3.1", "return %3.2") if "%3.2" in new else text)
    after, decisions = inlined(graph)
    assert after == graph
    assert len(decisions) == 0


def test_only_what_is_read_by_the_loop_alone_moves():
    text = BEFORE.replace("-> f32[N, 8] {", "-> (f32[N, 8], f32[N, T, 8]) {")
    after, decisions = inlined(parse_ir(text.replace("return %4", "return %4, %1")))
    assert [d.pattern for d in decisions] == ["add"]
    outside = [node.op for node in after.nodes]
    assert ops.sigmoid in outside
    assert ops.add not in outside


def test_the_gradient_of_a_cell_reads_activated_gates_and_writes_its_own_once():
    x = input_("x", "f32[N, T, 3]")
    last, _ = lstm_layer(x, 4, "layer")
    loss = ops.sum(ops.sin(last), axes=(0, 1))
    weights = Graph("net", (x,), (loss,)).parameters
    stages = optimize(Graph("slopes", (x,), (loss, *gradients(loss, weights))), HERE)
    forward, backward = (node for node in stages["inline"].nodes if node.op is ops.scan)
    before, after = (scan.attrs["body"] for scan in (forward, backward))
    kept = [node.op.name for node in before.outputs[2:]]
    assert kept.count("sigmoid") == 3
    assert kept.count("tanh") == 1
    names = [node.op.name for node in after.nodes]
    assert names.count("sigmoid") == 0  # none is computed again
    assert names.count("concatenate") == names.count("matmul") == 1
    assert "pad" not in names
