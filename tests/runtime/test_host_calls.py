"""Calls of functions on the host, between the launches of a program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir import nonfinite
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import profile
from keraunos.runtime import host_functions
from keraunos.runtime.config import config
from keraunos.runtime.executor import Executor
from keraunos.runtime.finite import watched
from keraunos.runtime.host_functions import (
    REQUIRE_FINITE,
    REQUIRE_NO_NAN,
    NotFiniteError,
    register,
)
from keraunos.runtime.program import HostRow, LoopRow, Program, TileRow

CHAIN = """graph g(%x: f32[N, 4]) -> f32[N, 4] {
  %0 = exp(%x)
  %1 = log(%0)
  %2 = square(%1)
  return %2
}"""
LOOP = """graph g(%h: f32[N, 4], %x: f32[N, 5, 4]) -> f32[N, 4] {
  %0 = scan(%h, %x, carries=1, sequences=1, unroll=1) { (%c0: f32[N, 4], %x0: f32[N, 4])
    %0.0 = add(%c0, %x0)
    %0.1 = tanh(%0.0)
    return %0.1
  }
  %1 = item(%0, index=0)
  return %1
}"""


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(host_functions, "_functions", dict(host_functions._functions))
    yield


def chain(passes: str = "none") -> Executable:
    return compile_graph(parse_ir(CHAIN), passes=passes)


def with_call(program: Program, at: int, row: HostRow) -> Program:
    """The program with a row more in front of row ``at``; what lives across it lives longer."""
    slots = [
        replace(slot, first=slot.first + (slot.first >= at), last=slot.last + (slot.last >= at))
        for slot in program.slots
    ]
    rows = (*program.rows[:at], row, *program.rows[at:])
    return replace(program, slots=tuple(slots), rows=rows)


def middle(program: Program) -> int:
    """The slot of the value between the first two launches."""
    (slot,) = program.rows[0].writes
    return slot


X = np.linspace(0.5, 2, 12, dtype="float32").reshape(3, 4)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_called_between_launches_and_its_writes_are_read(threads: int) -> None:
    program = chain().program
    assert program.launches == 3
    seen = []

    def double(label, reads, writes):
        seen.append((label, [array.copy() for array in reads]))
        assert not reads[0].flags.writeable
        writes[0][...] *= 2

    register("double", double)
    slot = middle(program)
    run = Executor(with_call(program, 1, HostRow("double", (slot,), (slot,), "here")), threads)
    for x in (X, X[:2], X):
        (y,) = run(x)
        np.testing.assert_allclose(y, np.log(2 * np.exp(x)) ** 2, rtol=1e-5)
        label, (read,) = seen.pop()
        assert label == "here" and not seen
        np.testing.assert_allclose(read, np.exp(x), rtol=1e-5)


def test_first_and_last_rows_may_be_calls_and_see_arguments_and_results() -> None:
    program = chain().program
    seen = []
    register("see", lambda label, reads, writes: seen.append((label, reads[0].copy())))
    (x,), (y,) = program.inputs, program.outputs
    made = with_call(program, 0, HostRow("see", (x,), (), "in"))
    made = with_call(made, len(made.rows), HostRow("see", (y,), (), "out"))
    (result,) = Executor(made)(X)
    assert [label for label, _ in seen] == ["in", "out"]
    np.testing.assert_array_equal(seen[0][1], X)
    np.testing.assert_array_equal(seen[1][1], result)


def test_what_it_raises_ends_the_run_and_the_next_one_is_whole() -> None:
    program, fail = chain().program, [True]

    def perhaps(label, reads, writes):
        if fail[0]:
            raise KeyError("mine")

    register("perhaps", perhaps)
    run = Executor(with_call(program, 1, HostRow("perhaps", (), (), "")))
    with pytest.raises(KeyError, match="mine"):
        run(X)
    fail[0] = False
    np.testing.assert_array_equal(run(X)[0], chain()(X)[0])


def test_an_unknown_function_is_refused_when_the_program_is_prepared() -> None:
    run = Executor(with_call(chain().program, 1, HostRow("nobody", (), (), "")))
    with pytest.raises(ValueError, match=r"expected a host function among .*; got 'nobody'"):
        run(X)


def test_names_are_given_once() -> None:
    register("mine", print)
    register("mine", print)
    with pytest.raises(ValueError, match="'mine': expected a name that no other"):
        register("mine", repr)


def test_calls_stand_between_launches_alone() -> None:
    program = compile_graph(parse_ir(LOOP)).program
    (head,) = (i for i, row in enumerate(program.rows) if isinstance(row, LoopRow))
    made = with_call(program, head + 1, HostRow(REQUIRE_FINITE, (), (), "inside"))
    rows = list(made.rows)
    rows[head] = replace(rows[head], rows=rows[head].rows + 1)
    run = Executor(replace(made, rows=tuple(rows)))
    with pytest.raises(ValueError, match=r"\(inside\): expected host calls between launches"):
        run(np.ones((2, 4), "float32"), np.ones((2, 5, 4), "float32"))


def test_they_are_printed_and_timed() -> None:
    made = chain()
    row = HostRow(REQUIRE_FINITE, (middle(made.program),), (), "exp (layer)")
    made.program = with_call(made.program, 1, row)
    made.loaded = Executor(made.program)
    times = profile(made, X, repeats=5)
    assert [launch.kernel for launch in times.launches][1] == f"host: {REQUIRE_FINITE}"
    assert times.launches[1].layers == "layer" and times.launches[1].nanoseconds > 0
    assert f"{REQUIRE_FINITE}, on the host" in str(made.program)


# Programs that stop where values stop being finite.


@pytest.mark.parametrize(
    ("x", "function", "label"),
    [
        (-200.0, REQUIRE_FINITE, "log"),  # exp gives 0, whose logarithm is infinite
        (200.0, REQUIRE_FINITE, "exp"),
        (np.nan, REQUIRE_NO_NAN, "exp"),
    ],
)
def test_the_first_kernel_is_named(x: float, function: str, label: str) -> None:
    run = Executor(watched(chain().program, function))
    np.testing.assert_array_equal(run(X)[0], chain()(X)[0])
    bad = X.copy()
    bad[1, 2] = x
    with pytest.raises(NotFiniteError, match=f"^{label}"):
        run(bad)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_watching_changes_no_result(n: int) -> None:
    graph = parse_ir("""graph g(%x: f32[N, 8, 8, 4]) -> f32[N, 2] {
      $k : f32[3, 3, 4, 4]
      $w : f32[64, 2]
      %0 = conv2d(%x, $k, padding="same")
      %1 = relu(%0)
      %2 = max_pool2d(%1, window=(2, 2), strides=(2, 2))
      %3 = reshape(%2, shape=(N, 64))
      %4 = matmul(%3, $w)
      %5 = softmax(%4)
      return %5
    }""")
    rng = np.random.default_rng(0)
    weights = {
        node.attrs["name"]: rng.normal(size=node.shape).astype("float32")
        for node in graph.parameters
    }
    made = compile_graph(graph)
    made.set_parameters(weights)
    seen = []
    register("see", lambda label, reads, writes: seen.append(label))
    program = watched(made.program, "see")
    assert any(isinstance(row, TileRow) for row in program.rows)
    run = Executor(program)
    made._weights.prepare(weights, run)
    x = rng.normal(size=(n, 8, 8, 4)).astype("float32")
    np.testing.assert_array_equal(run(x)[0], made(x)[0])
    assert seen


def test_where_ops_alone_are_finite_the_error_names_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = chain()
    monkeypatch.setattr(nonfinite, "first_nonfinite", lambda *arguments: None)
    bad = np.full((1, 4), -200, "float32")
    with config.update(check_finite=True), pytest.raises(ValueError, match="The first: log, in"):
        made(bad)
