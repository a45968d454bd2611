"""Contractions with several accumulators and results: the cells of recurrent nets in one kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from agreement import assert_computes
from graphs import random_arguments
from kernel_machine import Supervised
from machines import machine, target_of
from recurrent import draw, gru_layer, input_, lstm_layer, stacked_lstms, tanh_layer, weight

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.cpu.bodies import Contract
from keraunos.compiler.cpu.packing import Panels
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.kinds import Contraction
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.loops.anchored import match_anchored
from keraunos.compiler.loops.layout import Launch, Layout
from keraunos.compiler.ops.building import full, pieces
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.schedule import Schedule, Step, schedule
from keraunos.runtime.native.features import LANE_CHOICES

Cell = Callable[[Node, Sequence[Node], Node], Sequence[Node]]  # of x projected, states, h @ U


def cell_layer(x: Node, units: int, gates: int, states: int, cell: Cell) -> list[Node]:
    """The last states and all first ones of a user's own cell."""
    w = weight("w", f"f32[{x.shape[-1]}, {gates * units}]")
    u = weight("u", f"f32[{units}, {gates * units}]")
    b = weight("b", f"f32[{gates * units}]")

    def step(state, slices):
        projected = ops.matmul(slices[0], w)
        new = cell(projected, state, ops.add(ops.matmul(state[0], u), b))
        return list(new), [new[0]]

    zeros = full(0, (x.shape[0], units), x.dtype)
    last, (all_,) = ops.trace_scan(step, [zeros] * states, [x])
    return [*last, all_]


def reset_after(x: Node, state: Sequence[Node], product: Node) -> Sequence[Node]:
    """A GRU that resets what the product made, as Keras's does: no name of a cell is known."""
    (h,) = state
    units = h.shape[-1]
    zx, rx, nx = pieces(x, 1, [units] * 3)
    zh, rh, nh = pieces(product, 1, [units] * 3)
    z, r = ops.sigmoid(ops.add(zx, zh)), ops.sigmoid(ops.add(rx, rh))
    n = ops.tanh(ops.add(nx, ops.multiply(r, nh)))
    return [ops.add(ops.multiply(z, ops.subtract(h, n)), n)]


def highway(x: Node, state: Sequence[Node], product: Node) -> Sequence[Node]:
    """Two gates, activated before they are told apart, and a second state that counts them up."""
    h, seen = state
    gates = ops.sigmoid(ops.add(x, product))
    keep, new = pieces(gates, 1, [h.shape[-1]] * 2)
    h = ops.add(ops.multiply(keep, h), ops.multiply(ops.subtract(ops.constant(1.0), keep), new))
    return [h, ops.add(ops.multiply(seen, ops.constant(0.5)), keep)]


def own(cell: Cell, gates: int, states: int = 1) -> Callable[[Node, int], list[Node]]:
    return lambda x, units: cell_layer(x, units, gates, states, cell)


LAYERS: dict[str, tuple[Callable[[Node, int], Sequence[Node]], tuple[int, ...]]] = {
    "lstm": (lambda x, units: lstm_layer(x, units, "rnn"), (4,)),
    "reversed lstm": (lambda x, units: lstm_layer(x, units, "rnn", reverse=True), (4,)),
    "gru": (lambda x, units: gru_layer(x, units, "rnn"), (2, 1)),
    "gru that resets after the product": (own(reset_after, 3), (3,)),
    "tanh": (lambda x, units: tanh_layer(x, units, "rnn"), (1,)),
    "a cell of two gates": (own(highway, 2, states=2), (2,)),
}


def graph_of(name: str, units: int = 8, sizes: str = "N, T") -> Graph:
    x = input_("x", f"f32[{sizes}, 5]")
    return Graph("rnn", (x,), tuple(LAYERS[name][0](x, units)))


def steps_of(scheduled: Schedule) -> tuple[Step, ...]:
    """The steps within the one loop."""
    (loop,) = (step.loop for step in scheduled.steps if step.loop is not None)
    return loop.body.steps


def launches(graph: Graph, lanes: int | None = None) -> list[Launch]:
    """Those of a step of the loop."""
    target = target_of(machine(lanes))
    steps = steps_of(lower(schedule(optimize(graph, target).last, target), target))
    return [launch for step in steps for launch in step.launches]


