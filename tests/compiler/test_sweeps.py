"""Values that several sweeps over reduced axes need: computed again, or kept and read back."""

import re

import numpy as np
import pytest
from agreement import assert_computes
from graphs import random_arguments

from keraunos.compiler.cpu import lower
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.loops.nest import build_nest

SOFTMAX = "graph g(%x: f32[N, T]) { %0 = softmax(%x) return %0 }"
# A layer norm of what takes an error function to compute.
NORM = """graph g(%x: f32[N, T], %scale: f32[T]) {
    %0 = gelu(%x)
    %1 = mean(%0, axes=(1,), keepdims=True)
    %2 = subtract(%0, %1)
    %3 = square(%2)
    %4 = mean(%3, axes=(1,), keepdims=True)
    %5 = add(%4, 0.001)
    %6 = rsqrt(%5)
    %7 = multiply(%2, %6)
    %8 = multiply(%7, %scale)
    return %8 }"""
# Two functions that are needed again, and room for both.
TWO = """graph g(%x: f32[N, T], %y: f32[N, T]) {
    %0 = tanh(%x)
    %1 = exp(%y)
    %2 = multiply(%0, %1)
    %3 = sum(%2, axes=(1,), keepdims=True)
    %4 = multiply(%0, %3)
    %5 = multiply(%1, %3)
    return %4, %5 }"""
# Both again, and room for one.
FULL = TWO.replace("return %4, %5", "%6 = subtract(%4, %5) return %6")
# The first result has room until the second sweep; the third needs that of the other.
LATER = """graph g(%x: f32[N, T]) {
    %0 = tanh(%x)
    %1 = sum(%0, axes=(1,), keepdims=True)
    %2 = multiply(%0, %1)
    %3 = cos(%2)
    %4 = sum(%3, axes=(1,), keepdims=True)
    %5 = multiply(%0, %4)
    return %2, %5 }"""
# What would be kept in the result's memory would be in that of an operand that is read later.
READ_LATER = """graph g(%x: f32[N, T], %y: f32[N, T]) {
    %0 = exp(%x)
    %1 = sum(%0, axes=(1,), keepdims=True)
    %2 = divide(%0, %1)
    %3 = add(%2, %y)
    return %3 }"""
HALF = "graph g(%x: f16[N, T]) { %0 = softmax(%x) return %0 }"


def calls(run: Executable, function: str) -> int:
    """How often the text of a kernel calls ``function``."""
    text = "".join(kernel.source for kernel in run.program.kernels)
    return len(re.findall(rf"= {function}\(", text))


@pytest.mark.parametrize(
    ("text", "function", "count"),
    [
        (SOFTMAX, "exp", 1),
        (NORM, "erf", 1),
        (TWO, "tanh", 1),
        (TWO, "exp", 1),
        (FULL, "tanh", 2),
        (FULL, "exp", 2),
        (LATER, "tanh", 1),
        (READ_LATER, "exp", 2),
        (HALF, "exp", 2),
    ],
)
def test_what_is_expensive_is_computed_once_where_there_is_room(
    text: str, function: str, count: int
) -> None:
    graph = parse_ir(text)
    run = compile_graph(graph)
    assert calls(run, function) == count
    for seed, sizes in enumerate([{"N": 1, "T": 1}, {"N": 3, "T": 21}, {"N": 2, "T": 1040}]):
        inputs, _ = random_arguments(graph, seed, sizes)
        assert_computes(run(*inputs), graph, inputs, {})


def bits(graph: Graph, inputs: list[np.ndarray]) -> list[bytes]:
    return [array.tobytes() for array in compile_graph(graph)(*inputs)]


@pytest.mark.parametrize("text", [SOFTMAX, NORM, TWO, LATER])
def test_the_bits_are_those_of_computing_it_again(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = parse_ir(text)
    inputs, _ = random_arguments(graph, 4, {"N": 3, "T": 77})
    inputs[0][0, :3] = np.inf, -np.inf, np.nan
    kept = bits(graph, inputs)
    monkeypatch.setattr(lower, "ANY_MACHINE", (build_nest,))
    assert bits(graph, inputs) == kept
