"""Holds whatever computes a graph against the reference interpreter in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from graphs import random_arguments
from here import HERE

from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.pipeline import stage_names

Run = Callable[..., tuple[np.ndarray, ...]]
# Few samples: one launch after another; many: tiled. Images of other sizes where these are symbols.
SIZES = ({"N": 3, "H": 6, "W": 7}, {"N": 8, "H": 9, "W": 8}, {"N": 1, "H": 6, "W": 7})


def prefixes() -> list[tuple[str, ...]]:
    """Every prefix of the pipeline, the empty one and the whole included."""
    names = stage_names(HERE)
    return [names[:end] for end in range(len(names) + 1)]


def assert_agrees(
    run: Run,
    graph: Graph,
    parameters: Mapping[str, np.ndarray],
    seed: int,
    sizes: Mapping[str, int],
) -> None:
    """``run`` gives what the interpreter gives for random inputs of these sizes.

    Where the interpreter refuses them (a window larger than the image), so must ``run``.
    """
    inputs, _ = random_arguments(graph, seed, sizes)
    try:
        expected = evaluate(graph, inputs, parameters, "float64")
    except ValueError:
        with pytest.raises(ValueError):
            run(*inputs)
        return
    assert_close(run(*inputs), expected, graph)


def assert_close(
    actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], graph: Graph
) -> None:
    """Dtypes as the graph says; floats near (beside the largest of them), others equal."""
    assert len(actual) == len(expected)
    for ours, wanted, node in zip(actual, expected, graph.outputs, strict=True):
        assert ours.dtype == node.dtype.numpy
        assert ours.shape == wanted.shape
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(ours, wanted)
            continue
        largest = np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1.0)
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=3e-4 * largest)