def compiled(graph: Graph, seed: int = 0, **options) -> tuple[Executable, dict[str, np.ndarray]]:
    run = compile_graph(graph, **options)
    _, parameters = random_arguments(graph, seed, {"N": 1, "T": 1})
    run.set_parameters(parameters)
    return run, parameters


@pytest.mark.smoke
@pytest.mark.parametrize("lanes", LANE_CHOICES)
@pytest.mark.parametrize("name", LAYERS)
def test_each_product_of_a_step_is_one_kernel_with_all_its_gates(name: str, lanes: int) -> None:
    bodies = [launch.kernel.body for launch in launches(graph_of(name, 24), lanes)]
    assert all(isinstance(body, Contract) for body in bodies)
    assert tuple(body.epilogue.gates for body in bodies) == LAYERS[name][1]


@pytest.mark.smoke
def test_a_cell_stores_its_states_and_what_is_stacked() -> None:
    (launch,) = launches(graph_of("lstm"))
    stores = [store.pointer for store in launch.kernel.body.epilogue.stores]
    assert stores == ["y", "y1", "y2"]  # c, h and h over all steps
    assert sum(param.name == "z0" for param in launch.kernel.params) == 1


@pytest.mark.parametrize("units", [1, 3, 8, 20, 40])
@pytest.mark.parametrize("name", LAYERS)
def test_any_number_of_units_samples_and_steps(name: str, units: int) -> None:
    graph = graph_of(name, units)
    run, parameters = compiled(graph)
    for n, t in ((1, 3), (2, 1), (5, 2), (17, 2)):
        x = [draw(n, t, 5, seed=n)]
        assert_computes(run(*x), graph, x, parameters)


@pytest.mark.parametrize("name", ["lstm", "gru that resets after the product"])
def test_known_sizes(name: str) -> None:
    for sizes in ("1, 3", "7, 2"):
        graph = graph_of(name, 12, sizes)
        run, parameters = compiled(graph)
        x = [draw(*map(int, sizes.split(", ")), 5)]
        assert_computes(run(*x), graph, x, parameters)


@pytest.mark.parametrize("lanes", LANE_CHOICES)
@pytest.mark.parametrize("name", ["lstm", "a cell of two gates"])
def test_no_kernel_leaves_its_operands_whatever_the_lanes(name: str, lanes: int) -> None:
    """Interpreted, with threads in any order: what one reads of h no other has written yet."""
    graph = graph_of(name, 11)
    inputs, parameters = random_arguments(graph, 3, {"N": 3, "T": 3})
    run = Supervised(graph, parameters, target=target_of(machine(lanes)))
    for seed in (1, 2):
        assert_computes(run(*inputs, seed=seed), graph, inputs, parameters)


@pytest.mark.parametrize("name", LAYERS)
def test_threads_do_not_show_in_the_bits(name: str) -> None:
    graph = graph_of(name, 40)
    one, two = (compiled(graph, threads=threads)[0] for threads in (1, 2))
    for n, t in ((1, 5), (3, 4), (33, 3)):
        x = draw(n, t, 5)
        for first, second in zip(one(x), two(x), strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name: str) -> None:
    forward = graph_of(name, 6)
    total = ops.sum(ops.square(forward.outputs[-1]), axes=(0, 1, 2))
    slopes = gradients(total, forward.parameters)
    graph = Graph("step", forward.inputs, (total, *slopes))
    run, parameters = compiled(graph)
    x = [draw(3, 4, 5)]
    assert_computes(run(*x), graph, x, parameters)


