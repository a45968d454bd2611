"""Gradients through loops: against finite differences, of every kind of operand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from here import context
from recurrent import draw_weights, input_, lstm_layer, tanh_layer, weight

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node, Origin, origin_scope
from keraunos.compiler.ir.types import FLOAT32, INT32
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.building import full
from keraunos.compiler.passes.hoist import hoist
from keraunos.compiler.passes.trim import trim
from keraunos.runtime.dim import symbol

STEP = 1e-6


def total(*nodes: Node) -> Node:
    """A number that every element of ``nodes`` has its own part in."""
    sums = []
    for node in nodes:
        weights = ops.sin(ops.add(ops.multiply(node, ops.constant(1.7)), ops.constant(0.3)))
        sums.append(ops.sum(weights, axes=tuple(range(node.tensor_type.rank))))
    result = sums[0]
    for other in sums[1:]:
        result = ops.add(result, ops.multiply(other, ops.constant(0.7)))
    return result


def check(
    wrt: Sequence[Node],
    loss: Node,
    sizes: dict[str, int],
    integers: int = 3,
    fixed: Sequence[Node] = (),
) -> tuple[Graph, list[np.ndarray], dict[str, np.ndarray]]:
    """Compares all gradients with central differences along one direction; gives their graph.

    Inputs in ``fixed`` are not differentiated by.
    """
    inputs = (*wrt, *fixed)
    graph = Graph("loss", inputs, (loss,))
    rng = np.random.default_rng(0)
    arrays = []
    for node in inputs:
        shape = node.tensor_type.bind(sizes).shape
        floats = rng.standard_normal(shape)
        arrays.append(floats if node.dtype.is_float else rng.integers(0, integers, shape))
    weights = {name: array.astype(float) for name, array in draw_weights(graph).items()}
    wrt = [*(n for n in wrt if n.dtype.is_float), *graph.parameters]
    slopes = graph.with_outputs(gradients(loss, wrt))
    verify(slopes)
    found = evaluate(slopes, arrays, weights, "float64")
    directions = {node: rng.standard_normal(a.shape) for node, a in zip(wrt, found, strict=True)}
    ends = []
    for sign in (STEP, -STEP):
        moved = [
            a + sign * directions[n] if n in directions else a
            for n, a in zip(inputs, arrays, strict=True)
        ]
        bent = {
            n.attrs["name"]: weights[n.attrs["name"]] + sign * directions[n]
            for n in graph.parameters
        }
        ends.append(float(evaluate(graph, moved, bent, "float64")[0]))
    slope = sum(float(np.sum(g * directions[n])) for n, g in zip(wrt, found, strict=True))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * STEP), rtol=1e-5, atol=1e-6)
    return slopes, arrays, weights


SIZES = {"N": 2, "T": 4}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layer", [tanh_layer, lstm_layer])
def test_layers(layer, reverse):
    x = input_("x", "f32[N, T, 3]")
    last, states = layer(x, 4, "layer", reverse)
    check([x], total(last, states), SIZES)
    check([x], total(last), SIZES)
    check([x], total(states), SIZES)


def test_a_stack_and_the_graph_around_it():
    x = input_("x", "f32[N, T, 3]")
    _, states = lstm_layer(ops.tanh(x), 4, "one")
    last, _ = lstm_layer(ops.multiply(states, ops.constant(0.5)), 4, "two")
    check([x], total(ops.softmax(last)), SIZES)


def test_no_steps():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")
    (last,), _ = ops.trace_scan(lambda s, xs: ([ops.tanh(ops.add(s[0], xs[0]))], []), [h], [x])
    slopes, arrays, _ = check([x, h], total(last), {"N": 2, "T": 0})
    by_x, by_h = evaluate(slopes, arrays, {}, "float64")
    assert by_x.shape == (2, 0, 4)
    np.testing.assert_allclose(by_h, np.cos(arrays[1] * 1.7 + 0.3) * 1.7, rtol=1e-6)


def test_captured_values_are_summed_over_the_steps():
    """A value captured as it is, one computed from it, and one captured twice."""
    x, scale = input_("x", "f32[N, T, 4]"), input_("scale", "f32[4]")
    doubled = ops.tanh(scale)
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        new = ops.add(ops.multiply(state[0], doubled), ops.multiply(slices[0], scale))
        return [new], [ops.multiply(new, ops.tanh(scale))]

    (last,), (results,) = ops.trace_scan(step, [zeros], [x])
    check([x, scale], total(last, results), SIZES)
    node = last.inputs[0]
    body = node.attrs["body"]
    inner = body.inputs[-1]
    twice = ops.input_("again", inner.tensor_type)
    wide = Graph("body", (*body.inputs, twice), tuple(ops.multiply(o, twice) for o in body.outputs))
    again = ops.scan(*node.inputs, node.inputs[-1], **(node.attrs | {"body": wide}))
    check([x, scale], total(ops.core.ITEM(again, index=1)), SIZES)


def test_carries_of_all_kinds():
    """Numbers, counters, one handed on unchanged, one that only the steps' results use."""
    x, index = input_("x", "f32[N, T, 4]"), input_("index", "i32[N, T]")
    table = weight("table", "f32[3, 4]")
    n = x.shape[0]
    starts = [
        full(0.5, (n, 4), FLOAT32),
        full(1.0, (), FLOAT32),
        full(0, (n,), INT32),
        ops.tanh(input_("h", "f32[N, 4]")),
    ]
    h = starts[3].inputs[0]

    def step(state, slices):
        a, number, count, same = state
        row = ops.gather(table, slices[1], axis=0)
        a = ops.tanh(ops.add(ops.multiply(a, number), ops.add(slices[0], ops.multiply(row, same))))
        number = ops.multiply(number, ops.constant(0.9))
        return [a, number, ops.add(count, slices[1]), same], [ops.square(a), count]

    finals, results = ops.trace_scan(step, starts, [x, index])
    check([x, index, h], total(finals[0], results[0]), SIZES)
    check([x, index, h], total(finals[1], finals[3]), SIZES)


