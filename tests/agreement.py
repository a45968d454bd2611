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

# Sums in another order, and Winograd's, round so many times as much as numpy's do.
MARGIN, RELATIVE = 32, 1e-5

UNIT = 2.0**-24  # what one rounding to float32 is off by, at most, beside the result


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
        evaluate(graph, inputs, parameters)
    except ValueError:
        with pytest.raises(ValueError):
            run(*inputs)
        return
    assert_computes(run(*inputs), graph, inputs, parameters)


def assert_computes(
    actual: Sequence[np.ndarray],
    graph: Graph,
    inputs: Sequence[np.ndarray],
    parameters: Mapping[str, np.ndarray] | None = None,
) -> None:
    """``actual`` is what ``graph`` gives, as near as numpy comes in the graph's own dtypes.

    The interpreter runs twice: in float64, which is right, and as typed, which shows how far off
    rounding alone may lead here. What is no float is as in one of the two.
    """
    wide = evaluate(graph, inputs, parameters, "float64")
    typed = evaluate(graph, inputs, parameters)
    assert len(actual) == len(wide)
    for ours, right, rounded, node in zip(actual, wide, typed, graph.outputs, strict=True):
        assert ours.dtype == node.dtype.numpy
        assert ours.shape == right.shape
        if right.dtype.kind != "f":
            np.testing.assert_array_equal(ours, np.where(ours == rounded, rounded, right))
            continue
        off = np.abs(rounded.astype(right.dtype) - right)
        spread = np.max(off[np.isfinite(off)], initial=0.0)
        largest = np.max(np.abs(right[np.isfinite(right)]), initial=1e-30)
        np.testing.assert_allclose(
            ours, right, rtol=RELATIVE, atol=MARGIN * spread + RELATIVE * largest / 10
        )


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


def assert_sums_round(actual: np.ndarray, graph: Graph, arrays: Sequence[np.ndarray]) -> None:
    """``actual`` is what the sums of products that are the graph's one result may round to.

    Each element by itself: n products are off by (n + 1) roundings of the sum of their absolute
    values, in whatever order they are added (Higham 2002, section 3.1). The graph itself says what
    that sum is, of the arguments' absolute values; and how many there are, of ones.
    """
    wide = [array.astype("float64") for array in arrays]
    (right,), (size,), (terms,) = (
        evaluate(graph, values, dtype="float64")
        for values in (wide, [np.abs(x) for x in wide], [np.ones_like(x) for x in wide])
    )
    most = (terms + 1) * UNIT * size
    assert (np.abs(actual - right) <= most).all(), np.max(np.abs(actual - right) / most)
