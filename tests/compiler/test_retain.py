"""What a loop computed is kept: before and after, what is not worth it, gradients."""

from __future__ import annotations

import pytest
from graphs import assert_same_values
from here import context
from recurrent import gru_layer, input_, lstm_layer, tanh_layer

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.passes.expand import expand
from keraunos.compiler.passes.hoist import hoist
from keraunos.compiler.passes.retain import retain
from keraunos.compiler.passes.trim import trim

pytestmark = pytest.mark.smoke


def retained(graph: Graph) -> tuple[Graph, Decisions]:
    decisions = Decisions()
    after = retain(graph, context(decisions))
    verify(after, "retain")
    for steps in (3, 1, 0):
        assert_same_values(graph, after, sizes={"N": 2, "T": steps})
    return after, decisions


def outside(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.inputs and node.op is not ops.scan]


BEFORE = """
graph net(%h: f32[N, 8], %x: f32[N, T, 8]) -> (f32[N, 8], f32[N, T, 8]) {
  $u : f32[8, 8]

  %0 = scan(%h, %x, $u, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = add(%0.0, %x0)
    %0.2 = tanh(%0.1)
    return %0.2, %c0
  }
  %1 = item(%0, index=0)
  %2 = item(%0, index=1)
  %3 = matmul(%2, $u)
  %4 = add(%3, %x)
  %5 = sin(%4)
  return %1, %5
}
"""

AFTER = """
graph net(%h: f32[N, 8], %x: f32[N, T, 8]) -> (f32[N, 8], f32[N, T, 8]) {
  $u : f32[8, 8]

  %0 = scan(%h, %x, $u, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = add(%0.0, %x0)
    %0.2 = tanh(%0.1)
    return %0.2, %c0, %0.1
  }
  %1 = item(%0, index=0)
  %2 = item(%0, index=2)
  %3 = sin(%2)
  return %1, %3
}
"""


def test_a_product_and_what_is_made_of_it_alone():
    after, decisions = retained(parse_ir(BEFORE))
    assert after == parse_ir(AFTER)
    assert [(d.pattern, d.action, d.reason) for d in decisions] == [("add", "retained", "COMPUTED")]


def test_a_second_time_nothing_is_left_to_do():
    after, _ = retained(parse_ir(BEFORE))
    again, decisions = retained(after)
    assert again == after
    assert len(decisions) == 0


def test_up_to_where_several_read_it():
    text = BEFORE.replace("%5 = sin(%4)", "%6 = multiply(%3, %3)\n  %5 = multiply(%6, %4)")
    after, decisions = retained(parse_ir(text))
    assert [d.pattern for d in decisions] == ["matmul"]
    assert outside(after).count("add") == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("matmul(%2, $u)", "matmul(%x, $u)"),
        ("matmul(%2, $u)", "multiply(%2, %2)"),
        ("%3 = matmul(%2, $u)", "%6 = transpose($u, axes=(1, 0))\n  %3 = matmul(%2, %6)"),
    ],
)
def test_other_products_and_arithmetic_are_left_alone(old, new):
    graph = parse_ir(BEFORE.replace(old, new))
    after, decisions = retained(graph)
    assert after == graph
    assert len(decisions) == 0


@pytest.mark.parametrize(("layer", "products"), [(tanh_layer, 0), (lstm_layer, 1), (gru_layer, 2)])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_compute_no_product_again(layer, products, reverse):
    x = input_("x", "f32[N, T, 3]")
    last, _ = layer(x, 4, "layer", reverse)
    loss = ops.sum(ops.sin(last), axes=(0, 1))
    log = Decisions()
    weights = Graph("net", (x,), (loss,)).parameters
    before = Graph("slopes", (x,), (loss, *gradients(loss, weights)))
    before = hoist(trim(expand(before, context(log)), context(log)), context(log))
    after, decisions = retained(before)
    assert len(decisions) >= products
    again = outside(before).count("matmul") - outside(after).count("matmul")
    assert again >= products
    (forward, _) = (node for node in after.nodes if node.op is ops.scan)
    inside = [node.op.name for node in forward.attrs["body"].nodes]
    # Outside are the projection of the inputs and nothing that the loop has computed.
    assert outside(after).count("matmul") == 1
    assert inside.count("matmul") == max(products, 1)
