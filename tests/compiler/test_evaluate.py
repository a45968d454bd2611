"""The reference interpreter: bindings, dtypes, regions, errors."""

import numpy as np
import pytest

from keraunos.compiler.ir.evaluate import bind_sizes, evaluate, evaluate_all
from keraunos.compiler.ir.graph import Graph, IRError, Op
from keraunos.compiler.ir.kinds import Elementwise
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.core import ITEM, constant, fuse_nodes, input_
from keraunos.compiler.ops.registry import ops

pytestmark = pytest.mark.smoke

DENSE = parse_ir("""
graph dense(%x: f32[N, 3]) -> f32[N, 2] {
  $k : f32[3, 2]
  $b : f32[2]
  %0 = matmul(%x, $k)
  %1 = add(%0, $b)
  %2 = maximum(%1, 0.0)
  return %2
}""")
WEIGHTS = {"k": [[1, 2], [3, 4], [5, 6]], "b": [-20, 0.5]}


def test_values() -> None:
    (y,) = evaluate(DENSE, [[[1, 1, 1], [2, 0, 0]]], WEIGHTS)
    np.testing.assert_array_equal(y, [[0, 12.5], [0, 4.5]])
    assert y.dtype == np.float32


def test_float64_computes_and_gives_float64() -> None:
    x = np.full((1, 3), 0.1)
    (narrow,) = evaluate(DENSE, [x], {"k": np.full((3, 2), 0.1), "b": [0, 0]})
    (wide,) = evaluate(DENSE, [x], {"k": np.full((3, 2), 0.1), "b": [0, 0]}, dtype="float64")
    assert wide.dtype == np.float64
    assert wide[0, 0] == pytest.approx(0.03, abs=1e-17)
    assert narrow[0, 0] != wide[0, 0]


def test_float64_reaches_casts() -> None:
    graph = parse_ir("graph g(%x: f64[]) -> f32[] { %0 = cast(%x, dtype=f32) return %0 }")
    assert evaluate(graph, [0.1], dtype="float64")[0] == 0.1
    assert evaluate(graph, [0.1])[0] == np.float32(0.1)


def test_integers_stay_what_they_are_in_float64() -> None:
    graph = parse_ir("graph g(%x: i32[2]) -> i32[2] { %0 = multiply(%x, 3) return %0 }")
    (y,) = evaluate(graph, [np.array([1, 2], np.int32)], dtype="float64")
    assert y.dtype == np.int32


def test_evaluate_all_has_every_node_in_order() -> None:
    values = evaluate_all(DENSE, [np.ones((1, 3))], WEIGHTS)
    assert list(values) == list(DENSE.nodes)
    assert values[DENSE.outputs[0].inputs[0]].tolist() == [[-11, 12.5]]


def test_a_region_runs_its_body() -> None:
    x = input_("x", parse_type("f32[N]"))
    y = ops.multiply(x, constant(2.0))
    z = ops.add(y, x)
    both = fuse_nodes([y, z], [y, z], "multiply+add")
    graph = Graph("g", (x,), (ITEM(both, index=1), ITEM(both, index=0)))
    z_value, y_value = evaluate(graph, [[1.0, 2.0]])
    assert (y_value.tolist(), z_value.tolist()) == ([2, 4], [3, 6])
    assert evaluate(graph, [[1.0, 2.0]], dtype="float64")[0].dtype == np.float64


def test_symbolic_sizes_in_attributes() -> None:
    graph = parse_ir("""
    graph g(%x: f32[N, 2, 3]) -> f32[2*N, 3] {
      %0 = reshape(%x, shape=(2*N, 3))
      return %0
    }""")
    assert evaluate(graph, [np.zeros((4, 2, 3))])[0].shape == (8, 3)