def test_time_along_other_axes():
    for text, axis in (("f32[T, N, 4]", 0), ("f32[N, 4, T]", 2)):
        x, w = input_("x", text), weight("w", "f32[4, 4]")
        zeros = full(0, (symbol("N"), 4), FLOAT32)

        def step(state, slices, w=w):
            new = ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))
            return [new], [new]

        (last,), (states,) = ops.trace_scan(step, [zeros], [x], axis=axis)
        check([x], total(last, states), SIZES)


def test_a_loop_in_a_loop():
    x, w = input_("x", "f32[N, T, 3, 4]"), weight("w", "f32[4, 4]")
    zeros = full(0, (x.shape[0], 4), FLOAT32)

    def inner(state, slices):
        new = ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))
        return [new], [new]

    def outer(state, slices):
        (last,), (states,) = ops.trace_scan(inner, [state[0]], [slices[0]])
        return [last], [ops.sum(states, axes=(1,))]

    (last,), (sums,) = ops.trace_scan(outer, [zeros], [x])
    check([x], total(last, sums), SIZES)


def test_the_gradient_of_the_gradient():
    x = input_("x", "f32[N, T, 3]")
    last, _ = tanh_layer(x, 4, "layer")
    (slope,) = gradients(total(last), [x])
    check([x], total(slope), SIZES)


# What has no gradient


def picked(row: Node) -> Node:
    """Ones and zeros that depend on ``row`` by an index alone."""
    with origin_scope(Origin("pick", "model.py", 7)):
        index = ops.argmax(row)
        numbers = ops.cast(ops.reshape(index, shape=(row.shape[0], 1)), dtype="float32")
    return ops.broadcast_to(numbers, shape=row.shape)


NO_SLOPE = r"argmax .*: an index has no derivative\n  at pick  model.py:7"


def looped(step, *starts: Node, x: Node) -> tuple[Node, ...]:
    finals, results = ops.trace_scan(step, starts, [x])
    return (*finals, *results)


def test_an_index_of_a_slice_is_refused_as_outside_of_loops():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")
    (last,) = looped(lambda s, xs: ([ops.tanh(ops.add(s[0], picked(xs[0])))], []), h, x=x)
    with pytest.raises(IRError, match=NO_SLOPE):
        gradients(total(last), [x])
    check([h], total(ops.add(last, h)), SIZES, fixed=[x])


def test_an_index_of_a_carry_or_of_a_captured_value_is_refused():
    x, h, w = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]"), input_("w", "f32[N, 4]")
    (last,) = looped(lambda s, xs: ([ops.add(picked(s[0]), xs[0])], []), h, x=x)
    with pytest.raises(IRError, match=NO_SLOPE):
        gradients(total(last), [h])
    (last,) = looped(lambda s, xs: ([ops.add(picked(w), ops.multiply(s[0], xs[0]))], []), h, x=x)
    with pytest.raises(IRError, match=NO_SLOPE):
        gradients(total(last), [w])


def test_an_index_that_is_carried_or_leaves_the_loop_is_refused():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")
    count = full(0, (x.shape[0],), INT32)

    def step(state, slices):
        with origin_scope(Origin("pick", "model.py", 7)):
            index = ops.argmax(slices[0])
        number = ops.cast(ops.reshape(state[1], shape=(state[1].shape[0], 1)), dtype="float32")
        return [ops.multiply(state[0], number), index], [state[1]]

    last, index, indices = looped(step, h, count, x=x)
    for loss in (last, ops.cast(index, dtype="float32"), ops.cast(indices, dtype="float32")):
        with pytest.raises(IRError, match=NO_SLOPE):
            gradients(total(loss), [x])


def test_an_index_in_a_loop_in_a_loop_is_refused():
    x, h = input_("x", "f32[N, T, 3, 4]"), input_("h", "f32[N, 4]")

    def inner(state, slices):
        return [ops.add(state[0], picked(slices[0]))], []

    def outer(state, slices):
        return [*looped(inner, state[0], x=slices[0])], []

    (last,) = looped(outer, h, x=x)
    with pytest.raises(IRError, match=NO_SLOPE):
        gradients(total(last), [x])


