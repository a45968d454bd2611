"""Reductions over samples: before and after, values, how they are run."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.core import input_
from keraunos.compiler.passes.reductions import reductions

IMAGE = "%x: f32[N, 8, 8, 6]"


def network(signature: str, body: str) -> Graph:
    return parse_ir(f"graph g({signature}) {{ {body} }}")


def after(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph after the pass, and the reasons of what was done."""
    decisions = Decisions()
    result = reductions(graph, context(decisions))
    verify(result, "reductions")
    assert_same_values(graph, result, sizes={"N": 3}, rtol=1e-9)
    return result, [decision.reason for decision in decisions]


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["sum", "max", "min", "prod"])
def test_over_samples_and_places_in_two(name: str) -> None:
    before = network(IMAGE, f"%0 = {name}(%x, axes=(0, 1, 2)) return %0")
    expected = network(IMAGE, f"%0 = {name}(%x, axes=(1, 2)) %1 = {name}(%0, axes=(0,)) return %1")
    result, reasons = after(before)
    assert result == expected
    assert reasons == ["OVER_SAMPLES"]


@pytest.mark.smoke
def test_axes_that_were_kept_are_put_back_last() -> None:
    before = network(
        IMAGE,
        """%0 = sum(%x, axes=(0, 1, 2), keepdims=True)
        %1 = multiply(%0, 0.25) %2 = subtract(%x, %1) return %2""",
    )
    expected = network(
        IMAGE,
        """%0 = sum(%x, axes=(1, 2)) %1 = sum(%0, axes=(0,))
        %2 = multiply(%1, 0.25) %3 = subtract(%x, %2) return %3""",
    )
    assert after(before)[0] == expected


@pytest.mark.smoke
def test_factors_come_out_where_the_sum_is_there_anyway() -> None:
    signature = f"{IMAGE}, %s: f32[6]"
    before = network(
        signature,
        """%0 = sum(%x, axes=(0, 1, 2)) %1 = multiply(%s, %x) %2 = negative(%1)
        %3 = sum(%2, axes=(0, 1, 2)) return %0, %3""",
    )
    expected = network(
        signature,
        """%0 = sum(%x, axes=(1, 2)) %1 = sum(%0, axes=(0,))
        %2 = multiply(%1, %s) %3 = negative(%2) return %1, %3""",
    )
    result, reasons = after(before)
    assert result == expected
    assert reasons == ["SHARED_SUM", "OVER_SAMPLES"]


@pytest.mark.smoke
def test_a_factor_that_varies_or_is_summed_alone_stays() -> None:
    body = """%0 = sum(%x, axes=(0,)) %1 = multiply(%x, %s) %2 = sum(%1, axes=(0,))
    %3 = multiply(%x, %x) %4 = sum(%3, axes=(0,)) return %0, %2, %4"""
    before = network("%x: f32[N, 6], %s: f32[N, 1]", body)
    assert after(before) == (before, [])
    alone = network(
        "%x: f32[N, 6], %s: f32[6]", "%0 = multiply(%x, %s) %1 = sum(%0, axes=(0,)) return %1"
    )
    assert after(alone) == (alone, [])


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("type_", "axes"),
    [
        ("f32[N, 3, 2, 8]", "(0, 1, 2)"),  # too little for each sample
        ("f32[4, 16, 16, 8]", "(0, 1, 2)"),  # little in all
        ("f32[N, 8, 8, 4]", "(1, 2)"),
        ("f32[N, 64]", "(0,)"),
        ("f32[1, 256, 256, 4]", "(0, 1, 2)"),
    ],
)
def test_small_reductions_and_others_stay(type_: str, axes: str) -> None:
    before = network(f"%x: {type_}", f"%0 = sum(%x, axes={axes}) return %0")
    assert after(before) == (before, [])


def batch_norm_gradients(shape: str, channels: int) -> Graph:
    """The gradients of a batch normalization by the statistics of the batch."""
    x, g = input_("x", parse_type(shape)), input_("g", parse_type(shape))
    gamma, beta = (input_(name, parse_type(f"f32[{channels}]")) for name in ("gamma", "beta"))
    axes = (0, 1, 2)
    mean, variance = ops.mean(x, axes=axes), ops.variance(x, axes=axes)
    y = ops.batch_norm(x, gamma, beta, mean, variance)
    loss = ops.sum(ops.multiply(y, g), axes=(0, 1, 2, 3))
    return Graph("norm", (x, g, gamma, beta), gradients(loss, (x, gamma, beta)))


@pytest.mark.parametrize("channels", [3, 16, 20])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_normalization_backwards_sweeps_three_times(channels: int, threads: int) -> None:
    graph = batch_norm_gradients(f"f32[N, 7, 9, {channels}]", channels)
    executable = compile_graph(graph, threads=threads)
    sweeps = [step for step in executable.schedule.steps if step.flops != 0]
    large = [s for s in sweeps if any(o.tensor_type.rank == 4 for o in s.operands)]
    assert len(large) == 3  # the mean; the variance and both sums; the gradient of x
    rng = np.random.default_rng(channels)
    for samples in (1, 5):
        image = (samples, 7, 9, channels)
        shapes = (image, image, (channels,), (channels,))
        arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
        expected = evaluate(graph, arrays, {}, "float64")
        for found, right in zip(executable(*arrays), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=2e-4, atol=2e-4)


def test_long_sums_round_like_sums_of_sums() -> None:
    x = input_("x", parse_type("f32[N, 40000, 3]"))
    graph = Graph("g", (x,), (ops.sum(x, axes=(1,)), ops.sum(x, axes=(0, 1, 2))))
    array = np.random.default_rng(0).uniform(0.5, 1, (2, 40000, 3)).astype("float32")
    columns, total = compile_graph(graph)(array)
    np.testing.assert_allclose(columns, array.sum(1, dtype="float64"), rtol=4e-7)
    np.testing.assert_allclose(total, array.sum(dtype="float64"), rtol=4e-7)


def test_sums_over_samples_alone_round_little() -> None:
    x = input_("x", parse_type("f32[N, 24]"))
    graph = Graph("g", (x,), (ops.sum(x, axes=(0,)),))
    array = np.random.default_rng(0).uniform(0.5, 1, (50000, 24)).astype("float32")
    one, two = (compile_graph(graph, threads=t)(array)[0] for t in (1, 2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, array.sum(0, dtype="float64"), rtol=1e-6)


@pytest.mark.smoke
def test_equal_axes_are_one_reduction() -> None:
    before = network(IMAGE, "%0 = sum(%x, axes=(-1,)) %1 = sum(%x, axes=(3,)) return %0, %1")
    assert after(before)[0] == network(IMAGE, "%0 = sum(%x, axes=(3,)) return %0, %0")


@pytest.mark.smoke
def test_axes_that_are_put_back_are_kept() -> None:
    signature = "%x: f32[N, 6]"
    before = network(
        signature,
        """%0 = sum(%x, axes=(1,)) %1 = reshape(%0, shape=(N, 1))
        %2 = subtract(%x, %1) return %2""",
    )
    expected = network(
        signature, "%0 = sum(%x, axes=(1,), keepdims=True) %1 = subtract(%x, %0) return %1"
    )
    assert after(before)[0] == expected


@pytest.mark.smoke
def test_axes_that_someone_reads_without_stay_dropped() -> None:
    before = network(
        "%x: f32[N, 6]",
        """%0 = sum(%x, axes=(1,)) %1 = reshape(%0, shape=(N, 1))
        %2 = subtract(%x, %1) %3 = exp(%0) return %2, %3""",
    )
    assert after(before)[0] == before
