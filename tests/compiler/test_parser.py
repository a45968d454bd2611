"""IR text back into graphs, edits by hand, and errors that point."""

import math
import textwrap

import numpy as np
import pytest

from keraunos.compiler.ir.graph import Graph, IRError, Node, Origin, origin_scope
from keraunos.compiler.ir.origin_text import format_origins, parse_origins
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.printer import format_graph
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.core import FUSED, ITEM, constant, fuse_nodes, input_, parameter
from keraunos.compiler.ops.registry import ops
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke


def round_trip(graph: Graph) -> Graph:
    """``graph`` out and in again; equal, and printed alike."""
    text = format_graph(graph)
    found = parse_ir(text)
    assert found == graph
    assert format_graph(found) == text
    return found


def value(type_: str = "f32[N, 4]", name: str = "x") -> Node:
    return input_(name, parse_type(type_))


@pytest.mark.parametrize(
    "array",
    [
        np.float32(0.1),
        np.float64(0.1),
        np.float32([1e-45, 3.4028235e38, -0.0, np.inf, -np.inf, np.nan]),
        np.array([[0x7FC00001, 0xFFC00000]], np.uint32).view(np.float32),
        np.array(0xFFC00001, np.uint32).view(np.float32),
        np.arange(100.0).reshape(4, 25),
        np.zeros((0, 3), np.float32),
        np.zeros((2, 0)),
        np.array(True),
        np.array([[True], [False]]),
        np.int64(-(2**62)),
        np.int8([-128, 127]),
        np.uint8(255),
        np.int32(7),
    ],
    ids=repr,
)
def test_constants_come_back_bit_by_bit(array: np.ndarray) -> None:
    (found,) = round_trip(Graph("g", (), (constant(np.asarray(array)),))).outputs
    back = found.attrs["value"].array
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("fill", [0.0, -0.0, 1, math.inf, -math.inf, math.nan, True])
def test_attributes_come_back_in_their_kind(fill: float) -> None:
    x = value("f32[3]")
    (y,) = round_trip(Graph("g", (x,), (ops.pad(x, low=(1,), high=(0,), value=fill),))).outputs
    assert type(y.attrs["value"]) is type(fill)


