"""Unrolled loops: what becomes of steps, of first ones, and who says how many are laid out."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares
from graphs import random_arguments
from here import HERE, context
from recurrent import input_, weight
from scan_graphs import random_scan_graph
from tiers import seeds

import keraunos as keras
from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node, apply
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.rewrite import all_nodes, rewrite_everywhere
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full
from keraunos.compiler.ops.stepping import trace_scan
from keraunos.compiler.passes.unroll import unroll
from keraunos.compiler.pipeline import optimize
from keraunos.runtime.dim import Size, symbol

N = symbol("N")
STEPS = 5


def unrolled(graph: Graph, how: int | str | None = None) -> tuple[Graph, Decisions]:
    decisions = Decisions()
    after = unroll(graph, context(decisions, unroll=how))
    verify(after, "unroll")
    return after, decisions


def loops(graph: Graph) -> list[Node]:
    return [node for node in all_nodes(graph) if is_loop(node)]


def is_loop(node: Node) -> bool:
    return node.op is ops.scan


def rnn(steps: Size = STEPS, reverse: bool = False, zeros: bool = True, **how: int | str) -> Graph:
    """h = tanh(x + h @ u), all of them and the last."""
    x, u = input_("x", f"f32[N, {steps}, 4]"), weight("u", "f32[4, 4]")
    start = full(0, (N, 4), x.dtype) if zeros else input_("h", "f32[N, 4]")

    def step(state: tuple[Node, ...], slices: tuple[Node, ...]):
        new = ops.tanh(ops.add(slices[0], ops.matmul(state[0], u)))
        return [new], [new]

    last, every = trace_scan(step, [start], [x], reverse=reverse, **how)
    return Graph("rnn", (x,) if zeros else (x, start), (*last, *every))


BEFORE = """
graph rnn(%h: f32[N, 4], %x: f32[N, 2, 4]) -> f32[N, 2, 4] {
  $u : f32[4, 4]

  %0 = scan(%h, %x, $u, carries=1, sequences=1, unroll="full") {
    (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 4])
    %0.0 = matmul(%c0, %w0)
    %0.1 = add(%x0, %0.0)
    return %0.1, %0.1
  }
  %1 = item(%0, index=1)
  return %1
}
"""

AFTER = """
graph rnn(%h: f32[N, 4], %x: f32[N, 2, 4]) -> f32[N, 2, 4] {
  $u : f32[4, 4]

  %0 = slice(%x, start=(0, 0, 0), stop=(N, 1, 4), step=(1, 1, 1))
  %1 = reshape(%0, shape=(N, 4))
  %2 = matmul(%h, $u)
  %3 = add(%1, %2)
  %4 = reshape(%3, shape=(N, 1, 4))
  %5 = slice(%x, start=(0, 1, 0), stop=(N, 2, 4), step=(1, 1, 1))
  %6 = reshape(%5, shape=(N, 4))
  %7 = matmul(%3, $u)
  %8 = add(%6, %7)
  %9 = reshape(%8, shape=(N, 1, 4))
  %10 = concatenate(%4, %9, axis=1)
  return %10
}
"""


@pytest.mark.smoke
def test_steps_are_laid_out_one_after_another():
    after, decisions = unrolled(parse_ir(BEFORE))
    assert after == parse_ir(AFTER)
    assert [(d.action, d.reason) for d in decisions] == [("unrolled", "ASKED")]


def test_how_a_loop_is_unrolled_is_part_of_its_text():
    for how in (1, 3, "full", "auto"):
        graph = rnn(unroll=how)
        assert parse_ir(str(graph)) == graph
        assert loops(graph)[0].attrs["unroll"] == how
    assert "unroll" not in str(rnn())


@pytest.mark.parametrize("how", [0, -1, True, 2.0, "all"])
def test_other_ways_to_unroll_are_refused(how):
    with pytest.raises(IRError, match="expected unroll to be 'auto', 'full'"):
        rnn(unroll=how)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("by", range(1, STEPS + 2))
def test_every_number_of_steps_in_one_gives_the_same(by, zeros, reverse):
    graph = rnn(reverse=reverse, zeros=zeros)
    after, _ = unrolled(graph, by)
    inputs, weights = random_arguments(graph, 0, {"N": 2})
    expected = evaluate(graph, inputs, weights, "float64")
    for one, other in zip(evaluate(after, inputs, weights, "float64"), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    kept = [steps_in(loop) for loop in loops(after)]
    assert kept == ([] if by >= STEPS else [STEPS // by])


def steps_in(loop: Node) -> Size:
    return loop.inputs[loop.attrs["carries"]].shape[loop.attrs["axis"]]


def test_a_product_of_zeros_is_not_computed():
    products = [
        sum(node.op is ops.matmul for node in unrolled(rnn(zeros=zeros), "full")[0].nodes)
        for zeros in (True, False)
    ]
    assert products == [STEPS - 1, STEPS]
    # In front of the loop there is a first step to know of zeros only where some are left over.
    ahead = [node.op for node in unrolled(rnn(), 2)[0].nodes]
    assert ops.matmul not in ahead and ops.tanh in ahead


def test_zero_states_cost_nothing():
    """Neither the product nor the sum with it is left of the first step."""
    stages = optimize(rnn(), HERE, unroll=True, stop_after="simplify_3")
    first = next(node for node in stages.last.nodes if node.op is ops.tanh)
    assert first.inputs[0].op is ops.reshape


def test_results_that_nobody_reads_are_gone():
    graph = rnn()
    last = Graph("last", graph.inputs, graph.outputs[:1])
    assert ops.concatenate not in [node.op for node in unrolled(last, "full")[0].nodes]


def test_loops_of_unknown_length_stay_and_say_so():
    graph = rnn(symbol("T"), unroll="full")
    after, decisions = unrolled(graph, "full")
    assert after == graph
    (decision,) = decisions
    assert (decision.action, decision.reason) == ("declined", "UNKNOWN_LENGTH")
    assert "T" in decision.detail


def test_the_option_goes_before_what_loops_say():
    assert loops(unrolled(rnn(unroll="full"), 1)[0])
    assert not loops(unrolled(rnn(unroll=1), "full")[0])


@pytest.mark.parametrize("wanted", [0, -2, 1.5, "full"])
def test_the_option_takes_booleans_and_numbers(wanted):
    with pytest.raises(IRError, match="unroll: expected True, False, or how many"):
        optimize(rnn(), HERE, unroll=wanted)


def test_the_option_needs_the_pass():
    with pytest.raises(IRError, match="expected the pass unroll to run"):
        optimize(rnn(), HERE, disable="unroll", unroll=True)
    assert loops(optimize(rnn(unroll="full"), HERE, disable="unroll").last)


def test_passes_before_keep_how_loops_are_to_be_unrolled():
    """Among them what makes the loop back, in which the sum of a weight's gradient is sunk."""
    x, h, u = input_("x", f"f32[N, {STEPS}, 4]"), input_("h", "f32[N, 4]"), weight("u", "f32[4, 4]")

    def step(state, slices):
        product = ops.matmul(slices[0], ops.multiply(u, u))
        return [ops.tanh(ops.add(product, ops.matmul(state[0], u)))], []

    (last,), _ = trace_scan(step, [h], [x], unroll=2)
    (back,) = gradients(ops.sum(last, axes=(0, 1)), [u])
    before = optimize(Graph("both", (x, h), (last, back)), HERE, stop_after="sink").last
    assert [loop.attrs["unroll"] for loop in loops(before)] == [2, 2]


