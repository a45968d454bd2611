"""Stacked loops in pieces: before and after, what is declined and why, the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import assert_same_values, random_arguments
from here import context
from recurrent import gru_layer, input_, lstm_layer, tanh_layer
from tiers import seeds

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decision, Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.stepping import operands_of, steps_of
from keraunos.compiler.passes.wavefront import wavefront
from keraunos.compiler.passes.waves import Plan, Timing
from keraunos.runtime.config import config
from keraunos.runtime.program import BranchRow

UNITS = 64


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "threads", 2)


def cut(graph: Graph) -> tuple[Graph, Decision]:
    """``graph`` after the pass, and the one decision on it."""
    decisions = Decisions()
    after = wavefront(graph, context(decisions))
    verify(after, "wavefront")
    assert_same_values(graph, after, sizes={"N": 2, "T": 6})
    (decision,) = decisions.of_stage("wavefront")
    assert (after is graph) == decision.declined
    return after, decision


def refused(graph: Graph) -> str:
    _, decision = cut(graph)
    assert decision.action == "declined" and decision.detail
    return decision.reason


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op is ops.scan]


def into(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks are cut into so many pieces, whatever that costs."""
    monkeypatch.setattr(Timing, "best", lambda self: Plan(pieces, beside=0.0, after=1.0))


# What becomes of stacks

BEFORE = """
graph rnn(%h: f32[N, 4], %x: f32[N, 5, 4]) -> f32[N, 4] {
  $u : f32[4, 4]
  $v : f32[4, 4]

  %0 = scan(%h, %x, $u, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %0.0 = matmul(%c0, %w0)
    %0.1 = add(%0.0, %x0)
    return %0.1, %0.1
  }
  %1 = item(%0, index=1)
  %2 = scan(%h, %1, $v, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %2.0 = matmul(%c0, %w0)
    %2.1 = add(%2.0, %x0)
    return %2.1
  }
  %3 = item(%2, index=0)
  return %3
}
"""

AFTER = """
graph rnn(%h: f32[N, 4], %x: f32[N, 5, 4]) -> f32[N, 4] {
  $u : f32[4, 4]
  $v : f32[4, 4]

  %0 = slice(%x, start=(0, 0, 0), stop=(N, 2, 4), step=(1, 1, 1))
  %1 = scan(%h, %0, $u, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %1.0 = matmul(%c0, %w0)
    %1.1 = add(%1.0, %x0)
    return %1.1, %1.1
  }
  %2 = item(%1, index=1)
  %3 = scan(%h, %2, $v, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %3.0 = matmul(%c0, %w0)
    %3.1 = add(%3.0, %x0)
    return %3.1
  }
  %4 = item(%3, index=0)
  %5 = item(%1, index=0)
  %6 = slice(%x, start=(0, 2, 0), stop=(N, 5, 4), step=(1, 1, 1))
  %7 = scan(%5, %6, $u, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %7.0 = matmul(%c0, %w0)
    %7.1 = add(%7.0, %x0)
    return %7.1, %7.1
  }
  %8 = item(%7, index=1)
  %9 = scan(%4, %8, $v, carries=1, sequences=1) {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %9.0 = matmul(%c0, %w0)
    %9.1 = add(%9.0, %x0)
    return %9.1
  }
  %10 = item(%9, index=0)
  return %10
}
"""


def test_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    into(2, monkeypatch)
    after, decision = cut(parse_ir(BEFORE))
    assert after == parse_ir(AFTER)
    assert (decision.action, decision.reason) == ("skewed", "IDLE_THREADS")
    assert decision.detail.startswith("2 pieces of 5 steps: ")


def stack(length: int | str, *reverse: bool, units: int = UNITS, whole: bool = False) -> Graph:
    """LSTMs on one another; ``whole`` has all steps of the last as an output."""
    x = input_("x", f"f32[N, {length}, 8]")
    y, last = x, x
    for index, backwards in enumerate(reverse):
        last, y = lstm_layer(y, units, f"lstm_{index}", reverse=backwards)
    return Graph("stack", (x,), (y if whole else last, last))


