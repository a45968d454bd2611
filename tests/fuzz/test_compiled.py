"""Random graphs compiled for this machine: right, and the same bits every time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from agreement import SIZES, assert_agrees, prefixes
from graphs import random_arguments, random_graph
from tiers import seeds
from wild_graphs import wild_graph

from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.graph import Graph

FAST, SLOW = 8, 160


def prepared(graph: Graph, seed: int, **options: object) -> tuple[Executable, dict]:
    executable = compile_graph(graph, **options)
    _, parameters = random_arguments(graph, seed)
    executable.set_parameters(parameters)
    return executable, parameters


def check(graph: Graph, seed: int, **options: object) -> None:
    executable, parameters = prepared(graph, seed, **options)
    for sizes in SIZES:
        assert_agrees(executable, graph, parameters, seed, sizes)


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
@pytest.mark.parametrize("make", [wild_graph, random_graph])
def test_compiled_graphs_agree_with_the_interpreter(make, seed):
    check(make(seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(0, 40))
@pytest.mark.parametrize("make", [wild_graph, random_graph])
@pytest.mark.parametrize("passes", prefixes(), ids=lambda names: names[-1] if names else "trace")
def test_every_prefix_of_the_pipeline(passes, make, seed):
    check(make(3000 + seed), seed, passes=passes)


@pytest.mark.parametrize("lanes", [8, 4])
def test_narrower_vectors(lanes):
    """In a process of its own: lanes are settled when keraunos is imported."""
    run_with_lanes(lanes, range(3))


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [8, 4])
def test_narrower_vectors_on_many_graphs(lanes):
    run_with_lanes(lanes, range(3, 60))


def run_with_lanes(lanes: int, numbers: range) -> None:
    tests = Path(__file__).parent
    code = (
        f"import sys; sys.path[:0] = [{str(tests)!r}, {str(tests.parent)!r}]\n"
        "from test_compiled import check, random_graph, wild_graph\n"
        f"for seed in {numbers!r}:\n"
        "    check(wild_graph(seed), seed)\n"
        "    check(random_graph(seed), seed)\n"
    )
    environment = os.environ | {"KERAUNOS_LANES": str(lanes)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]


# The same bits


def outputs_of(graph: Graph, seed: int, samples: int, threads: int) -> list[bytes]:
    executable, _ = prepared(graph, seed, threads=threads)
    inputs, _ = random_arguments(graph, seed, {"N": samples, "H": 6, "W": 7})
    return [array.tobytes() for array in executable(*inputs)]


@pytest.mark.parametrize("seed", seeds(3, 40))
@pytest.mark.parametrize("samples", [1, 8])
def test_threads_do_not_change_a_bit(samples, seed):
    graph = random_graph(seed)
    alone = outputs_of(graph, seed, samples, threads=1)
    assert outputs_of(graph, seed, samples, threads=2) == alone
    assert outputs_of(graph, seed, samples, threads=3) == alone


@pytest.mark.parametrize("seed", seeds(3, 20))
def test_calls_from_many_python_threads_do_not_disturb_each_other(seed):
    graph = random_graph(seed)
    executable, _ = prepared(graph, seed)
    batches = [
        random_arguments(graph, samples, {"N": samples})[0] for samples in (1, 2, 5, 8, 13, 8, 2, 1)
    ]
    wanted = [[array.tobytes() for array in executable(*batch)] for batch in batches]

    def call(index: int) -> bool:
        found = executable(*batches[index % len(batches)])
        return [array.tobytes() for array in found] == wanted[index % len(batches)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert all(pool.map(call, range(200)))


@pytest.mark.parametrize("seed", seeds(4, 40))
def test_what_lay_in_memory_before_does_not_matter(seed):
    """The arena is filled with NaN between two calls."""
    graph = random_graph(seed)
    executable, _ = prepared(graph, seed)
    inputs, _ = random_arguments(graph, seed, {"N": 5})
    before = [array.tobytes() for array in executable(*inputs)]
    for pool in executable.executor._pools.values():
        for binding in pool:
            binding._arena[:] = 0xFF
    assert [array.tobytes() for array in executable(*inputs)] == before
    assert not any(np.isnan(array).any() for array in executable(*inputs))
