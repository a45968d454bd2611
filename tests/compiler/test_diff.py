"""What a pass changed, node by node: nothing but what is new, gone or changed, and who reads it."""

import json

import pytest
from counting import counted_calls
from golden_models import graph_of
from here import HERE
from recurrent import stacked_lstms

from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.printer import node_calls
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.report.diff import diff, stage_diff, stage_diffs
from keraunos.compiler.report.difference import CHANGED, GONE, NEW, USER
from keraunos.compiler.report.matching import match_nodes
from keraunos.runtime.config import config


def graph(*lines: str) -> Graph:
    """A graph over ``%x`` that returns what the last line computes."""
    last, body = lines[-1].partition(" =")[0], "\n".join(f"  {line}" for line in lines)
    head = "graph g(%x: f32[4, 4]) -> f32[4, 4]"
    return parse_ir(f"{head} {{\n  $k : f32[4, 4]\n{body}\n  return {last}\n}}")


def shown(old: Graph, new: Graph) -> list[str]:
    """The marks and calls, without types and origins."""
    return [f"{line.mark} {''.join(line.call)}".rstrip() for line in diff(old, new).lines]


CHAIN = [f"%{i + 1} = {op}(%{i})" for i, op in enumerate(("sin", "cos", "tanh", "exp", "log"))]
LONG = ["%0 = matmul(%x, $k)", *CHAIN]


def test_an_inserted_op_is_one_line_and_its_reader():
    new = ["%0 = matmul(%x, $k)", "%a = relu(%0)", "%1 = sin(%a)", *CHAIN[1:]]
    assert shown(graph(*LONG), graph(*new)) == ["+ %1 = relu(%0)", "  %2 = sin(%1)"]
    assert shown(graph(*new), graph(*LONG)) == ["- %1 = relu(%0)", "  %1 = sin(%0)"]


def test_what_is_numbered_anew_is_no_change():
    first = graph("%0 = sin(%x)", "%1 = cos(%x)", "%2 = add(%0, %1)", "%3 = exp(%2)")
    again = graph("%7 = cos(%x)", "%5 = sin(%x)", "%2 = add(%5, %7)", "%3 = exp(%2)")
    assert not diff(first, again)
    assert str(diff(first, again, "simplify")) == "simplify: nothing changed"


def test_a_changed_attribute_is_told_with_what_it_was():
    old = graph("%0 = sum(%x, axes=(0,), keepdims=True)", "%1 = add(%x, %0)", "%2 = exp(%1)")
    new = graph("%0 = sum(%x, axes=(1,), keepdims=True)", "%1 = add(%x, %0)", "%2 = exp(%1)")
    (line,) = diff(old, new).lines
    assert (line.mark, line.was) == (CHANGED, "axes=(0,), : f32[1, 4]")
    assert line.type == "f32[4, 1]"


def test_other_operands_that_were_there_before_are_a_change():
    old = graph("%0 = sin(%x)", "%1 = cos(%x)", "%2 = subtract(%0, %1)", "%3 = exp(%2)")
    new = graph("%0 = sin(%x)", "%1 = cos(%x)", "%2 = subtract(%1, %0)", "%3 = exp(%2)")
    (line,) = diff(old, new).lines
    assert (line.mark, line.call, line.was) == (CHANGED, ("%2 = subtract(%0, %1)",), "of %0, %1")


def test_another_result_is_a_change():
    swapped = [
        parse_ir(
            "graph g(%x: f32[4]) -> (f32[4], f32[4]) {\n"
            f"  %0 = sin(%x)\n  %1 = cos(%x)\n  return {results}\n}}"
        )
        for results in ("%0, %1", "%1, %0")
    ]
    found = diff(*swapped)
    assert found.counts == {"added": 0, "removed": 0, "changed": 2}
    assert {line.call[0][:6] for line in found.lines} == {"return"}


def test_a_wider_column_changes_nothing_else():
    """The text of the whole graph changes, as its columns do."""
    wide = ["%0 = transpose(%x, axes=(1, 0))", "%1 = matmul(%0, $k)", *CHAIN[1:]]
    new = ["%1 = matmul(%x, $k)", *CHAIN[1:]]
    assert shown(graph(*wide), graph(*new)) == [
        "- %0 = transpose(%x, axes=(1, 0))",
        "  %0 = matmul(%x, $k)",
    ]


def test_the_values_of_large_constants_are_left_out():
    values = ", ".join(["[1.0, 2.0, 3.0, 4.5, 5.0]"] * 4)
    new = parse_ir(
        "graph g(%x: f32[4, 5]) -> f32[4, 5] {\n"
        f"  %0 = constant([{values}]) : f32[4, 5]\n  %1 = add(%x, %0)\n  return %1\n}}"
    )
    assert shown(new.with_outputs(new.inputs), new) == [
        "+ %0 = constant(...)",
        "+ %1 = add(%x, %0)",
    ]


