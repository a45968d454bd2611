"""Nodes and graphs: interning, origins, structure, rewriting."""

import math

import networkx as nx
import pytest

from keraunos.compiler.ir.graph import (
    Graph,
    IRError,
    Literal,
    Node,
    Origin,
    current_origins,
    on_operands,
    origin_scope,
)
from keraunos.compiler.ir.rewrite import rebuild, rewrite, substitute_nodes
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.core import FUSED, ITEM, constant, fuse_nodes, input_, parameter
from keraunos.compiler.ops.registry import ops

pytestmark = pytest.mark.smoke


def value(type_: str = "f32[N, 4]", name: str = "x") -> Node:
    return input_(name, parse_type(type_))


def test_the_same_computation_is_the_same_node() -> None:
    x = value()
    assert ops.add(ops.relu(x), x) is ops.add(ops.relu(x), x)
    assert constant([1.0, 2.0]) is constant([1.0, 2.0])


def test_leaves_are_values_of_their_own() -> None:
    assert value() is not value()
    assert parameter("k", parse_type("f32[2]")) is not parameter("k", parse_type("f32[2]"))


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (0, 0.0), (1, True), (1.0, 1)])
def test_attributes_that_compare_equal_but_differ_give_different_nodes(
    one: float, other: float
) -> None:
    x = value("f32[3]")
    padded = [ops.pad(x, low=(1,), high=(0,), value=v) for v in (one, other)]
    assert padded[0] is not padded[1]
    assert Graph("g", (x,), tuple(padded[:1])) != Graph("g", (x,), tuple(padded[1:]))


def test_nan_attributes_equal_themselves() -> None:
    x = value("f32[3]")
    padded = [ops.pad(x, low=(1,), high=(0,), value=math.nan * n) for n in (1, 2)]
    assert padded[0] is padded[1]


def test_literals_compare_by_content_dtype_and_shape() -> None:
    assert Literal([math.nan]) == Literal([math.nan])
    assert Literal([0.0]) != Literal([-0.0])
    assert Literal([1]) != Literal([1.0])
    assert Literal([[1]]) != Literal([1])


def test_literals_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Literal([1.0]).array[0] = 2


def test_nodes_carry_the_origins_they_were_built_under() -> None:
    with origin_scope(Origin("dense", "model.py", 3), Origin("dense", "model.py", 3)):
        node = ops.relu(value())
    assert node.origins == (Origin("dense", "model.py", 3),)
    assert node.layers == ("dense",)
    assert ops.tanh(node).origins == ()


def test_an_ill_typed_node_cannot_exist_and_names_its_origin() -> None:
    message = r"add\(f32\[N, 4\], f32\[3\]\)(.|\n)*add_1  model.py:9"
    with origin_scope(Origin("add_1", "model.py", 9)), pytest.raises(IRError, match=message):
        ops.add(value(), value("f32[3]"))


def test_unknown_and_missing_attributes() -> None:
    with pytest.raises(IRError, match=r"relu: expected attributes none; unknown \['slope'\]"):
        ops.relu(value(), slope=1)
    with pytest.raises(IRError, match=r"reshape: expected attributes shape; missing \['shape'\]"):
        ops.reshape(value())


def test_a_node_with_several_results_has_no_single_type() -> None:
    x = value()
    y = ops.relu(x)
    both = fuse_nodes([y, ops.tanh(y)], [y, ops.tanh(y)], "relu+tanh")
    with pytest.raises(IRError, match="pick one with item"):
        _ = both.shape
    assert ITEM(both, index=1).type == x.type


def test_nodes_come_operands_first_and_what_is_unused_is_absent() -> None:
    x, y = value(), value(name="y")
    used = ops.add(x, ops.relu(x))
    ops.tanh(used)
    graph = Graph("g", (x, y), (used,))
    assert graph.nodes == (x, y, ops.relu(x), used)
    assert graph.users[x] == (ops.relu(x), used)
    assert graph.users[y] == ()


def test_deep_graphs_need_no_recursion() -> None:
    x = last = value()
    for _ in range(5000):
        last = ops.tanh(last)
    graph = Graph("deep", (x,), (last,))
    assert len(graph.nodes) == 5001
    assert len(rewrite(graph, lambda node: None).nodes) == 5001