@pytest.mark.parametrize("seed", seeds(16, 100))
def test_random_loops_unrolled_by_every_number_give_the_same(seed):
    graph = random_scan_graph(seed, STEPS)
    inputs, weights = random_arguments(graph, seed, {"N": 2})
    expected = evaluate(graph, inputs, weights, "float64")
    for by in (*range(2, STEPS), "full"):
        after, _ = unrolled(graph, by)
        assert parse_ir(str(after)) == after
        for one, other in zip(evaluate(after, inputs, weights, "float64"), expected, strict=True):
            np.testing.assert_array_equal(one, other)


# The choice


def chosen(graph: Graph) -> tuple[Graph, str, str]:
    after, decisions = unrolled(graph)
    (decision,) = decisions
    return after, decision.reason, decision.detail


def test_one_step_is_no_loop():
    """Its slices are all of the sequences: nothing is copied, and the product of zeros is gone."""
    after, reason, detail = chosen(rnn(1))
    assert not loops(after)
    assert reason == "CHEAPER"
    assert "all 1 step laid out" in detail and "as a loop" in detail


@pytest.mark.parametrize("steps", [28, 512])
def test_loops_whose_steps_would_be_copied_stay_with_the_numbers(steps):
    after, reason, detail = chosen(rnn(steps))
    assert len(loops(after)) == 1
    assert reason == "LOOP_IS_CHEAPER"
    assert "s a call and" in detail and "of compiling" in detail


def test_a_loop_without_steps_stays():
    graph = rnn(0, unroll="full")
    after, reason, _ = chosen(graph)
    assert after == graph and reason == "NO_STEPS"


def test_a_stack_whose_loops_are_to_be_unrolled_is_not_cut_in_pieces():
    layer = keras.layers.SimpleRNN
    inputs = keras.Input((64, 8))
    for ask in (False, True):
        below = layer(64, return_sequences=True, unroll=ask)
        model = keras.Model(inputs, layer(64, unroll=ask)(below(inputs)))
        decisions = Decisions()
        after = optimize(keras.trace(model), HERE, stop_after="unroll", decisions=decisions).last
        refused = [d for d in decisions.of_stage("wavefront") if d.reason == "UNROLLED"]
        assert bool(refused) == ask
        assert bool(loops(after)) != ask


# Many steps, laid out in the program

MANY = 400