def test_groups_stand_below_the_ops_that_they_are_made_of():
    stages = optimize(graph_of("cnn"), HERE)
    lines = stage_diff(stages, "fuse").lines
    first = next(i for i, line in enumerate(lines) if line.mark == NEW)
    assert [line.call[0].split()[2].partition("(")[0] for line in lines[:first]] == [
        "conv2d",
        "add",
        "relu",
        "max_pool2d",
    ]
    assert "fused conv2d+add+relu+max_pool2d" in lines[first].call[0]
    assert not [line for line in lines if line.mark == CHANGED]


def test_a_change_within_a_loop_is_shown_within_it():
    old = stacked_lstms()
    text = str(old)
    assert " = tanh(" in text
    new = parse_ir(text.replace(" = tanh(", " = relu(", 1))
    found = diff(parse_ir(text), new)
    head, *inside = found.lines
    assert head.mark == CHANGED and " = scan(" in head.call[0]
    assert {line.depth for line in inside} == {1}
    assert [line.mark for line in inside if line.mark != USER] == [GONE, NEW]
    # Names in a body begin with that of the loop.
    name = head.call[0].split()[0]
    assert all(line.call[0].startswith(f"{name}.") for line in inside if line.call)


def test_a_new_loop_is_shown_with_its_body():
    loop = stacked_lstms()
    empty = loop.with_outputs(loop.inputs[:1])
    (line, *_) = [line for line in diff(empty, loop).lines if len(line.call) > 1]
    assert line.mark == NEW
    assert any("matmul(" in text for text in line.call)


@pytest.mark.parametrize("name", ["cnn", "cnn_step", "mobilenetv2"])
def test_what_is_not_shown_is_as_it_was(name):
    with config.update(verify=False):
        stages = optimize(graph_of(name), HERE)
    for (_, old), (stage, new) in zip(stages.graphs[:-1], stages.graphs[1:], strict=True):
        found, old_of = diff(old, new, stage), match_nodes(old, new)
        assert len(set(old_of.values())) == len(old_of)
        marks = [line.mark for line in found.lines if line.depth == 0]
        before, after = (len(node_calls(each)) for each in (old, new))
        assert after - before == marks.count(NEW) - marks.count(GONE)
        same = sum(
            node in old_of
            and all(
                old_of.get(i) is o for i, o in zip(node.inputs, old_of[node].inputs, strict=False)
            )
            for node in new.nodes
            if node.inputs
        )
        assert sum(bool(node.inputs) for node in new.nodes) - same <= len(marks)


def test_the_text_has_marks_columns_and_what_was():
    old = graph("%0 = sum(%x, axes=(0,), keepdims=True)", "%1 = add(%x, %0)   # a  net.py:3")
    new = graph(
        "%0 = sum(%x, axes=(1,), keepdims=True)", "%1 = sin(%0)   # b", "%2 = add(%x, %1)   # a"
    )
    assert str(diff(old, new, "pass")).splitlines() == [
        "pass: 1 added, 1 changed",
        "",
        "~ %0 = sum(%x, axes=(1,), keepdims=True) : f32[4, 1]   was axes=(0,), : f32[1, 4]",
        "+ %1 = sin(%0)                           : f32[4, 1]   # b",
        "  %2 = add(%x, %1)                       : f32[4, 4]   # a",
        "",
        "Names after - are those of the graph before, others those of the graph after.",
    ]


def test_lines_are_json_and_stages_have_names():
    stages = optimize(graph_of("cnn"), HERE)
    found = dict(stage_diffs(stages))
    assert list(found) == list(stages)[1:]
    content = found["fuse"].to_dict()
    assert json.loads(json.dumps(content)) == content
    with pytest.raises(ValueError, match=r"diff: expected one of .*simplify, .*did you mean fuse"):
        stage_diff(stages, "fus")
    with pytest.raises(ValueError, match=r"expected one of .*simplify"):
        stage_diff(stages, "trace")


@pytest.mark.parametrize("layers", ["", "   # dense_{}  net.py:{}"])
def test_the_work_follows_the_size(layers):
    """Every tenth op of a chain is gone: with layers and without them."""

    def chain(size: int, without: bool) -> Graph:
        ops = [i for i in range(size) if not (without and i % 10 == 5)]
        lines = [
            f"%{place + 1} = {('sin', 'cos', 'tanh')[i % 3]}(%{place})" + layers.format(i, i)
            for place, i in enumerate(ops)
        ]
        return graph("%0 = matmul(%x, $k)", *lines)

    calls = []
    for size in (200, 400, 600):
        old, new = chain(size, False), chain(size, True)
        with counted_calls() as counted:
            found = diff(old, new)
        assert found.counts["removed"] == size // 10 + found.counts["added"]
        if layers:
            assert found.counts == {"added": 0, "removed": size // 10, "changed": 0}
        calls.append(counted.total)
    assert calls[2] - calls[1] < 1.2 * (calls[1] - calls[0])
