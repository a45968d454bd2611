"""IR text as people read it."""

import math

import numpy as np
import pytest

from keraunos.compiler.ir.graph import Graph, IRError, Literal, Node, Origin, origin_scope
from keraunos.compiler.ir.printer import format_data, format_graph, format_value
from keraunos.compiler.ir.types import FLOAT64, parse_type
from keraunos.compiler.ops.core import ITEM, constant, fuse_nodes, input_, parameter
from keraunos.compiler.ops.registry import ops
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke


def value(type_: str = "f32[N, 4]", name: str = "x") -> Node:
    return input_(name, parse_type(type_))


def text_of(*outputs: Node, inputs: tuple[Node, ...] = ()) -> list[str]:
    """The lines between the braces."""
    return str(Graph("g", inputs, outputs)).splitlines()[1:-1]


def cnn() -> Graph:
    x = value("f32[N, 28, 28, 1]")
    with origin_scope(Origin("conv2d", "/home/me/digits.py", 12)):
        kernel = parameter("conv2d.kernel", parse_type("f32[3, 3, 1, 32]"))
        bias = parameter("conv2d.bias", parse_type("f32[32]"))
        y = ops.relu(ops.add(ops.conv2d(x, kernel), bias))
    with origin_scope(Origin("pool", "/home/me/digits.py", 13)):
        y = ops.max_pool2d(y, window=(2, 2), strides=(2, 2), padding="valid")
    return Graph("cnn", (x,), (y,))


def test_the_face() -> None:
    assert (
        str(cnn())
        == """\
graph cnn(%x: f32[N, 28, 28, 1]) -> f32[N, 13, 13, 32] {
  $conv2d.kernel : f32[3, 3, 1, 32]   # conv2d  digits.py:12
  $conv2d.bias   : f32[32]            # conv2d  digits.py:12

  %0 = conv2d(%x, $conv2d.kernel)                    : f32[N, 26, 26, 32]   # conv2d  digits.py:12
  %1 = add(%0, $conv2d.bias)                         : f32[N, 26, 26, 32]   # conv2d  digits.py:12
  %2 = relu(%1)                                      : f32[N, 26, 26, 32]   # conv2d  digits.py:12
  %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2)) : f32[N, 13, 13, 32]   # pool  digits.py:13
  return %3
}"""
    )


def test_the_face_of_a_fused_group() -> None:
    graph = cnn()
    (pooled,) = graph.outputs
    relu = pooled.inputs[0]
    add = relu.inputs[0]
    group = [add.inputs[0], add, relu]
    fused = fuse_nodes(group, [relu], "conv2d+add+relu")
    assert (
        str(Graph("cnn", graph.inputs, (ops.tanh(fused),)))
        == """\
graph cnn(%x: f32[N, 28, 28, 1]) -> f32[N, 26, 26, 32] {
  $conv2d.kernel : f32[3, 3, 1, 32]   # conv2d  digits.py:12
  $conv2d.bias   : f32[32]            # conv2d  digits.py:12

  %0 = fused conv2d+add+relu(%x, $conv2d.kernel, $conv2d.bias) {
    %0.0 = conv2d(%x, $conv2d.kernel) : f32[N, 26, 26, 32]   # conv2d  digits.py:12
    %0.1 = add(%0.0, $conv2d.bias)    : f32[N, 26, 26, 32]   # conv2d  digits.py:12
    %0.2 = relu(%0.1)                 : f32[N, 26, 26, 32]   # conv2d  digits.py:12
    return %0.2
  }             : f32[N, 26, 26, 32]   # conv2d  digits.py:12
  %1 = tanh(%0) : f32[N, 26, 26, 32]
  return %1
}"""
    )


def test_scalars_stand_where_they_are_used() -> None:
    x = value()
    assert text_of(ops.maximum(ops.add(x, constant(1.5)), constant(0.0)), inputs=(x,)) == [
        "  %0 = add(%x, 1.5)     : f32[N, 4]",
        "  %1 = maximum(%0, 0.0) : f32[N, 4]",
        "  return %1",
    ]


def test_scalars_of_other_dtypes_say_so() -> None:
    x = value("f64[2]")
    assert text_of(ops.add(x, constant(0.1, "float64")), inputs=(x,))[0].startswith(
        "  %0 = add(%x, f64(0.1))"
    )


def test_small_constants_are_lists_and_large_ones_compressed() -> None:
    small, large = constant([[1.0, 0.1], [math.inf, -0.0]]), constant(np.zeros((8, 8), "f4"))
    lines = text_of(small, large)
    assert lines[0].startswith("  %0 = constant([[1.0, 0.1], [inf, -0.0]]) ")
    assert lines[0].endswith(" : f32[2, 2]")
    assert lines[1].startswith('  %1 = constant("')
    assert "%1 = constant(...) " in format_graph(Graph("g", (), (small, large)), elide=True)