def test_steps_of_many_nodes_stay_a_loop_that_is_marked():
    after, decisions = unrolled(rnn(MANY), "full")
    (loop,) = loops(after)
    assert loop.attrs["unroll"] == "rows" and parse_ir(str(after)) == after
    (decision,) = decisions
    assert (decision.action, decision.reason) == ("unrolled", "ASKED")
    assert decision.detail == f"all {MANY} steps laid out, as rows of the program"
    assert unrolled(after)[0] == after
    assert loops(unrolled(after, 1)[0])[0].attrs["unroll"] == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_each_step_has_rows_of_its_own_and_the_same_bits(reverse):
    """No kernel is there for their sake."""
    graph = rnn(MANY, reverse)
    inputs, weights = random_arguments(graph, 0, {"N": 3})
    rolled, laid_out = (compiled(graph, weights, 2, unroll=how) for how in (False, True))
    assert len(laid_out.program.kernels) == len(rolled.program.kernels)
    assert laid_out.program.launches - rolled.program.launches == MANY - 1
    assert f"{MANY} times, laid out" in str(laid_out.schedule)
    for one, other in zip(laid_out(*inputs), rolled(*inputs), strict=True):
        np.testing.assert_array_equal(one, other)


def in_rows(graph: Graph) -> Graph:
    def mark(node: Node) -> Node | None:
        return (
            apply(node.op, node.inputs, node.attrs | {"unroll": "rows"}) if is_loop(node) else None
        )

    return rewrite_everywhere(graph, mark)


@pytest.mark.parametrize("seed", seeds(1, 24))
def test_random_loops_run_as_rows(seed):
    graph = in_rows(random_scan_graph(seed, STEPS))
    inputs, weights = random_arguments(graph, seed, {"N": 2})
    expected = evaluate(graph, inputs, weights, "float64")
    executable = compiled(graph, weights, 2)
    assert "times through" not in str(executable.program)
    for one, other in zip(executable(*inputs), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("outer", "inner"), [("rows", 1), (1, "rows")])
def test_loops_in_loops_of_which_one_is_rows(outer, inner):
    """A step of rows may hold a loop, and a step of a loop rows."""
    x, h = input_("x", "f32[N, 3, 4, 2]"), input_("h", "f32[N, 2]")

    def row(state, slices):
        new = ops.tanh(ops.add(state[0], slices[0]))
        return [new], [new]

    def rows(state, slices):
        (last,), (every,) = trace_scan(row, state, slices, unroll=inner)
        return [last], [every]

    (last,), (every,) = trace_scan(rows, [h], [x], unroll=outer)
    graph = Graph("nested", (x, h), (last, every))
    inputs, weights = random_arguments(graph, 0, {"N": 2})
    executable = compiled(graph, weights, 2)
    assert str(executable.program).count("times through") == (3 if outer == "rows" else 1)
    expected = evaluate(graph, inputs, weights, "float64")
    for one, other in zip(executable(*inputs), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# Through the kernels, forward and back


def compiled(graph: Graph, weights: dict[str, np.ndarray], threads: int, **how) -> Executable:
    executable = compile_graph(graph, threads=threads, **how)
    executable.set_parameters(weights)
    return executable


@pytest.mark.parametrize("how", [2, 3, True])
def test_kernels_of_unrolled_steps_give_the_same(how):
    graph = rnn()
    inputs, weights = random_arguments(graph, 0, {"N": 3})
    found = [compiled(graph, weights, 2, unroll=each)(*inputs) for each in (False, how)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", seeds(1, 12))
def test_random_loops_run_unrolled(seed):
    graph = random_scan_graph(seed, STEPS)
    inputs, weights = random_arguments(graph, seed, {"N": 2})
    expected = evaluate(graph, inputs, weights, "float64")
    found = compiled(graph, weights, 2, unroll=2 + seed % 3)(*inputs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("how", [2, "full"])
def test_gradients_go_through_loops_to_unroll_and_unrolled_ones(how):
    """Of a loop that says how, and of the graph that the pass has made of it."""
    graph = rnn(unroll=how)
    for each in (graph, unrolled(graph)[0]):
        loss = Graph("loss", each.inputs, (weighted_squares(each.outputs),))
        wrt = [*loss.inputs, *loss.parameters]
        inputs, weights = random_arguments(loss, 0, {"N": 2})
        wide = {name: array.astype("float64") for name, array in weights.items()}
        check = GradientCheck.of(loss, wrt, [a.astype("float64") for a in inputs], wide)
        check.assert_right(rtol=1e-4)
    check.assert_compiled()


def test_training_with_unrolled_layers_is_training():
    x = np.random.default_rng(0).normal(size=(16, STEPS, 3)).astype("float32")
    losses = []
    for ask in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input(batch_shape=(8, STEPS, 3)), keras.layers.GRU(4, unroll=ask, stateful=True)]
        )
        model.compile("adam", "mse")
        fitted = model.fit(x, x[:, 0, :1], batch_size=8, epochs=3, shuffle=False, verbose=0)
        losses.append(fitted.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