def test_small_layers_pay_and_the_decision_has_the_numbers() -> None:
    after, decision = cut(stack(28, False, False, False, False))
    pieces = int(decision.detail.split()[0])
    assert decision.action == "skewed" and decision.pattern == "scan+scan+scan+scan"
    assert len(scans(after)) == 4 * pieces
    assert sum(int(str(steps_of(scan))) for scan in scans(after)) == 4 * 28
    assert "µs beside one another" in decision.detail


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_pieces_of_any_size_give_the_same_values(
    pieces: int, reverse: bool, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    into(pieces, monkeypatch)
    after, _ = cut(stack(5, reverse, reverse, units=3, whole=whole))
    assert len(scans(after)) == 2 * pieces
    assert all(scan.attrs["reverse"] == reverse for scan in scans(after))


def test_loops_that_read_two_loops_of_the_stack_are_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    into(2, monkeypatch)
    x = input_("x", "f32[N, 6, 4]")
    _, one = tanh_layer(x, 4, "one")
    _, two = tanh_layer(one, 4, "two")
    last, _ = gru_layer(two, 4, "three")
    after, decision = cut(Graph("three", (x,), (last,)))
    assert decision.pattern == "scan+scan+scan" and len(scans(after)) == 6
    assert {len(operands_of(s, s.inputs).sequences) for s in scans(after)} == {1}


# What is declined


def test_two_directions_are_no_stack() -> None:
    assert refused(stack(6, False, True)) == "OTHER_DIRECTION"


def test_a_length_that_is_not_known_is_not_cut() -> None:
    assert refused(stack("T", False, False)) == "UNKNOWN_LENGTH"


def test_one_step_is_not_cut() -> None:
    assert refused(stack(1, False, False)) == "ONE_STEP"


def test_results_that_are_read_whole_keep_a_stack_together() -> None:
    x = input_("x", "f32[N, 6, 8]")
    _, lower = lstm_layer(x, UNITS, "lower")
    last, _ = lstm_layer(lower, UNITS, "upper")
    assert refused(Graph("read", (x,), (ops.sum(lower, axes=(1,)), last))) == "READ_WHOLE"


def test_a_graph_of_a_gradient_is_not_cut() -> None:
    """The loops backwards read what those forwards stacked."""
    graph = stack(6, False, False)
    parameter = graph.parameters[0]
    loss = ops.sum(graph.outputs[1], axes=(0, 1))
    (slope,) = gradients(loss, [parameter])
    decisions = Decisions()
    whole = Graph("gradient", graph.inputs, (loss, slope))
    assert wavefront(whole, context(decisions)) is whole
    assert "READ_WHOLE" in {d.reason for d in decisions.of_stage("wavefront")}


def test_one_thread_has_nobody_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "threads", 1)
    assert refused(stack(28, False, False, False, False)) == "ONE_THREAD"


def test_large_steps_gain_little() -> None:
    """All threads share them well."""
    assert refused(stack(4, False, False, units=512)) == "LITTLE_GAIN"


def test_another_axis_is_no_stack() -> None:
    text = BEFORE.replace("%2 = scan(%h, %1, $v,", "%2 = scan(%h, %1, $v, axis=0,")
    text = text.replace("f32[N, 4], %x: f32[N, 5, 4]", "f32[5, 4], %x: f32[5, 5, 4]")
    text = text.replace("f32[N, 4]", "f32[5, 4]")
    assert refused(parse_ir(text)) == "OTHER_AXIS"


def test_loops_that_need_the_end_of_another_are_no_stack() -> None:
    """A decoder that begins with the encoder's last state, and reads its results."""
    text = BEFORE.replace("%2 = scan(%h, %1,", "%9 = item(%0, index=0)\n  %2 = scan(%9, %1,")
    decisions = Decisions()
    graph = parse_ir(text)
    assert wavefront(graph, context(decisions)) is graph
    assert not len(decisions)


# The same bits


@pytest.mark.parametrize("seed", seeds(2, 40))
def test_random_stacks_give_the_same_values(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(config, "threads", int(rng.integers(2, 5)))
    into(int(rng.integers(2, 6)), monkeypatch)
    x = input_("x", f"f32[N, {rng.integers(5, 9)}, 8]")
    kinds = rng.choice([lstm_layer, gru_layer, tanh_layer], size=rng.integers(2, 5))
    y, last, reverse = x, x, bool(rng.integers(2))
    for index, layer in enumerate(kinds):
        last, y = layer(y, 32, f"layer_{index}", reverse=reverse)
    graph = Graph("stack", (x,), (last, y) if rng.integers(2) else (last,))
    cut_up, alone, plain = (
        compile_graph(graph, disable=disable, threads=config.threads)
        for disable in ((), ("fork",), ("wavefront", "fork"))
    )
    for samples in (1, 3, 20):
        inputs, parameters = random_arguments(graph, seed, {"N": samples})
        for each in (cut_up, alone, plain):
            each.set_parameters(parameters)
        expected = alone(*inputs)
        for _ in range(10):
            for found, wanted in zip(cut_up(*inputs), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)
        # Products of fewer rows may be added up in another order.
        for found, wanted in zip(expected, plain(*inputs), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_stages_of_several_layers_stand_side_by_side() -> None:
    """With as many threads as layers each piece of the last runs beside those of all others."""
    config.threads = 4
    program = compile_graph(stack(28, False, False, False, False)).program
    forks = [row.fork for row in program.rows if isinstance(row, BranchRow)]
    assert max(forks.count(fork) for fork in forks) >= 4


def test_it_can_be_switched_off() -> None:
    graph = stack(28, False, False, False, False)
    decisions = compile_graph(graph, disable="wavefront").decisions
    assert not decisions.of_stage("wavefront")