def test_attributes_at_their_default_are_left_out() -> None:
    x = value("f32[N, 8, 8, 2]")
    k = parameter("k", parse_type("f32[3, 3, 2, 4]"))
    plain = ops.conv2d(x, k, strides=(1, 1), padding="valid")
    assert "%0 = conv2d(%x, $k) " in "\n".join(text_of(plain, inputs=(x,)))
    strided = ops.conv2d(x, k, strides=(2, 1), padding="same")
    expected = '%0 = conv2d(%x, $k, strides=(2, 1), padding="same") '
    assert expected in "\n".join(text_of(strided, inputs=(x,)))


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        (True, "True"),
        (None, "None"),
        (-2, "-2"),
        (0.1, "0.1"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        ('say "so"\n', '"say \\"so\\"\\n"'),
        ((), "()"),
        ((1,), "(1,)"),
        (((1, 2), (0, 3)), "((1, 2), (0, 3))"),
        ((2 * symbol("N") + 1, 4), "(2*N + 1, 4)"),
        (FLOAT64, "f64"),
        (parse_type("f32[N]"), "f32[N]"),
        (Literal(np.float32([1, 2])), "f32[2]([1.0, 2.0])"),
    ],
)
def test_attribute_text(attribute: object, text: str) -> None:
    assert format_value(attribute) == text


def test_an_attribute_without_text_is_refused() -> None:
    with pytest.raises(IRError, match="an attribute of type set has no text"):
        format_value({1})


@pytest.mark.parametrize("value", [0.1, 1e-45, 3.4028235e38, 1 / 3, -0.0, 16777217.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_text_is_short_and_exact(value: float, dtype: str) -> None:
    number = np.array(value, dtype)
    text = format_data(number)
    assert np.array(float(text), dtype).tobytes() == number.tobytes()
    assert len(text) <= len(repr(float(number)))


def test_a_nan_with_a_payload_is_not_written_as_nan() -> None:
    odd = np.array(0x7FC00001, np.uint32).view(np.float32)
    assert format_data(np.array(np.nan, "f4")) == "nan"
    assert format_data(odd).startswith('"')


def test_several_inputs_and_outputs() -> None:
    x, y = value(), value("f32[N]", "y")
    first, *_, last = str(Graph("g", (x, y), (x, y))).splitlines()
    assert first == "graph g(%x: f32[N, 4], %y: f32[N]) -> (f32[N, 4], f32[N]) {"
    assert last == "}"
    assert str(Graph("empty", (), ())) == "graph empty() -> () {\n  return\n}"


def test_a_long_signature_has_a_line_an_input() -> None:
    inputs = tuple(value("f32[N, 128, 128]", f"quite_a_long_name_{i}") for i in range(4))
    lines = str(Graph("g", inputs, inputs[:1])).splitlines()
    assert lines[:2] == ["graph g(", "  %quite_a_long_name_0: f32[N, 128, 128],"]
    assert max(map(len, lines)) <= 100


def test_origins_of_inputs() -> None:
    with origin_scope(Origin("input_1", "model.py", 3)):
        x = value()
    assert str(Graph("g", (x,), (x,))).splitlines()[0].endswith("{   # input_1  model.py:3")


def test_odd_names_are_quoted() -> None:
    x = value(name="0")
    k = parameter("dense/kernel:0", parse_type("f32[4]"))
    text = str(Graph("my graph", (x,), (ops.add(x, k),)))
    assert text.startswith('graph "my graph"(%"0": f32[N, 4])')
    assert 'add(%"0", $"dense/kernel:0")' in text


def test_a_body_whose_inputs_do_not_match_lists_them() -> None:
    x = value()
    y = ops.add(x, x)
    node = fuse_nodes([y], [y], "add")
    twice = node.op(x, body=Graph("body", (a := value(name="h"),), (ops.relu(a),)))
    assert "%0 = fused(%x) { (%h: f32[N, 4])" in str(Graph("g", (x,), (twice,)))


def test_several_results() -> None:
    x = value()
    y, z = ops.relu(x), ops.tanh(x)
    node = fuse_nodes([y, z], [y, z], "relu+tanh")
    lines = text_of(ITEM(node, index=1), inputs=(x,))
    assert lines[4].split(":")[1] == " (f32[N, 4], f32[N, 4])"
    assert lines[5].startswith("  %1 = item(%0, index=1) : f32[N, 4]")