def test_what_a_loop_counts_is_no_index_of_what_it_sums():
    """A counter becomes a float, but no input has a part in it."""
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")
    count = full(0, (), INT32)

    def step(state, slices):
        return [ops.add(state[0], slices[0]), ops.add(state[1], ops.constant(1))], []

    last, number = looped(step, h, count, x=x)
    check([x, h], ops.cast(number, dtype="float32"), SIZES)
    check([x, h], ops.multiply(total(last), ops.cast(number, dtype="float32")), SIZES)


def test_a_row_that_an_index_picks_has_zeros_for_the_index():
    x, table = input_("x", "f32[N, T, 4]"), input_("table", "f32[4, 4]")
    h = full(0, (x.shape[0], 4), FLOAT32)
    (last,) = looped(
        lambda s, xs: ([ops.add(s[0], ops.gather(table, ops.argmax(xs[0]), axis=0))], []), h, x=x
    )
    slopes, arrays, weights = check([x, table], total(last), SIZES)
    assert not evaluate(slopes, arrays, weights)[0].any()


def test_gradients_stay_zero_through_a_carry_that_is_rounded():
    x, h = input_("x", "f32[N, T, 4]"), input_("h", "f32[N, 4]")
    (last,) = looped(lambda s, xs: ([ops.add(ops.floor(s[0]), xs[0])], []), h, x=x)
    slopes, arrays, weights = check([x, h], total(last), SIZES)
    assert not evaluate(slopes, arrays, weights)[1].any()


# Only what is asked for


def test_frozen_weights_are_not_summed():
    x = input_("x", "f32[N, T, 3]")
    last, _ = lstm_layer(x, 4, "layer")
    loss = total(last)
    graph = Graph("loss", (x,), (loss,))
    w, u, b = (next(n for n in graph.parameters if n.attrs["name"] == f"layer.{k}") for k in "wub")

    def carries(*wrt: Node) -> int:
        nodes = graph.with_outputs(gradients(loss, wrt)).nodes
        return next(n for n in reversed(nodes) if n.op is ops.scan).attrs["carries"]

    assert carries(w, u, b) == 5
    assert carries(u) == 3
    assert carries(x) == 2


def test_carries_that_nothing_asked_for_changes_are_left_alone():
    """One carry follows the weight, the other the data."""
    x, w = input_("x", "f32[N, T, 4]"), input_("w", "f32[4]")
    h = full(1.0, (x.shape[0], 4), FLOAT32)

    def step(state, slices):
        a, b = state
        return [ops.multiply(a, w), ops.multiply(b, ops.sin(slices[0]))], []

    a, b = looped(step, h, h, x=x)
    loss = total(ops.multiply(a, b))
    check([w], loss, SIZES, fixed=[x])
    (slope,) = gradients(loss, [w])
    nodes = Graph("g", (x, w), (slope,)).nodes
    back = next(n for n in reversed(nodes) if n.op is ops.scan)
    assert back.attrs["carries"] == 2, "the slope of one carry and the sum for the weight"


def test_passes_leave_one_loop_each_way():
    """The forward loop that saves the carries and the model's own become one."""
    x = input_("x", "f32[N, T, 3]")
    last, _ = lstm_layer(x, 4, "layer")
    slopes, arrays, weights = check([x], total(last), SIZES)
    decisions = Decisions()
    after = hoist(trim(slopes, context(decisions)), context(decisions))
    verify(after)
    loops = [node for node in after.nodes if node.op is ops.scan]
    assert [loop.attrs["reverse"] for loop in loops] == [False, True]
    inside = [node.op.name for node in loops[1].attrs["body"].nodes]
    assert "sigmoid" not in inside, "what is computed again is so for all steps at once"
    expected = evaluate(slopes, arrays, weights, "float64")
    for one, other in zip(evaluate(after, arrays, weights, "float64"), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_gradients_run_compiled():
    x = input_("x", "f32[N, T, 3]")
    last, states = lstm_layer(x, 8, "layer")
    slopes, arrays, weights = check([x], total(last, states), SIZES)
    single = {name: array.astype("float32") for name, array in weights.items()}
    expected = evaluate(slopes, arrays, weights, "float64")
    bits = []
    for threads in (1, 2):
        run = compile_graph(slopes, threads=threads)
        run.set_parameters(single)
        found = run(*(array.astype("float32") for array in arrays))
        bits.append(found)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(*bits, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_body_that_is_fused_already_says_so():
    x = input_("x", "f32[N, T, 4]")
    last, _ = lstm_layer(x, 8, "layer")
    fused = compile_graph(Graph("net", (x,), (last,))).graph
    with pytest.raises(IRError, match=r"fused .* has no gradient: differentiate before fusing"):
        gradients(total(fused.outputs[0]), [x])