def test_graphs_are_equal_by_structure() -> None:
    def build(function: object) -> Graph:
        x = value()
        return Graph("g", (x,), (function(x),))  # type: ignore[operator]

    assert build(ops.relu) == build(ops.relu)
    assert hash(build(ops.relu)) == hash(build(ops.relu))
    assert build(ops.relu) != build(ops.tanh)
    assert build(lambda x: ops.add(x, x)) != build(lambda x: ops.add(x, constant(1.0)))


def test_symbols_are_those_of_the_inputs() -> None:
    graph = Graph("g", (value("f32[N, T]"), value("f32[2*N]", "y")), ())
    assert graph.symbols == ("N", "T")


def test_rewrite_keeps_origins() -> None:
    x = value()
    with origin_scope(Origin("act", "model.py", 5)):
        node = ops.tanh(ops.relu(x))

    def rule(node: Node) -> Node | None:
        return ops.sigmoid(node.inputs[0]) if node.op is ops.relu else None

    (output,) = rewrite(Graph("g", (x,), (node,)), rule).outputs
    assert output is ops.tanh(ops.sigmoid(x))
    assert output.layers == output.inputs[0].layers == ("act",)


def test_a_rewrite_that_changes_nothing_gives_the_graph_itself() -> None:
    x = value()
    graph = Graph("g", (x,), (ops.exp(ops.add(x, x)),))
    assert rewrite(graph, lambda node: None) is graph
    assert rewrite(graph, lambda node: ops.exp(x) if node.op is ops.exp else None) is not graph


def test_a_node_on_other_operands_is_what_its_op_makes_of_them() -> None:
    x, y, wide = value(), value(), value("f32[N, 3, 4]")
    node = ops.sum(ops.negative(x), axes=(1,), keepdims=True)
    assert on_operands(node, node.inputs) is node
    assert on_operands(node, [y]) is ops.sum(y, axes=(1,), keepdims=True)
    assert on_operands(node, [y]).type == node.type
    assert on_operands(node, [wide]) is ops.sum(wide, axes=(1,), keepdims=True)
    assert on_operands(node, [wide]).type == parse_type("f32[N, 1, 4]")
    with pytest.raises(IRError, match="axis"):
        on_operands(node, [value("f32[4]")])


def test_a_node_on_other_operands_carries_the_origins_of_its_place() -> None:
    x, y = value(), value()
    with origin_scope(Origin("dense")):
        node = ops.tanh(x)
    with origin_scope(Origin("other"), Origin("other")):
        assert on_operands(node, [y]).layers == ("other",)
    assert current_origins() == ()


def test_substitution_replaces_leaves() -> None:
    x, y = value(), value(name="y")
    graph = Graph("g", (x,), (ops.relu(x),))
    assert substitute_nodes(graph, {x: y}) == Graph("g", (y,), (ops.relu(y),))


def test_what_is_rebuilt_stands_on_new_operands_and_keeps_its_origins() -> None:
    x, y = value(), value(name="y")
    with origin_scope(Origin("dense")):
        inner = ops.relu(x)
    outer = ops.add(inner, y)
    new = rebuild((inner, outer), {x: y})
    assert new[inner] == ops.relu(y) and new[inner].layers == ("dense",)
    assert new[outer] is ops.add(ops.relu(y), y)
    assert not new[outer].layers and not current_origins()
    kept = rebuild((inner, outer), {inner: y}, lambda node, operands: ops.add(*reversed(operands)))
    assert kept == {inner: y, outer: ops.add(y, y)}


def test_networkx_has_an_edge_for_each_operand() -> None:
    x = value()
    y = ops.add(x, x)
    found = Graph("g", (x,), (y,)).to_networkx()
    assert nx.is_directed_acyclic_graph(found)
    assert sorted(data["operand"] for _, _, data in found.edges(data=True)) == [0, 1]


def test_fusing_takes_the_outside_as_operands_and_keeps_scalars_within() -> None:
    x, k = value(), parameter("k", parse_type("f32[4]"))
    scaled = ops.multiply(x, k)
    y = ops.add(scaled, constant(1.0))
    fused = fuse_nodes([scaled, y], [y], "multiply+add")
    assert fused.op is FUSED
    assert fused.inputs == (x, k)
    assert fused.type == y.type
    assert len(fused.attrs["body"].inputs) == 2


def test_repr_is_short() -> None:
    x = value()
    assert repr(Graph("net", (x,), (ops.relu(x),))) == "<graph net: 2 nodes>"