def test_sizes_are_solved_for() -> None:
    graph = parse_ir("graph g(%x: f32[2*N + 1], %y: f32[N*T, T]) -> f32[2*N + 1] { return %x }")
    assert bind_sizes(graph, [(7,), (12, 4)]) == {"N": 3, "T": 4}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (3, 3)], r"input 'y' expects f32\[N, 3\] with N = 2 .* array of shape \(3, 3\)"),
        ([(2, 3), (2, 4)], r"input 'y' expects f32\[N, 3\]"),
        ([(2, 3), (2,)], r"input 'y' expects f32\[N, 3\]; got an array of shape \(2,\)"),
    ],
)
def test_sizes_that_contradict(shapes: list[tuple[int, ...]], message: str) -> None:
    graph = parse_ir("graph g(%x: f32[N, 3], %y: f32[N, 3]) -> f32[N, 3] { return %x }")
    with pytest.raises(IRError, match=message):
        evaluate(graph, [np.zeros(shape) for shape in shapes])


def test_a_size_with_no_whole_solution() -> None:
    graph = parse_ir("graph g(%x: f32[2*N + 1]) -> f32[2*N + 1] { return %x }")
    with pytest.raises(IRError, match=r"expects f32\[2\*N \+ 1\]"):
        evaluate(graph, [np.zeros(6)])


def test_missing_arguments() -> None:
    with pytest.raises(IRError, match=r"graph dense expects inputs %x; got 0 arrays"):
        evaluate(DENSE, [])
    with pytest.raises(IRError, match=r"a value for parameter 'b'; got values for: k"):
        evaluate(DENSE, [np.zeros((1, 3))], {"k": WEIGHTS["k"]})


def test_arguments_of_another_kind() -> None:
    with pytest.raises(IRError, match=r"parameter 'k' expects f32\[3, 2\]; got an array of shape"):
        evaluate(DENSE, [np.zeros((1, 3))], {**WEIGHTS, "k": np.zeros((2, 3))})
    graph = parse_ir("graph g(%x: i32[2]) -> i32[2] { return %x }")
    with pytest.raises(IRError, match=r"input 'x' expects i32\[2\]; got float64"):
        evaluate(graph, [[0.5, 1.5]])


def test_only_float64_can_be_asked_for() -> None:
    with pytest.raises(IRError, match="expected dtype None"):
        evaluate(DENSE, [np.zeros((1, 3))], WEIGHTS, dtype="float16")


def test_a_reference_that_breaks_its_type_is_found_out() -> None:
    wrong = Op("wrong", lambda x: x, lambda x: x.astype("float64"), Elementwise("wrong"))
    x = input_("x", parse_type("f32[2]"))
    with pytest.raises(IRError, match=r"wrong: its type is f32\[2\], .* gave float64"):
        evaluate(Graph("g", (x,), (wrong(x),)), [np.zeros(2)])


@pytest.mark.parametrize(
    ("types", "call", "shapes", "message"),
    [
        (
            "%x: f32[1, N, 6, 3]",
            "max_pool2d(%x, window=(2, 2), strides=(2, 2))",
            [(1, 1, 6, 3)],
            r"max_pool2d\(f32\[1, 1, 6, 3\]\) with N = 1 .*a window of 2 does not fit",
        ),
        (
            "%x: f32[2, N], %y: f32[M, 2]",
            "matmul(%x, %y)",
            [(2, 3), (4, 2)],
            r"matmul\(f32\[2, 3\], f32\[4, 2\]\) with M = 4, N = 3",
        ),
        (
            "%x: f32[1, N, 6, 3], %y: f32[1, 4, 3, 6]",
            'depthwise_kernel_gradient(%x, %y, window=(3, 2), strides=(2, 2), padding="same")',
            [(1, 6, 6, 3), (1, 4, 3, 6)],
            r"depthwise_kernel_gradient\(.*\) with N = 6",
        ),
    ],
)
def test_sizes_that_do_not_fit_where_no_type_could_tell(
    types: str, call: str, shapes: list[tuple[int, ...]], message: str
) -> None:
    graph = parse_ir(f"graph g({types}) {{\n  %0 = {call}\n  return %0\n}}")
    with pytest.raises(IRError, match=message):
        evaluate(graph, [np.ones(shape, np.float32) for shape in shapes])