def test_symbolic_attributes() -> None:
    n = symbol("N")
    x = value("f32[N, T, 4]")
    y = ops.reshape(x, shape=(n * symbol("T"), 4))
    z = ops.slice(x, start=(n // 2, 0, 0), stop=x.shape, step=(1, 2, 1))
    round_trip(Graph("g", (x,), (y, z)))


def test_odd_names() -> None:
    x = value(name='a "b" \\ c%')
    k = parameter("dense/kernel:0", parse_type("f32[4]"))
    found = round_trip(Graph("my (graph)", (x, value(name="0")), (ops.add(x, k),)))
    assert found.name == "my (graph)"


def test_regions_of_every_shape() -> None:
    x, k = value(), parameter("k", parse_type("f32[4]"))
    with origin_scope(Origin("l", "m.py", 1)):
        y = ops.multiply(x, k)
        z = ops.add(y, constant(np.arange(4.0, dtype="f4")))
    inner = fuse_nodes([y, z], [y, z], "multiply+add")
    item = ITEM(inner, index=1)
    outer = fuse_nodes([inner, item], [item], "nested")
    a, b = value(name="a"), value(name="b")
    twice = FUSED(x, x, body=Graph("body", (a, b), (ops.add(a, b),)), label="odd label {")
    scalar = FUSED(
        constant(1.5), body=Graph("body", (c := value("f32[]", "a0"),), (ops.exp(c),)), label="e"
    )
    round_trip(Graph("g", (x,), (outer, twice, scalar, item, x)))


def test_origins_come_back_with_base_names() -> None:
    with origin_scope(Origin("conv", "/home/me/net.py", 3), Origin("relu", "/home/me/net.py", 4)):
        x = value()
        y = ops.relu(x)
    found = round_trip(Graph("g", (x,), (y,)))
    expected = (Origin("conv", "net.py", 3), Origin("relu", "net.py", 4))
    assert found.outputs[0].origins == found.inputs[0].origins == expected


@pytest.mark.parametrize(
    "origin",
    [
        Origin("conv2d_1", "net.py", 3),
        Origin("conv2d_1"),
        Origin("", "net.py", 3),
        Origin("a, b  c:4", "my net.py", 3),
        Origin("net.py:3"),
        Origin("block/conv", "ünï.py", 10),
    ],
)
def test_origin_text(origin: Origin) -> None:
    assert parse_origins(format_origins([origin])) == (origin,)
    assert parse_origins(format_origins([origin, origin])) == (origin, origin)


@pytest.mark.parametrize("prose", ["is this needed?", "a b", "see digits.py line 4", "a  b"])
def test_other_comments_are_not_origins(prose: str) -> None:
    graph = parse_ir(f"graph g(%x: f32[2]) {{\n  %0 = relu(%x) # {prose}\n  return %0\n}}")
    assert graph.outputs[0].origins == ()


def test_annotations_and_layout_are_free() -> None:
    short = parse_ir("graph g(%x: f32[N, 4]) { %y = relu(%x) %z = add(%y, 1.5) return %z }")
    x = value()
    assert short == Graph("g", (x,), (ops.add(ops.relu(x), constant(1.5)),))


def test_dead_lines_are_dropped() -> None:
    graph = parse_ir("graph g(%x: f32[2]) { $k : f32[2] %0 = relu(%x) %1 = exp(%x) return %1 }")
    assert [node.op.name for node in graph.nodes] == ["input", "exp"]


PROGRAM = textwrap.dedent("""\
    graph net(%x: f32[N, 4]) -> f32[N, 3] {
      $kernel : f32[4, 3]

      %0 = matmul(%x, $kernel)                 : f32[N, 3]
      %1 = softmax(%0, axis=-1)                : f32[N, 3]
      %2 = fused relu(%1) {
        %2.0 = relu(%1) : f32[N, 3]
        return %2.0
      } : f32[N, 3]
      %3 = constant([1.0, 2.0, 3.0]) : f32[3]
      %4 = add(%2, %3) : f32[N, 3]
      return %4
    }
    """)


def test_the_program_of_the_next_test_is_right() -> None:
    round_trip(parse_ir(PROGRAM))


@pytest.mark.parametrize(
    ("old", "new", "line", "marked", "message"),
    [
        ("softmax", "sofmax", 5, "sofmax", "no op is called 'sofmax'; did you mean softmax?"),
        ("axis=", "axes=", 5, "axes", "softmax takes attributes: axis; got 'axes'; did you mean"),
        ("axis=-1", "axis=7", 5, "softmax", "axis"),
        ("%x, $k", "%y, $k", 4, "%y", "%y is not defined above"),
        ("$kernel)", "$kernels)", 4, "$kernels", "$kernels is not defined above, as by a line"),
        ("$kernel)", "$kernels)", 4, "$kernels", "did you mean $kernel?"),
        ("relu(%1) :", "relu(%0) :", 7, "%0", "%0 is neither an operand of %2 nor in its body"),
        ("(%x: f32[N, 4])", "(%x: f32[N, 5])", 4, "matmul", "f32[N, 5]"),
        ("[4, 3]", "[4, 2]", 4, "f32", "the annotation says f32[N, 3], but matmul gives f32[N, 2]"),
        ("-> f32[N, 3]", "-> f32[N, 2]", 1, "f32", "the annotation says f32[N, 2], but the graph"),
        (": f32[4, 3]", ": f23[4, 3]", 2, "f23", "got 'f23'; did you mean f32?"),
        (": f32[3]", ": f32[2]", 10, "constant", "type is f32[2], but the elements have the shape"),
        (": f32[3]", ": i32[3]", 10, "constant", "expected whole numbers, as the type is i32"),
        ("[1.0, 2.0,", "[[1.0], 2.0,", 10, "constant", "not an array of f32"),
        ("[1.0, 2.0, 3.0]", "...", 10, "...", "were left out; print with format_graph"),
        ("[1.0, 2.0, 3.0]", '"AAAA"', 10, "constant", "damaged data for f32[3]"),
        ("  %4 = add", "  %0 = add", 11, "%0", "%0 is defined twice"),
        ("  return %4", "  %4", 13, "}", "expected '=', got '}'"),
        ("  return %4", "  retrun %4", 12, "retrun", "expected a statement such as %0 = relu(%x)"),
        ("add(%2, %3)", "add(%2 %3)", 11, "%3", "expected ')', got '%3'"),
        ("add(%2, %3)", "add(%2, N)", 11, "N", "expected an operand such as %x, $kernel or 1.5"),
        ("axis=-1", "axis=-1, axis=0", 5, "axis", "the attribute axis is given twice"),
        ("axis=-1", 'axis=1 + "a"', 5, "+", "expected sizes around '+'"),
        ("axis=-1", "axis=N // 0", 5, "//", "not a size"),
        ("graph net", "net", 1, "net", "expected 'graph', got 'net'"),
        ("fused relu(%1) {", "fused relu(%1) cond {", 6, "cond", "fused takes no cond"),
        ("  %2.0 = relu(%1) : f32[N, 3]\n", "", 7, "%2.0", "%2.0 is neither an operand of %2"),
    ],
)
def test_errors_point_at_the_place(
    old: str, new: str, line: int, marked: str, message: str
) -> None:
    assert PROGRAM.count(old) >= 1
    text = PROGRAM.replace(old, new, 1)
    with pytest.raises(IRError) as caught:
        parse_ir(text)
    head, shown, caret = str(caught.value).splitlines()[:1] + str(caught.value).splitlines()[-2:]
    assert message in str(caught.value)
    assert head.startswith(f"line {line}, column ")
    assert shown == f"  {text.splitlines()[line - 1]}"
    start = caret.index("^")
    assert shown[start : start + caret.count("^")] == marked


def test_text_that_ends_early_or_goes_on() -> None:
    with pytest.raises(IRError, match="got the end of the text"):
        parse_ir(PROGRAM.rstrip().removesuffix("}"))
    with pytest.raises(IRError, match="expected the end of the text, got 'graph'"):
        parse_ir(PROGRAM + PROGRAM)


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(IRError, match="reshape needs the attributes shape"):
        parse_ir("graph g(%x: f32[2]) { %0 = reshape(%x) return %0 }")


def test_an_item_out_of_range() -> None:
    text = "graph g(%x: f32[2]) { %0 = item(%x, index=3) return %0 }"
    with pytest.raises(IRError, match=r"line 1, column 28.* several results"):
        parse_ir(text)


def test_long_lines_are_shown_in_part() -> None:
    names = ", ".join(f"%x{i}: f32[2]" for i in range(40))
    with pytest.raises(IRError) as caught:
        parse_ir(f"graph g({names}, %y f32[2]) {{ return %x0 }}")
    _, shown, caret = str(caught.value).splitlines()
    assert len(shown) < 140
    assert shown[caret.index("^") :].startswith("f32[2]) {")
