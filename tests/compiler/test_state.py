"""Graphs that update parameters: their text, their order, and what their programs leave behind."""

import numpy as np
import pytest
from here import HERE

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.pipeline import optimize
from keraunos.runtime.device import Buffer
from keraunos.runtime.program import LaunchRow

STEP = """
graph step(%x: f32[N, 4]) -> f32[] {
  $w : f32[4, 3]
  $m : f32[4, 3]

  %0 = matmul(%x, $w)       : f32[N, 3]
  %1 = sum(%0, axes=(0, 1)) : f32[]
  %2 = transpose(%x, axes=(1, 0))
  %3 = matmul(%2, %0)
  %4 = multiply($m, 0.9)
  %5 = add(%4, %3)
  %6 = multiply(%5, 0.01)
  %7 = subtract($w, %6)
  update $m = %5
  update $w = %7
  return %1
}
"""

SWAP = """
graph swap(%x: f32[N]) -> f32[N] {
  $a : f32[3]
  $b : f32[3]
  %0 = add(%x, 1.0)
  update $a = $b
  update $b = $a
  return %0
}
"""

# Old values that are read after the new ones are made, which are results too.
LATE = """
graph late(%x: f32[N, 3]) -> (f32[N, 3], f32[3]) {
  $s : f32[3]
  $t : f32[3]
  %0 = sum(%x, axes=(0,))
  %1 = add($s, %0)
  %2 = multiply(%1, %1)
  %3 = add($s, %2)
  %4 = multiply(%x, %3)
  update $s = %1
  update $t = %1
  return %4, %1
}
"""

MOVING = """
graph moving(%x: f32[N]) -> f32[] {
  $log : f32[5]
  %0 = sum(%x, axes=(0,))
  %1 = slice($log, start=(1,), stop=(5,), step=(1,))
  %2 = reshape(%0, shape=(1,))
  %3 = concatenate(%1, %2, axis=0)
  update $log = %3
  return %0
}
"""


def graph_of(text: str) -> Graph:
    return parse_ir(text.strip())


def values_of(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        node.attrs["name"]: rng.standard_normal(node.shape).astype("float32")
        for node in graph.parameters
    }


@pytest.mark.parametrize("text", [STEP, SWAP, LATE, MOVING])
def test_text_comes_back_as_the_same_graph(text):
    graph = graph_of(text)
    assert parse_ir(str(graph)) == graph
    assert [node.attrs["name"] for node in graph.updates]
    verify(graph)


def test_updates_are_part_of_what_a_graph_is():
    graph = graph_of(STEP)
    without = Graph(graph.name, graph.inputs, graph.outputs)
    assert graph != without
    assert len(graph.returned) == 1
    assert graph.next_values[graph.updates[0]] is graph.outputs[1]


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize("text", [STEP, SWAP, LATE, MOVING])
def test_each_call_goes_on_from_the_last(text, passes):
    graph = graph_of(text)
    expected = values_of(graph)
    executable = compile_graph(graph, passes=passes)
    executable.set_parameters(expected)
    x = np.random.default_rng(1).standard_normal((6, *graph.inputs[0].shape[1:])).astype("float32")
    for _ in range(3):
        results = evaluate(graph, [x], expected)
        returned = len(graph.returned)
        given = executable(x)
        for one, other in zip(given, results[:returned], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        names = [node.attrs["name"] for node in graph.updates]
        expected = expected | dict(zip(names, results[returned:], strict=True))
        for name in names:
            np.testing.assert_allclose(executable.state[name], expected[name], rtol=1e-5, atol=1e-5)


def copies(text: str) -> list[str]:
    """The rows that copy a next value over the old one."""
    rows = compile_graph(graph_of(text)).program.rows
    labels = [row.label for row in rows if isinstance(row, LaunchRow)]
    return [label for label in labels if label.startswith("update ")]


def test_next_values_are_written_in_place_or_copied_at_the_end():
    assert copies(STEP) == copies(LATE) == copies(MOVING) == []
    assert copies(SWAP) == ["update b"]


def test_buffers_given_as_state_are_written_to():
    mine = Buffer((4, 3), np.dtype("float32"))
    graph = graph_of(STEP)
    executable = compile_graph(graph, state={"m": mine})
    executable.set_parameters(values_of(graph) | {"m": np.ones((4, 3), "float32")})
    assert (mine.read() == 1).all()
    shown = executable.state["m"]
    executable(np.ones((2, 4), "float32"))
    assert (shown == 1).all()
    assert not (mine.read() == 1).any()
    np.testing.assert_array_equal(executable.state["m"], mine.read())


@pytest.mark.parametrize(
    "given",
    [
        Buffer((3, 4), np.dtype("float32")),
        Buffer((4, 3), np.dtype("float64")),
        Buffer((4, 3), np.dtype(">f4")),
        np.zeros((4, 3), "float32"),
    ],
)
def test_state_that_does_not_fit_is_refused(given):
    with pytest.raises(ValueError, match=r"state 'm': expected a Buffer of float32 and shape"):
        compile_graph(graph_of(STEP), state={"m": given})


def test_updated_parameters_are_not_folded_into_constants():
    graph = graph_of(
        "graph g(%x: f32[N]) -> f32[N] {\n  $s : f32[]\n  %0 = add($s, 1.0)\n"
        "  %1 = multiply(%x, %0)\n  update $s = %0\n  return %1\n}"
    )
    executable = compile_graph(graph)
    executable.set_parameters({"s": np.float32(1)})
    x = np.ones(2, "float32")
    assert [float(executable(x)[0][0]) for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("update %x = %0", "expected a parameter of the graph to update"),
        ("update $s = %0\n  update $s = %0", "is updated twice"),
        ("update $q = %0", r"\$q is not defined"),
    ],
)
def test_updates_that_make_no_sense_are_refused(line, message):
    text = f"graph g(%x: f32[]) -> f32[] {{\n  $s : f32[]\n  %0 = add($s, %x)\n  {line}\n"
    with pytest.raises(IRError, match=message):
        parse_ir(text + "  return %0\n}")


def test_an_update_of_another_type_does_not_verify():
    graph = graph_of(STEP)
    wrong = Graph(graph.name, graph.inputs, graph.outputs[:2], graph.updates[1:])
    verify(wrong)
    with pytest.raises(IRError, match="updated to a value of another type"):
        verify(Graph(graph.name, graph.inputs, graph.outputs[:1], graph.updates[:1]))


def test_passes_keep_updates():
    graph = graph_of(STEP)
    for stage in optimize(graph, HERE).values():
        assert stage.updates == graph.updates
