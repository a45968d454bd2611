"""Gradients of random graphs: right by differences in float64, and the same from kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from agreement import SIZES
from gradient_checks import GradientCheck, weighted_squares
from graphs import assert_same_values, random_arguments, random_graph
from here import HERE
from scan_graphs import random_scan_graph
from tiers import seeds
from wild_graphs import wild_graph

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node
from keraunos.compiler.ir.rewrite import all_nodes
from keraunos.compiler.pipeline import optimize

FAST, SLOW = 4, 120
MAKERS = [wild_graph, random_graph, random_scan_graph]
LOOP_SIZES = {"N": 2, "T": 3}


def gradient_check_of(
    make: Callable[[int], Graph], seed: int, sizes: dict[str, int]
) -> GradientCheck | None:
    """The gradients of a random combination of a graph's results; None if it has none."""
    graph = make(seed)
    # Differences see through what gradients stop at.
    stopped = any(node.op is ops.stop_gradient for node in all_nodes(graph))
    if stopped or not any(node.dtype.is_float for node in graph.outputs):
        return None
    loss = Graph(graph.name, graph.inputs, (weighted_squares(graph.outputs),))
    leaves = (*graph.inputs, *graph.parameters)
    wrt = [node for node in leaves if node.dtype.is_float and learns(loss, node)]
    inputs, parameters = random_arguments(graph, seed, sizes)
    if not wrt or not usable(loss, inputs, parameters):
        return None
    return GradientCheck.of(
        loss, wrt, list(map(wide, inputs)), {n: wide(a) for n, a in parameters.items()}
    )


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype("float64") if array.dtype.kind == "f" else array


def learns(loss: Graph, node: Node) -> bool:
    """Whether there is a gradient: an input may count by way of integers alone."""
    try:
        gradients(loss.outputs[0], [node])
    except IRError as error:
        assert "no gradient" in str(error)
        return False
    return True


def usable(loss: Graph, inputs: list[np.ndarray], parameters: dict[str, np.ndarray]) -> bool:
    """Whether the sizes fit the graph, and the loss is a number to take differences of."""
    try:
        (value,) = evaluate(loss, inputs, parameters, "float64")
    except ValueError:
        return False
    return bool(np.isfinite(value) and abs(value) < 1e8)


def sizes_for(make: Callable[[int], Graph], seed: int) -> dict[str, int]:
    return LOOP_SIZES if make is random_scan_graph else dict(SIZES[seed % len(SIZES)])


@pytest.mark.parametrize("seed", seeds(FAST * 4, SLOW * 5))
@pytest.mark.parametrize("make", MAKERS)
def test_gradients_of_random_graphs(make, seed):
    slopes = gradient_check_of(make, seed, sizes_for(make, seed))
    if slopes is not None:
        slopes.assert_right(rtol=1e-4)


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
@pytest.mark.parametrize("make", MAKERS)
def test_compiled_gradients_of_random_graphs(make, seed):
    slopes = gradient_check_of(make, seed, sizes_for(make, seed))
    if slopes is not None:
        slopes.assert_compiled()


@pytest.mark.parametrize("seed", seeds(FAST * 4, SLOW * 3))
def test_passes_over_loops_keep_gradients(seed):
    """The gradients of loops are what ``retain`` and ``sink`` are for: forward and back at once."""
    slopes = gradient_check_of(random_scan_graph, seed, LOOP_SIZES)
    if slopes is None:
        return
    both = (*slopes.loss.outputs, *slopes.graph.outputs)
    graph = Graph("both", slopes.graph.inputs, both)
    stages = optimize(graph, HERE, stop_after="sink")
    for stage in ("retain", "sink"):
        assert_same_values(stages["hoist"], stages[stage], seed, LOOP_SIZES, rtol=1e-8)


@pytest.mark.parametrize("seed", seeds(FAST * 2, SLOW))
def test_gradients_of_unrolled_loops(seed):
    """Forward and back, by every number of steps in one, and with all laid out."""
    sizes, count = {"N": 2}, 5
    slopes = gradient_check_of(lambda seed: random_scan_graph(seed, steps=count), seed, sizes)
    if slopes is None:
        return
    both = (*slopes.loss.outputs, *slopes.graph.outputs)
    graph = Graph("both", slopes.graph.inputs, both)
    for how in (*range(2, count), True):
        stages = optimize(graph, HERE, passes=("unroll",), unroll=how)
        assert stages["unroll"] != stages["expand"]
        assert_same_values(graph, stages["unroll"], seed, sizes, rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(0, 40))
@pytest.mark.parametrize("make", MAKERS)
def test_gradients_without_passes(make, seed):
    slopes = gradient_check_of(make, 1000 + seed, sizes_for(make, seed))
    if slopes is not None:
        slopes.assert_compiled(passes="none")


def test_most_random_graphs_have_gradients():
    found = [gradient_check_of(make, s, sizes_for(make, s)) for make in MAKERS for s in range(20)]
    assert sum(each is not None for each in found) > 45