def test_weights_that_are_computed_are_packed_by_gates() -> None:
    """Of a product outside of loops: a gated linear unit whose weights are no parameters."""
    text = """graph glu(%x: f32[N, 7], %w: f32[7, 22], %r: f32[N, 11]) -> (f32[N, 11], f32[N, 22]) {
      %0 = matmul(%x, %w)
      %1 = slice(%0, start=(0, 0), stop=(N, 11), step=(1, 1))
      %2 = slice(%0, start=(0, 11), stop=(N, 22), step=(1, 1))
      %3 = sigmoid(%2)
      %4 = multiply(%1, %3)
      %5 = add(%4, %r)
      return %5, %0 }"""
    for kind in ("f32[7, 22]", "f32[N, 7, 22]"):
        source = text.replace("%w: f32[7, 22]", f"%w: {kind}")
        if kind != "f32[7, 22]":
            source = source.replace("f32[N, 7]", "f32[N, 4, 7]").replace(
                "f32[N, 11]", "f32[N, 4, 11]"
            )
            source = source.replace("f32[N, 22]", "f32[N, 4, 22]").replace("(0, ", "(0, 0, ")
            source = source.replace("(N, 11)", "(N, 4, 11)").replace("(N, 22)", "(N, 4, 22)")
            source = source.replace("(1, 1)", "(1, 1, 1)")
        graph = parse_ir(source)
        run, _ = compiled(graph)
        assert any("multiply" in kernel.name for kernel in run.program.kernels)
        for n in (1, 6, 13):
            inputs, _ = random_arguments(graph, n, {"N": n})
            assert_computes(run(*inputs), graph, inputs)


def test_a_captured_value_is_packed_by_gates_before_the_loop() -> None:
    u = input_("u", "f32[10, 20]")
    h, x = input_("h", "f32[N, 10]"), input_("x", "f32[N, T, 20]")

    def step(state, slices):
        gates = ops.add(ops.matmul(state[0], u), slices[0])
        i, j = pieces(gates, 1, [10, 10])
        return [ops.multiply(ops.sigmoid(i), ops.tanh(j))], []

    (last,), _ = ops.trace_scan(step, [h], [x])
    graph = Graph("given", (h, x, u), (last,))
    run, _ = compiled(graph)
    assert any("pack" in getattr(row, "label", "") for row in run.program.rows)
    inputs, _ = random_arguments(graph, 0, {"N": 6, "T": 3})
    assert_computes(run(*inputs), graph, inputs)


@pytest.mark.smoke
@pytest.mark.parametrize(("units", "width"), [(8, 4), (5, 4), (3, 8)])
def test_panels_hold_the_same_units_of_each_gate(units: int, width: int) -> None:
    gates, depth = 3, 2
    weights = draw(depth, gates * units)
    packed = Panels(gates * width, gates=gates).pack(weights)
    assert packed.size == Panels(gates * width, gates=gates).elements(
        input_("w", f"f32[{depth}, {gates * units}]").tensor_type
    )
    panels = packed.reshape(-1, depth, gates, width)
    for gate in range(gates):
        for unit in range(units):
            column = panels[unit // width, :, gate, unit % width]
            np.testing.assert_array_equal(column, weights[:, gate * units + unit])
    assert np.count_nonzero(packed) == weights.size


@pytest.mark.smoke
def test_explain_shows_that_a_cell_is_one_kernel() -> None:
    run, _ = compiled(stacked_lstms())
    fused = [d.pattern for d in run.decisions.of_stage("fuse") if d.action == "fused"]
    assert sum(pattern.startswith("matmul+add+slice+") for pattern in fused) == 2
    assert not [d for d in run.decisions.of_stage("fuse") if d.declined]


# Two contractions


@pytest.mark.smoke
def test_a_group_of_two_products_is_seen_whole() -> None:
    """No template holds both today; the view of such a group is there for one that will."""
    body = parse_ir(
        """graph body(%q: f32[N, 5, 8], %k: f32[N, 8, 5], %v: f32[N, 5, 6], %r: f32[N, 5, 6]) {
        %0 = matmul(%q, %k)
        %1 = multiply(%0, 0.5)
        %2 = exp(%1)
        %3 = matmul(%2, %v)
        %4 = add(%3, %r)
        return %4 }"""
    )
    placed = tuple(Layout(node.tensor_type) for node in body.inputs)
    results = (Layout(body.outputs[0].tensor_type),)
    assert match_anchored(body, placed, results, Contraction, several=True) is None
    group = match_anchored(body, placed, results, Contraction, Contraction, several=True)
    assert group is not None
    first, second = group.anchors
    assert [let.fn for let in first.matched.block] == ["multiply", "exp"]
    assert [let.fn for let in second.matched.block] == ["add"]
    assert [operand.node for operand in second.matched.operands] == [body.inputs[3]]
