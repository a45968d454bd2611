"""Slices that kernels read where they lie, and those that have to be copied."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import random_arguments

from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.parser import parse_ir
from keraunos.runtime.program import LaunchRow

READ = {
    "in an epilogue": """
graph epilogue(%h: f32[N, 8], %x: f32[N, 3, 8]) -> f32[N, 8] {
  $u : f32[8, 8]

  %0 = tanh(%x)
  %1 = slice(%0, start=(0, 1, 0), stop=(N, 2, 8), step=(1, 1, 1))
  %2 = reshape(%1, shape=(N, 8))
  %3 = matmul(%h, $u)
  %4 = add(%2, %3)
  return %4
}
""",
    "by a loop": """
graph loop(%h: f32[N, 8], %x: f32[N, 6, 8]) -> f32[N, 3, 8] {
  %0 = slice(%x, start=(0, 1, 0), stop=(N, 6, 8), step=(1, 2, 1))
  %1 = scan(%h, %0, carries=1, sequences=1) {
    (%c0: f32[N, 8], %x0: f32[N, 8])
    %1.0 = add(%c0, %x0)
    %1.1 = tanh(%1.0)
    return %1.1, %1.1
  }
  %2 = item(%1, index=1)
  return %2
}
""",
}

COPIED = {
    "the left operand of a product": """
graph product(%x: f32[N, 3, 8]) -> f32[N, 8] {
  $u : f32[8, 8]

  %0 = tanh(%x)
  %1 = slice(%0, start=(0, 1, 0), stop=(N, 2, 8), step=(1, 1, 1))
  %2 = reshape(%1, shape=(N, 8))
  %3 = matmul(%2, $u)
  return %3
}
""",
    "some of the samples": """
graph samples(%h: f32[N, 8], %x: f32[N, 8]) -> f32[N - 1, 8] {
  $u : f32[8, 8]

  %0 = tanh(%h)
  %1 = slice(%x, start=(1, 0), stop=(N, 8), step=(1, 1))
  %2 = matmul(%0, $u)
  %3 = slice(%2, start=(1, 0), stop=(N, 8), step=(1, 1))
  %4 = matmul(%1, $u)
  %5 = add(%3, %4)
  return %5
}
""",
    "in another order": """
graph order(%h: f32[N, 2, 8], %x: f32[N, 3, 8]) -> f32[N, 16] {
  $u : f32[16, 16]

  %0 = slice(%x, start=(0, 1, 0), stop=(N, 3, 8), step=(1, 1, 1))
  %1 = reshape(%0, shape=(N, 16))
  %2 = reshape(%h, shape=(N, 16))
  %3 = matmul(%2, $u)
  %4 = add(%1, %3)
  return %4
}
""",
    "beside rows that follow one another": """
graph rows(%h: f32[N, 2, 8], %x: f32[N, 3, 8]) -> f32[N, 2, 8] {
  $u : f32[8, 8]

  %0 = slice(%x, start=(0, 1, 0), stop=(N, 3, 8), step=(1, 1, 1))
  %1 = matmul(%h, $u)
  %2 = add(%0, %1)
  return %2
}
""",
}


def compiled(text: str, samples: int) -> Executable:
    """The executable, whose results are right."""
    graph = parse_ir(text.strip())
    inputs, weights = random_arguments(graph, 0, {"N": samples})
    executable = compile_graph(graph, threads=2)
    executable.set_parameters(weights)
    expected = evaluate(graph, inputs, weights, "float64")
    for one, other in zip(executable(*inputs), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    return executable


def copies(executable: Executable) -> int:
    rows = executable.program.rows
    return sum(isinstance(row, LaunchRow) and row.label == "slice" for row in rows)


@pytest.mark.parametrize("samples", [3, 33])
@pytest.mark.parametrize("case", READ)
def test_slices_are_read_where_they_lie(case, samples):
    executable = compiled(READ[case], samples)
    assert copies(executable) == 0


@pytest.mark.parametrize("samples", [3, 33])
@pytest.mark.parametrize("case", COPIED)
def test_other_slices_are_copied(case, samples):
    executable = compiled(COPIED[case], samples)
    assert copies(executable) == COPIED[case].count("slice(")


def test_slices_at_other_places_are_lowered_once():
    """The launches differ in addresses alone."""
    first = READ["in an epilogue"].strip()
    second = first.replace("start=(0, 1, 0), stop=(N, 2, 8)", "start=(0, 2, 0), stop=(N, 3, 8)")
    one, other = (compiled(text, 3).program for text in (first, second))
    assert one.kernels == other.kernels
    assert one.rows != other.rows
