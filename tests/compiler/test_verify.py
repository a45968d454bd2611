"""Malformed graphs, each made by hand, and what is said of them."""

from dataclasses import replace

import pytest

from keraunos.compiler.ir.graph import Graph, IRError, Node, Op, Origin, origin_scope
from keraunos.compiler.ir.kinds import Elementwise
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.core import FUSED, fuse_nodes, input_, parameter
from keraunos.compiler.ops.registry import ops

pytestmark = pytest.mark.smoke

TYPE = parse_type("f32[N, 4]")


def value(name: str = "x") -> Node:
    return input_(name, TYPE)


def refused(graph: Graph, message: str) -> None:
    with pytest.raises(IRError, match=message):
        verify(graph)


def test_a_well_formed_graph_passes() -> None:
    x, k = value(), parameter("x", parse_type("f32[4]"))
    y = ops.add(ops.relu(x), k)
    verify(Graph("g", (x,), (y, fuse_nodes([y], [y], "add"))))


def test_a_wrong_type_names_node_layer_line_and_pass() -> None:
    x = value()
    with origin_scope(Origin("dense_1", "model.py", 12)):
        good = ops.relu(x)
    bad = replace(good, type=parse_type("f32[N, 5]"))
    with pytest.raises(IRError) as caught:
        verify(Graph("g", (x,), (bad,)), stage="fuse")
    assert str(caught.value) == (
        "after fuse: %0 = relu : f32[N, 5] (dense_1  model.py:12) "
        "is typed f32[N, 5], but its type rule gives f32[N, 4]"
    )


def test_operands_that_do_not_fit() -> None:
    x, y = value(), input_("y", parse_type("f32[N, 3]"))
    bad = replace(ops.add(x, x), inputs=(x, y))
    refused(Graph("g", (x, y), (bad,)), r"%0 = add .* does not fit its operands: .*broadcast")


def test_attributes_that_do_not_fit() -> None:
    x = value()
    bad = replace(ops.relu(x), attributes=(("slope", 1),))
    refused(Graph("g", (x,), (bad,)), "does not fit its operands: .*slope")


def test_a_foreign_input() -> None:
    x = value()
    refused(Graph("g", (), (ops.relu(x),)), "%x .* is not listed as an input of the graph")


def test_inputs_that_are_none_or_twice() -> None:
    x = value()
    refused(Graph("g", (ops.relu(x),), ()), "is listed as an input of the graph, but is none")
    refused(Graph("g", (x, x), ()), "%x .* is listed 2 times")


def test_names_are_unique() -> None:
    refused(Graph("g", (value(), value()), ()), "a name that another input has")
    one, other = (parameter("k", TYPE.bind({"N": 1})) for _ in range(2))
    refused(Graph("g", (), (ops.add(one, other),)), r"\$k .* a name that another parameter has")


def test_an_op_outside_the_table() -> None:
    x = value()
    stranger = Op("relu", lambda x: x, lambda x: x, Elementwise("relu"))
    refused(Graph("g", (x,), (stranger(x),)), "not in the op table: relu")


def test_a_size_no_input_determines() -> None:
    k = parameter("k", parse_type("f32[T]"))
    refused(Graph("g", (value(),), (k,)), r"\$k : f32\[T\] has the size T, which no input")


def test_bodies_are_verified() -> None:
    x = value()
    a0 = input_("a0", TYPE)
    bad = replace(ops.relu(a0), type=parse_type("f32[N, 5]"))
    node = FUSED(x, body=Graph("body", (a0,), (bad,)), label="relu")
    refused(Graph("g", (x,), (node,)), r"in the body of %0 = fused .*: %0 = relu .* type rule")


def test_bodies_are_closed() -> None:
    x, k = value(), parameter("k", TYPE.bind({"N": 1}))
    a0 = input_("a0", TYPE)
    for leaf, message in [(x, "is not listed"), (k, "is used in a body")]:
        node = FUSED(x, body=Graph("body", (a0,), (ops.add(a0, leaf),)), label="add")
        refused(Graph("g", (x,), (node,)), message)


def test_an_output_with_several_results() -> None:
    x = value()
    y, z = ops.relu(x), ops.tanh(x)
    node = fuse_nodes([y, z], [y, z], "relu+tanh")
    refused(Graph("g", (x,), (node,)), r"pick one with item\(index=...\)")
