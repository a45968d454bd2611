"""Random graphs on the machine that checks every load and store, and every race."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from agreement import SIZES, assert_agrees, prefixes
from graphs import random_arguments, random_graph
from kernel_machine import Supervised
from tiers import seeds
from wild_graphs import wild_graph

from keraunos.compiler.ir.graph import Graph

Make = Callable[[int], Graph]
FAST, SLOW = 30, 1500


def check(make: Make, seed: int, passes: object, threads: int = 2) -> None:
    graph = make(seed)
    _, parameters = random_arguments(graph, seed)
    program = Supervised(graph, parameters, passes)
    for order, sizes in enumerate(SIZES):

        def run(*inputs, order=order):
            return program(*inputs, threads=threads, seed=order)

        assert_agrees(run, graph, parameters, seed, sizes)


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
@pytest.mark.parametrize("passes", ["default", "none"])
def test_wild_graphs(passes, seed):
    check(wild_graph, seed, passes)


@pytest.mark.parametrize("seed", seeds(FAST // 2, SLOW // 3))
@pytest.mark.parametrize("passes", ["default", "none"])
def test_graphs_like_models(passes, seed):
    check(random_graph, seed, passes)


@pytest.mark.parametrize("seed", seeds(2, 60))
@pytest.mark.parametrize("passes", prefixes(), ids=lambda names: names[-1] if names else "trace")
def test_every_prefix_of_the_pipeline(passes, seed):
    check(wild_graph, 5000 + seed, passes)
    check(random_graph, 5000 + seed, passes)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 3, 5])
@pytest.mark.parametrize("seed", seeds(0, 100))
def test_any_number_of_threads(seed, threads):
    check(random_graph, 7000 + seed, "default", threads)
