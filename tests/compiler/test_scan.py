"""Loops: the op and its reference, its text, what is compiled of it."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import assert_computes
from graphs import random_arguments
from here import HERE
from kernel_machine import Supervised
from recurrent import (
    draw,
    draw_weights,
    input_,
    lstm_layer,
    lstm_reference,
    stacked_lstms,
    tanh_layer,
    tanh_reference,
    weight,
)
from scan_graphs import random_scan_graph
from tiers import seeds

from keraunos.compiler import ops
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Origin, origin_scope
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32, INT32
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full, pieces
from keraunos.compiler.ops.stepping import close_scan, open_scan
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.report.profile import profile
from keraunos.runtime.dim import symbol
from keraunos.runtime.program import LoopRow, TileRow

TEXT = """\
graph rnn(%h: f32[N, 8], %x: f32[N, T, 8]) -> (f32[N, 8], f32[N, T, 8]) {
  $u : f32[8, 8]

  %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0) : f32[N, 8]
    %0.1 = add(%0.0, %x0)   : f32[N, 8]
    %0.2 = tanh(%0.1)       : f32[N, 8]
    return %0.2, %0.2
  }                      : (f32[N, 8], f32[N, T, 8])
  %1 = item(%0, index=0) : f32[N, 8]
  %2 = item(%0, index=1) : f32[N, T, 8]
  return %1, %2
}"""


def recurrence() -> Graph:
    """The graph of ``TEXT``."""
    h, x, u = input_("h", "f32[N, 8]"), input_("x", "f32[N, T, 8]"), weight("u", "f32[8, 8]")

    def step(state, slices):
        new = ops.tanh(ops.add(ops.matmul(state[0], u), slices[0]))
        return [new], [new]

    (last,), (states,) = ops.trace_scan(step, [h], [x])
    return Graph("rnn", (h, x), (last, states))


def scan_of(graph: Graph):
    (found,) = (node for node in graph.nodes if node.op is ops.scan)
    return found


def compiled(graph: Graph, weights=None, threads: int = 2, **options) -> Executable:
    executable = compile_graph(graph, threads=threads, **options)
    if graph.parameters:
        executable.set_parameters(draw_weights(graph) if weights is None else weights)
    return executable


# The op


@pytest.mark.smoke
def test_its_text_is_what_builds_it():
    graph = recurrence()
    assert str(graph) == TEXT
    assert parse_ir(TEXT) == graph
    verify(parse_ir(TEXT), "parsing")


@pytest.mark.smoke
def test_many_inputs_of_a_body_are_wrapped():
    text = str(stacked_lstms())
    assert max(map(len, text.splitlines())) <= 110
    assert parse_ir(text) == stacked_lstms()


@pytest.mark.smoke
def test_reference_is_the_loop_written_out():
    graph = recurrence()
    h, x, u = draw(2, 8), draw(2, 3, 8, seed=2), draw(8, 8, seed=3) * 0.3
    last, states = evaluate(graph, [h, x], {"u": u}, "float64")
    for t in range(3):
        h = np.tanh(h.astype(float) @ u + x[:, t])
        np.testing.assert_allclose(states[:, t], h, rtol=1e-12)
    np.testing.assert_array_equal(last, states[:, -1])


@pytest.mark.smoke
def test_reverse_walks_from_the_end_and_keeps_results_in_place():
    x = input_("x", "f32[N, T]")

    def step(state, slices):
        total = ops.add(state[0], slices[0])
        return [total], [total]

    zeros = full(0, (x.shape[0],), FLOAT32)
    (last,), (sums,) = ops.trace_scan(step, [zeros], [x], reverse=True)
    array = np.array([[1, 2, 3]], "float32")
    found = evaluate(Graph("sums", (x,), (last, sums)), [array])
    np.testing.assert_array_equal(found[0], [6])
    np.testing.assert_array_equal(found[1], [[6, 5, 3]])


@pytest.mark.smoke
def test_no_steps_leave_the_carries_and_stack_nothing():
    h = draw(2, 8)
    last, states = evaluate(recurrence(), [h, np.zeros((2, 0, 8))], {"u": np.eye(8)})
    np.testing.assert_array_equal(last, h)
    assert states.shape == (2, 0, 8)


@pytest.mark.smoke
def test_what_a_step_uses_from_around_is_captured_once():
    x, scale = input_("x", "f32[N, T, 4]"), input_("scale", "f32[4]")
    doubled = ops.add(scale, scale)

    def step(state, slices):
        return [], [ops.multiply(ops.multiply(slices[0], doubled), ops.add(doubled, slices[0]))]

    _, (result,) = ops.trace_scan(step, [], [x])
    node = result.inputs[0]
    assert node.inputs == (x, doubled)
    # Numbers stay in the body, where kernels have them at hand.
    _, (plus,) = ops.trace_scan(lambda _, s: ([], [ops.add(s[0], ops.constant(1.0))]), [], [x])
    assert plus.inputs[0].inputs == (x,)


@pytest.mark.smoke
def test_open_and_closed_again_it_is_the_same():
    node = scan_of(recurrence())
    again = close_scan(open_scan(node), node.inputs[:1], node.inputs[1:2])
    assert again is node


BODY = parse_ir("graph body(%c0: f32[N, 8], %x0: f32[N, 8]) { %0 = add(%c0, %x0) return %0, %0 }")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("types", "attrs", "message"),
    [
        (
            ["f32[N, 8]", "f32[N, T, 9]"],
            {},
            r"inputs are the carries.*\(f32\[N, 8\], f32\[N, 9\]\)",
        ),
        (["f32[N, 7]", "f32[N, T, 8]"], {}, r"whose inputs.*its inputs are \(f32\[N, 8\], "),
        (["f32[N, 8]", "f32[N]"], {}, r"time as axis 1, got f32\[N\]"),
        (["f32[N, 8]"], {}, "expected 2 operands for the carries and sequences, got 1"),
        (["f32[N, 8]", "f32[N, T, 8]"], {"sequences": 0}, "sequences to be a number from 1"),
        (["f32[N, 8]", "f32[N, T, 8]"], {"axis": -1}, "axis to be a number from 0 on, got -1"),
        (["f32[N, 8]", "f32[N, T, 8]"], {"reverse": 1}, "reverse: expected True or False"),
        (
            ["f32[N, T, 8]", "f32[N, S, 8]"],
            {"carries": 0, "sequences": 2},
            r"one length along axis 1, got f32\[N, T, 8\], f32\[N, S, 8\]",
        ),
        (
            ["f32[N, T, 8]", "f32[N, T, 8]"],
            {"carries": 0, "sequences": 2, "axis": 3},
            "time as axis 3",
        ),
    ],
)
def test_type_errors_say_what_is_wrong(types, attrs, message):
    operands = [input_(f"x{i}", text) for i, text in enumerate(types)]
    with pytest.raises(IRError, match=message):
        ops.scan(*operands, **({"body": BODY, "carries": 1, "sequences": 1} | attrs))


@pytest.mark.smoke
def test_a_carry_that_changes_its_type_is_an_error():
    x = input_("x", "f32[N, T, 8]")
    with pytest.raises(IRError, match=r"new carries .*\(f32\[N, 8\]\); it returns \(i32\[N, 8\]\)"):
        ops.trace_scan(
            lambda state, _: ([ops.cast(state[0], dtype=INT32)], []),
            [full(0, (x.shape[0], 8), FLOAT32)],
            [x],
        )
    with pytest.raises(IRError, match="expected 1 new carries of a step, got 0"):
        ops.trace_scan(lambda state, _: ([], []), [full(0, (8,), FLOAT32)], [x])


@pytest.mark.smoke
def test_a_result_of_too_few_axes_is_an_error():
    x = input_("x", "f32[N, 8, T]")
    with pytest.raises(
        IRError, match=r"results of rank 2 or more, as time is axis 2; got f32\[N\]"
    ):
        ops.trace_scan(lambda _, s: ([], [ops.sum(s[0], axes=(1,))]), [], [x], axis=2)


@pytest.mark.smoke
def test_verification_reaches_into_the_body():
    c, x = input_("c0", "f32[N, 8]"), input_("x0", "f32[N, 8]")
    stray = weight("stray", "f32[8]")
    body = Graph("body", (c, x), (ops.add(ops.add(c, x), stray),))
    h, xs = input_("h", "f32[N, 8]"), input_("x", "f32[N, T, 8]")
    node = ops.scan(h, xs, body=body, carries=1, sequences=1)
    graph = Graph("bad", (h, xs), (ops.core.ITEM(node, index=0),))
    with pytest.raises(IRError, match=r"in the body of %0 = scan.* \$stray .* is used in a body"):
        verify(graph)


# Compiled


LENGTHS = ((1, 1), (1, 4), (2, 0), (5, 3), (17, 2), (33, 3))


@pytest.mark.parametrize("reverse", [False, True])
def test_tanh_recurrence(reverse):
    x = input_("x", "f32[N, T, 5]")
    last, states = tanh_layer(x, 12, "rnn", reverse)
    graph = Graph("rnn", (x,), (last, states))
    weights = draw_weights(graph)
    run = compiled(graph, weights)
    for n, t in LENGTHS:
        array = draw(n, t, 5)
        expected = tanh_reference(array, weights, "rnn", reverse)
        found = run(array)
        np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-6)
        end = np.zeros((n, 12)) if t == 0 else expected[:, 0 if reverse else -1]
        np.testing.assert_allclose(found[0], end, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("units", [8, 13, 40])
def test_two_stacked_lstms_of_any_batch_and_length(units):
    graph = stacked_lstms(units)
    weights = draw_weights(graph)
    run = compiled(graph, weights)
    for n, t in LENGTHS:
        array = draw(n, t, 5)
        expected = lstm_reference(lstm_reference(array, weights, "one"), weights, "two")
        end = expected[:, -1] if t else np.zeros((n, units))
        np.testing.assert_allclose(run(array)[0], end, rtol=1e-5, atol=1e-6)


def test_both_directions_of_a_fixed_length():
    x = input_("x", "f32[N, 6, 5]")
    forward, backward = lstm_layer(x, 8, "f")[1], lstm_layer(x, 8, "b", reverse=True)[1]
    graph = Graph("both", (x,), (ops.concatenate(forward, backward, axis=2),))
    weights = draw_weights(graph)
    array = draw(3, 6, 5)
    expected = [lstm_reference(array, weights, name, name == "b") for name in "fb"]
    found = compiled(graph, weights)(array)[0]
    np.testing.assert_allclose(found, np.concatenate(expected, 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{}, {"passes": "none"}, {"disable": ["tile"]}, {"disable": ["hoist", "trim"]}],
    ids=["default", "none", "untiled", "whole"],
)
def test_threads_do_not_show_in_the_bits(options):
    graph = stacked_lstms(24)
    weights = draw_weights(graph)
    one, two = (compiled(graph, weights, threads, **options) for threads in (1, 2))
    for n, t in LENGTHS:
        array = draw(n, t, 5)
        np.testing.assert_array_equal(one(array)[0], two(array)[0])


def test_a_loop_in_a_loop():
    """Rows of a matrix, summed with decay along both axes."""
    x = input_("x", "f32[N, T, S, 3]")
    zeros = full(0, (x.shape[0], 3), FLOAT32)

    def inner(state, slices):
        new = ops.add(ops.multiply(state[0], ops.constant(0.5)), slices[0])
        return [new], [new]

    def outer(state, slices):
        (last,), (all_,) = ops.trace_scan(inner, [state[0]], [slices[0]])
        return [last], [all_]

    (last,), (sums,) = ops.trace_scan(outer, [zeros], [x])
    graph = Graph("nested", (x,), (last, sums))
    array = draw(2, 3, 4, 3)
    expected, total = np.zeros(array.shape), np.zeros((2, 3))
    for t in range(3):
        for s in range(4):
            total = expected[:, t, s] = total * 0.5 + array[:, t, s]
    for options in ({}, {"passes": "none"}):
        found = compiled(graph, **options)(array)
        np.testing.assert_allclose(found[0], total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-6)


def test_one_body_in_two_loops():
    """A layer called twice: its body is one graph, its loops have memory each of their own."""
    x = input_("x", "f32[N, T, 8]")
    first = tanh_layer(x, 8, "rnn")[1]
    node = first.inputs[0]
    again = ops.scan(node.inputs[0], first, *node.inputs[2:], **node.attrs)
    graph = Graph("twice", (x,), (ops.core.ITEM(again, index=1),))
    weights = draw_weights(graph)
    array = draw(3, 4, 8)
    expected = tanh_reference(tanh_reference(array, weights, "rnn"), weights, "rnn")
    np.testing.assert_allclose(compiled(graph, weights)(array)[0], expected, rtol=1e-5, atol=1e-6)


def test_integers_swaps_and_what_stays():
    x = input_("x", "f32[N, T]")
    n = x.shape[0]
    starts = [full(1, (n,), FLOAT32), full(2, (n,), FLOAT32), full(0, (), INT32)]

    def step(state, slices):
        a, b, count = state
        return [b, a, ops.add(count, ops.constant(1))], [a, slices[0], ops.cast(a, dtype=INT32)]

    finals, results = ops.trace_scan(step, starts, [x])
    graph = Graph("swap", (x,), (*finals, *results))
    array = draw(3, 5)
    found = compiled(graph)(array)
    for one, other in zip(found, evaluate(graph, [array]), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found[2] == 5


def test_time_in_front_and_time_at_the_end():
    for text, axis in (("f32[T, N, 6]", 0), ("f32[N, 6, T]", 2)):
        x, w = input_("x", text), weight("w", "f32[6, 6]")
        zeros = full(0, (symbol("N"), 6), FLOAT32)

        def step(state, slices, w=w):
            new = ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))
            return [new], [ops.matmul(new, w)]

        (last,), (results,) = ops.trace_scan(step, [zeros], [x], axis=axis)
        graph = Graph("axes", (x,), (last, results))
        weights = draw_weights(graph)
        for n, t in ((1, 2), (18, 3)):
            array = draw(*(t, n, 6) if axis == 0 else (n, 6, t))
            expected = evaluate(graph, [array], weights, "float64")
            for options in ({}, {"passes": "none"}):
                found = compiled(graph, weights, **options)(array)
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# The program


@pytest.mark.smoke
def test_weights_are_packed_beforehand_and_values_before_the_loop():
    graph = recurrence()
    run = compiled(graph)
    labels = [getattr(row, "label", "") for row in run.program.rows]
    assert not any("pack" in label for label in labels)
    u = input_("u", "f32[8, 8]")
    h, x = input_("h", "f32[N, 8]"), input_("x", "f32[N, T, 8]")
    step = lambda s, xs: ([ops.add(ops.matmul(s[0], u), xs[0])], [])  # noqa: E731
    (last,), _ = ops.trace_scan(step, [h], [x])
    rows = compiled(Graph("given", (h, x, u), (last,))).program.rows
    packs = [i for i, row in enumerate(rows) if "pack" in getattr(row, "label", "")]
    (loop,) = (i for i, row in enumerate(rows) if isinstance(row, LoopRow))
    assert len(packs) == 1
    assert packs[0] < loop


@pytest.mark.smoke
def test_the_cell_of_an_lstm_is_one_kernel():
    run = compiled(stacked_lstms())
    loops = [row for row in run.program.rows if isinstance(row, LoopRow)]
    assert [row.rows for row in loops] == [1, 1]
    assert [str(row.trips) for row in loops] == ["T", "T"]
    assert "T times:" in str(run.schedule)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("as_carry", [False, True])
def test_what_a_step_joins_is_computed_where_it_ends_up(axis, as_carry):
    shape = (symbol("N"), 6, 8)
    x, start = input_("x", "f32[N, T, 6, 8]"), full(0, shape, FLOAT32)

    def step(state, slices):
        halves = pieces(ops.add(state[0], slices[0]), axis, [shape[axis] // 2] * 2)
        low, high = ops.tanh(halves[1]), ops.sin(ops.multiply(halves[0], halves[1]))
        joined = ops.concatenate(low, high, axis=axis)
        return ([joined], []) if as_carry else ([ops.square(joined)], [joined])

    last, results = ops.trace_scan(step, [start], [x])
    graph = Graph("joined", (x,), (*last, *results))
    run = compiled(graph)
    labels = [getattr(row, "label", "") for row in run.program.rows]
    assert not any("concatenate" in label for label in labels)
    for n, t in ((1, 3), (5, 2)):
        array = draw(n, t, 6, 8)
        assert_computes(run(array), graph, [array])


def test_what_others_read_too_is_copied_where_it_is_joined():
    x, start = input_("x", "f32[N, T, 3]"), full(0, (symbol("N"), 6), FLOAT32)

    def step(state, slices):
        once = ops.tanh(ops.add(slices[0], pieces(state[0], 1, [3, 3])[1]))
        return [ops.concatenate(once, slices[0], axis=1)], [ops.sum(once, axes=(1,), keepdims=True)]

    last, results = ops.trace_scan(step, [start], [x])
    graph = Graph("read twice", (x,), (*last, *results))
    array = draw(4, 3, 3)
    assert_computes(compiled(graph)(array), graph, [array])


@pytest.mark.smoke
def test_a_loop_that_keeps_samples_apart_is_tiled():
    run = compiled(stacked_lstms())
    tiles = [i for i, row in enumerate(run.program.rows) if isinstance(row, TileRow)]
    loops = [i for i, row in enumerate(run.program.rows) if isinstance(row, LoopRow)]
    assert len(tiles) == len(loops) == 2
    assert all(run.program.around[loop] == (tile,) for tile, loop in zip(tiles, loops, strict=True))


@pytest.mark.parametrize("steps", [4, 4096])
def test_sequences_of_a_loop_take_no_room_in_its_tile(steps):
    x = input_("x", f"f32[N, {steps}, 8]")
    step = lambda s, xs: ([ops.maximum(s[0], xs[0])],) * 2  # noqa: E731
    _, (stacked,) = ops.trace_scan(step, [full(0, (symbol("N"), 8), FLOAT32)], [x])
    run = compiled(Graph("passing", (x,), (stacked,)))
    (tile,) = (row for row in run.program.rows if isinstance(row, TileRow))
    assert tile.tile == 16


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "axis", "reason"),
    [("f32[T, N, 4]", 0, "NO_BATCH"), ("f32[N, T, 4]", 1, "MIXES_SAMPLES")],
)
def test_why_a_loop_is_not_tiled(text, axis, reason):
    x = input_("x", text)

    def step(state, slices):
        new = ops.maximum(state[0], slices[0])
        mixed = ops.subtract(new, ops.max(new, axes=(0,), keepdims=True))
        return [mixed if axis else new], []

    zeros = full(0, (symbol("N"), 4), FLOAT32)
    (last,), _ = ops.trace_scan(step, [zeros], [x], axis=axis)
    run = compiled(Graph("apart", (x,), (last,)))
    reasons = {d.reason for d in run.decisions.of_stage("tile") if d.pattern == "scan"}
    assert reasons == {reason}


def test_what_only_loops_read_lies_step_after_step():
    x, zeros = input_("x", "f32[N, T, 8]"), full(0, (symbol("N"), 8), FLOAT32)
    step = lambda s, xs: ([ops.add(s[0], ops.maximum(s[0], xs[0]))],) * 2  # noqa: E731
    _, (between,) = ops.trace_scan(step, [zeros], [x])
    _, (result,) = ops.trace_scan(step, [zeros], [between], reverse=True)
    alone, shown = (Graph("two", (x,), outputs) for outputs in ((result,), (result, between)))
    run, other = compiled(alone), compiled(shown)
    stacked = [n for n in run.schedule.graph.nodes if n.op.name == "item"]
    assert [run.schedule.layouts[n].outermost for n in stacked] == [1, 0]
    reasons = {d.reason for d in run.decisions.of_stage("tile") if d.pattern == "scan"}
    assert reasons == {"TIME_MAJOR"}
    for n, t in ((1, 3), (5, 2), (64, 4)):
        array = draw(n, t, 8)
        assert_computes(run(array), alone, [array])
        np.testing.assert_array_equal(run(array)[0], other(array)[0])


@pytest.mark.smoke
def test_large_weights_are_shared_by_the_threads():
    x = input_("x", "f32[N, T, 8]")
    run = compiled(Graph("wide", (x,), (lstm_layer(x, 1024, "wide")[0],)))
    decision = next(d for d in run.decisions.of_stage("tile") if d.pattern == "scan")
    assert (decision.action, decision.reason) == ("declined", "WEIGHTS")
    assert "16.8 MB" in decision.detail


@pytest.mark.smoke
def test_profiles_show_the_loop_above_its_launches():
    with origin_scope(Origin("lstm")):
        graph = stacked_lstms()
    found = profile(compiled(graph), draw(2, 7, 5), repeats=3)
    names = [(launch.kernel, launch.depth) for launch in found.launches]
    assert ("7 times through 1 launch", 0) in names
    matmul = next(launch for launch in found.launches if launch.depth)
    assert matmul.flops == 7 * 2 * 2 * 8 * 32
    assert matmul.layers == "lstm"


# Random loops


def arguments(graph: Graph, seed: int, n: int, t: int):
    return random_arguments(graph, seed, {"N": n, "T": t})


@pytest.mark.parametrize("seed", seeds(24, 60))
def test_passes_keep_what_random_loops_compute(seed):
    graph = random_scan_graph(seed)
    verify(graph)
    assert parse_ir(str(graph)) == graph
    stages = optimize(graph, HERE)
    for n, t in ((2, 3), (1, 0), (3, 1)):
        inputs, weights = arguments(graph, seed, n, t)
        expected = evaluate(graph, inputs, weights, "float64")
        for name, stage in stages.items():
            verify(stage, name)
            found = evaluate(stage, inputs, weights, "float64")
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize("seed", seeds(12, 30))
def test_random_loops_touch_their_own_memory_and_do_not_race(seed, passes):
    graph = random_scan_graph(100 + seed)
    weights = arguments(graph, seed, 2, 2)[1]
    machine = Supervised(graph, weights, passes)
    for n, t, orders in ((2, 3, (0, 1, 5)), (18, 1, (5,))):
        inputs, _ = arguments(graph, seed, n, t)
        expected = evaluate(graph, inputs, weights, "float64")
        for order in orders:
            found = machine(*inputs, threads=2, seed=order)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 212))
def test_random_loops_run(seed):
    graph = random_scan_graph(seed)
    weights = arguments(graph, seed, 2, 2)[1]
    for options in ({}, {"passes": "none"}, {"disable": ["hoist", "tile"]}):
        one, two = (compiled(graph, weights, threads, **options) for threads in (1, 2))
        for n, t in ((1, 2), (2, 3), (3, 0), (19, 1), (17, 2)):
            inputs, _ = arguments(graph, seed, n, t)
            expected = evaluate(graph, inputs, weights, "float64")
            for first, second, right in zip(one(*inputs), two(*inputs), expected, strict=True):
                np.testing.assert_allclose(first, right, rtol=1e-3, atol=1e-4)
                np.testing.assert_array_equal(first, second)
