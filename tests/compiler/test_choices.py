"""What the data decide: loops that end when they say so, and branches of which one is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradient_checks import GradientCheck

from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ops.registry import ops
from keraunos.compiler.program_file import load_program
from keraunos.compiler.report.profile import profile
from keraunos.runtime.program import GuardRow
from keraunos.runtime.program_check import check_program

GROWTH = """
graph grown(%x: f32[N, 4], %u: f32[4, 4]) -> f32[N, 4] {
  %0 = max(%x, axes=(0, 1))
  %1 = less(%0, 100.0)
  %2 = while_loop(%1, %x, %u, carries=2) { (%c0: bool[], %c1: f32[N, 4], %w0: f32[4, 4])
    %2.0 = matmul(%c1, %w0)
    %2.1 = max(%2.0, axes=(0, 1))
    %2.2 = less(%2.1, 100.0)
    return %2.2, %2.0
  }
  %3 = item(%2, index=1)
  return %3
}
"""
CHOICE = """
graph chosen(%x: f32[N, 4], %u: f32[4, 4]) -> (f32[N, 4], f32[4]) {
  %0 = sum(%x, axes=(0, 1))
  %1 = greater(%0, 0.0)
  %2 = cond(%1, %x, %u) { (%w0: f32[N, 4], %w1: f32[4, 4])
    %2.0 = matmul(%w0, %w1)
    %2.1 = log(%2.0)
    %2.2 = sum(%2.1, axes=(0,))
    return %2.1, %2.2, %2.0
  } otherwise { (%w0: f32[N, 4], %w1: f32[4, 4])
    %2.0 = sum(%w1, axes=(0,))
    return %w0, %2.0, %w0
  }
  %3 = item(%2, index=0)
  %4 = item(%2, index=1)
  return %3, %4
}
"""
TEXTS = pytest.mark.parametrize("text", [GROWTH, CHOICE], ids=["while", "cond"])
U = np.random.default_rng(1).random((4, 4)).astype("float32") / 2 + 0.2


def data(sign: int, samples: int = 3) -> np.ndarray:
    values = np.random.default_rng(samples).random((samples, 4)).astype("float32")
    return sign * 10.0 ** (samples % 4 - 2) * values


def assert_as_evaluated(run: Executable, graph: Graph, *arrays: np.ndarray) -> None:
    for found, expected in zip(run(*arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@TEXTS
def test_texts_are_read_back(text: str) -> None:
    graph = parse_ir(text)
    assert parse_ir(str(graph)) == graph


@TEXTS
@pytest.mark.parametrize("passes", ["default", "none"])
def test_compiled_and_evaluated_they_agree(text: str, passes: str) -> None:
    graph = parse_ir(text)
    run = compile_graph(graph, passes=passes)
    for samples in (1, 2, 3, 40):
        for sign in (1, -1):
            if text is CHOICE or sign > 0:  # what shrinks would shrink for ever
                assert_as_evaluated(run, graph, data(sign, samples), U)


def test_a_loop_may_take_no_step() -> None:
    run = compile_graph(parse_ir(GROWTH))
    np.testing.assert_array_equal(run(data(1) + 1000, U)[0], data(1) + 1000)


@TEXTS
def test_programs_of_files_do_the_same(text: str, tmp_path: Path) -> None:
    run = compile_graph(parse_ir(text))
    run.save(tmp_path / "own")
    loaded = load_program(tmp_path / "own")
    for found, expected in zip(loaded(data(1), U), run(data(1), U), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wanted": 2}, "a flag that is 0 or 1"),
        ({"flag": 0}, "a flag to read"),
        ({"flag": 99}, "a slot that there is"),
        ({"rows": 99}, "rows that it holds"),
    ],
)
def test_guards_that_make_no_sense_are_refused(change: dict[str, int], message: str) -> None:
    run = compile_graph(parse_ir(GROWTH))
    program, taken = (
        run.program,
        [[p.dtype is not None for p in k.params] for k in run.plan.kernels],
    )
    check_program(program, taken)
    (at,) = (i for i, row in enumerate(program.rows) if isinstance(row, GuardRow))
    row = program.rows[at]
    assert isinstance(row, GuardRow)
    flag = replace(row.flag, slot=change.pop("flag", row.flag.slot))
    rows = (*program.rows[:at], replace(row, flag=flag, **change), *program.rows[at + 1 :])
    with pytest.raises(ValueError, match=message):
        check_program(replace(program, rows=rows), taken)


def test_rows_behind_guards_are_shown_and_timed() -> None:
    run = compile_graph(parse_ir(CHOICE))
    guards = [row for row in run.program.rows if isinstance(row, GuardRow)]
    assert [row.wanted for row in guards] == [1, 0]
    assert f"if slot {guards[0].flag.slot} is 1: 2 rows" in str(run.program)
    assert "otherwise" in str(run.schedule)
    assert "while it goes on" in str(compile_graph(parse_ir(GROWTH)).schedule)
    timed = {each.kernel: each for each in profile(run, data(1), U, repeats=5).launches}
    taken, other = (timed[name] for name in timed if name.startswith("if slot"))
    assert taken.has_body
    assert taken.nanoseconds > 0
    assert other.nanoseconds == 0


def test_the_gradient_is_that_of_the_branch_that_is_taken() -> None:
    """The logarithm of what is negative, and its derivative, are no numbers: nobody asks them."""
    graph = parse_ir(CHOICE)
    loss = ops.add(
        *(ops.sum(ops.square(n), axes=tuple(range(len(n.shape)))) for n in graph.outputs)
    )
    graph = Graph("loss", graph.inputs, (loss,))
    for sign in (1, -1):
        arrays = [data(sign).astype("float64"), U.astype("float64")]
        check = GradientCheck.of(graph, graph.inputs, arrays, {})
        check.assert_right()
        check.assert_compiled()


def test_a_loop_without_end_in_sight_has_no_gradient() -> None:
    graph = parse_ir(GROWTH)
    with pytest.raises(IRError, match=r"give ops\.while_loop maximum_iterations"):
        gradients(ops.sum(graph.outputs[0], axes=(0, 1)), [graph.inputs[0]])


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (GROWTH, "carries=2", "carries=0", "number from 1 on"),
        (GROWTH, "while_loop(%1,", "while_loop(%0,", r"expected bool\[\] as the first"),
        (GROWTH, "return %2.2, %2.0", "return %2.2, %w0", "new carries of the types"),
        (GROWTH, "%w0: f32[4, 4])", "%w0: f32[4, 4], %w1: f32[])", "the captured values"),
        (CHOICE, "cond(%1,", "cond(%0,", r"expected bool\[\] as the first"),
        (CHOICE, "cond(%1, %x, %u)", "cond(%1, %u, %x)", "inputs are the captured values"),
        (CHOICE, "return %w0, %2.0, %w0", "return %w0, %w0", "of the same types"),
    ],
)
def test_what_is_ill_typed_is_refused(text: str, old: str, new: str, message: str) -> None:
    assert text.count(old) == 1
    with pytest.raises(IRError, match=message):
        parse_ir(text.replace(old, new))
