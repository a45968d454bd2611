"""Composites to primitives: each one alone, nested, inside bodies."""

import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph, IRError, Node, Op, Sample
from keraunos.compiler.ir.kinds import Composite
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.rewrite import all_nodes
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.core import FUSED, input_
from keraunos.compiler.ops.registry import all_ops, ops
from keraunos.compiler.passes.expand import expand

COMPOSITES = [
    (op, sample) for op in all_ops() if isinstance(op.kind, Composite) for sample in op.samples
]


def composites(graph: Graph) -> set[str]:
    return {n.op.name for n in all_nodes(graph) if isinstance(n.op.kind, Composite)}


def test_there_are_composites_to_test() -> None:
    assert {"softmax", "batch_norm", "gelu", "mean"} <= {op.name for op, _ in COMPOSITES}


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("op", "sample"), COMPOSITES, ids=[f"{op.name}-{n}" for n, (op, _) in enumerate(COMPOSITES)]
)
def test_a_composite_is_what_it_expands_to(op: Op, sample: Sample) -> None:
    names = [f"x{i}.variance" if op.name == "batch_norm" else f"x{i}" for i in range(9)]
    # In f64, or the expansion would differ by the rounding of its constants to float32.
    types = [parse_type(type_.replace("f32", "f64")) for type_ in sample.types]
    inputs = tuple(input_(name, type_) for name, type_ in zip(names, types, strict=False))
    start = Graph("g", inputs, (op(*inputs, **sample.attrs),))
    found = expand(start, context())
    verify(found)
    assert not composites(found)
    # Random numbers are float32 by nature, whatever they are made of.
    wide = any(type_.dtype.is_float for type_ in types)
    assert_same_values(start, found, rtol=1e-10 if wide else 1e-5)


@pytest.mark.smoke
def test_bodies_are_reached() -> None:
    x, a0 = (input_(name, parse_type("f32[N, 4]")) for name in ("x", "a0"))
    body = Graph("body", (a0,), (ops.softmax(a0),))
    start = Graph("g", (x,), (FUSED(x, body=body, label="softmax"),))
    found = expand(start, context())
    assert composites(start) == {"softmax"}
    assert composites(found) == set()
    assert_same_values(start, found)


@pytest.mark.smoke
def test_primitives_stay_as_they_are() -> None:
    graph = parse_ir("graph g(%x: f32[N]) { %0 = relu(%x) return %0 }")
    assert expand(graph, context()) is graph


@pytest.mark.smoke
def test_origins_pass_to_the_parts() -> None:
    graph = parse_ir("graph g(%x: f32[N, 4]) {\n %0 = softmax(%x)   # top  m.py:3\n return %0 }")
    parts = [node for node in expand(graph, context()).nodes if node.inputs]
    assert len(parts) > 1
    assert all(node.layers == ("top",) for node in parts)


def _endless(node: Node) -> Node:
    return ENDLESS(node.inputs[0])


ENDLESS = Op("endless", lambda x: x, lambda x: x, Composite(_endless))


@pytest.mark.smoke
def test_a_composite_of_itself_is_found_out() -> None:
    x = input_("x", parse_type("f32[2]"))
    with pytest.raises(IRError, match="expand into themselves: endless"):
        expand(Graph("g", (x,), (ENDLESS(x),)), Decisions())


@pytest.mark.smoke
def test_an_expansion_of_another_type_is_found_out() -> None:
    wrong = Op(
        "wrong", lambda x: x, lambda x: x, Composite(lambda n: ops.sum(n.inputs[0], axes=(0,)))
    )
    x = input_("x", parse_type("f32[2]"))
    with pytest.raises(IRError, match=r"wrong : f32\[2\] expands into a value of f32\[\]"):
        expand(Graph("g", (x,), (wrong(x),)), Decisions())
