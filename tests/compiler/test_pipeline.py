"""The list of passes: names, choice, prefixes, verification; random graphs through all of it."""

import numpy as np
import pytest
from graphs import assert_same_values, random_graph
from here import HERE
from tiers import seeds

from keraunos.compiler import pipeline
from keraunos.compiler.context import Context
from keraunos.compiler.decisions import Decision, Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.printer import format_graph
from keraunos.compiler.pipeline import optimize, stage_names
from keraunos.runtime.config import config
from keraunos.runtime.cpu.host import Host

# Later passes have tests of their own.
FIRST = ("widen", "simplify", "fold_constants", "fold_batch_norm", "expand", "simplify_2")
FURTHER = ("simplify_2", "simplify_3")

GRAPH = parse_ir("graph g(%x: f32[N, 4]) { %0 = add(%x, 0.0) %1 = softmax(%0) return %1 }")


@pytest.mark.smoke
def test_the_list() -> None:
    assert stage_names(HERE)[: len(FIRST)] == FIRST
    assert len(set(stage_names(HERE))) == len(stage_names(HERE))


@pytest.mark.smoke
def test_default_runs_all_in_order() -> None:
    stages = optimize(GRAPH, HERE)
    assert tuple(stages) == ("trace", *stage_names(HERE))
    assert stages["trace"] is GRAPH
    assert stages.last is stages[stage_names(HERE)[-1]]
    assert [n.op.name for n in stages["simplify"].nodes] == ["input", "softmax"]


def with_required(*names: str) -> tuple[str, ...]:
    """The stages to expect where ``names`` are chosen."""
    always = {run.__name__ for run in pipeline.mandatory(HERE)}
    return ("trace", *(name for name in stage_names(HERE) if name in always.union(names)))


@pytest.mark.smoke
def test_none_keeps_what_kernels_need() -> None:
    stages = optimize(GRAPH, HERE, passes="none")
    assert "expand" in stages
    assert tuple(stages) == with_required()
    assert "softmax" not in {node.op.name for node in stages.last.nodes}


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("passes", "stages"),
    [
        (["fold_constants", "simplify"], ("simplify", "fold_constants", *FURTHER)),
        (["simplify_2"], ("simplify_2",)),
        ("simplify", ("simplify", *FURTHER)),
        ([], ()),
    ],
)
def test_names_choose_from_the_list_whose_order_stays(
    passes: str | list[str], stages: tuple[str, ...]
) -> None:
    assert tuple(optimize(GRAPH, HERE, passes=passes)) == with_required(*stages)


@pytest.mark.smoke
def test_disable() -> None:
    stages = optimize(GRAPH, HERE, disable=("simplify",))
    assert {"simplify", *FURTHER}.isdisjoint(stages)
    assert "simplify" in optimize(GRAPH, HERE, disable="simplify_2")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("last", "stages"),
    [("fold_constants", FIRST[:3]), ("expand", FIRST[:5]), ("simplify_2", FIRST), ("trace", ())],
)
def test_stop_after_leaves_what_kernels_need(last: str, stages: tuple[str, ...]) -> None:
    assert tuple(optimize(GRAPH, HERE, stop_after=last)) == with_required(*stages)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": ["simplfy", "fold_constants"]}, "got 'simplfy'; did you mean simplify?"),
        (
            {"passes": "defualt"},
            "passes: expected default, none, widen, simplify, .* mean default?",
        ),
        ({"passes": ["a", "b"]}, "got 'a', 'b'"),
        ({"disable": "fold"}, "disable: expected widen, simplify, .* got 'fold'"),
        (
            {"stop_after": "expnd"},
            "stop_after: expected trace, widen, simplify, .* did you mean expand?",
        ),
        ({"disable": ("expand",)}, "expand cannot be disabled; kernels need it"),
    ],
)
def test_unknown_names(options: dict[str, object], message: str) -> None:
    with pytest.raises(IRError, match=message):
        optimize(GRAPH, HERE, **options)  # type: ignore[arg-type]


@pytest.mark.smoke
def test_an_unknown_stage() -> None:
    with pytest.raises(KeyError, match="did you mean simplify"):
        optimize(GRAPH, HERE)["simplfy"]


@pytest.mark.smoke
def test_decisions_are_collected() -> None:
    decisions = Decisions()
    optimize(GRAPH, HERE, decisions=decisions)
    assert decisions.of_stage("simplify")[0].pattern == "x + 0 = x"
    assert decisions.to_dict()[0]["layers"] == []


def spoil(graph: Graph, context: Context[Host]) -> Graph:
    """A pass that leaves the graph without its inputs."""
    context.decisions.add(Decision("spoil", "all", (), "spoiled"))
    return Graph(graph.name, (), graph.outputs)


@pytest.mark.smoke
def test_a_pass_that_breaks_the_graph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "NEUTRAL", (*pipeline.NEUTRAL[:2], spoil))
    with pytest.raises(IRError, match=r"after spoil: %x .* is not listed as an input"):
        optimize(GRAPH, HERE, disable="simplify")
    with config.update(verify=False):
        assert optimize(GRAPH, HERE).last.inputs == ()


@pytest.mark.smoke
def test_common_subexpressions_and_dead_code_go_by_themselves() -> None:
    graph = parse_ir("""
    graph g(%x: f32[N]) {
      %0 = exp(%x)
      %1 = add(%x, 0.0)
      %2 = exp(%1)
      %3 = tanh(%2)
      %4 = multiply(%0, %2)
      return %4
    }""")
    expected = parse_ir("graph g(%x: f32[N]) { %0 = exp(%x) %1 = multiply(%0, %0) return %1 }")
    assert optimize(graph, HERE)["simplify"] == expected


SEEDS = seeds(50, 150)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_print_and_parse(seed: int) -> None:
    for graph in optimize(random_graph(seed), HERE).values():
        text = format_graph(graph)
        found = parse_ir(text)
        assert found == graph
        assert format_graph(found) == text


@pytest.mark.parametrize("seed", SEEDS)
def test_every_stage_computes_the_same(seed: int) -> None:
    graph = random_graph(seed)
    assert random_graph(seed) == graph
    for stage in optimize(graph, HERE).values():
        assert_same_values(graph, stage, seed, rtol=1e-6)


def test_random_graphs_are_varied() -> None:
    graphs = [random_graph(seed) for seed in SEEDS]
    names = {node.op.name for graph in graphs for node in graph.nodes}
    assert len(names) > 60
    assert len(set(graphs)) == len(SEEDS)


UNREAD = """graph g(%x: f32[N, 2]) {{
  %0 = fused several(%x) {{
    %0.0 = relu(%x)
    %0.1 = exp(%x)
    %0.2 = negative(%x)
    return %0.0, %0.1, %0.2
  }}
  {read}
}}"""


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize(
    "read",
    [
        "%1 = item(%0, index=1) return %1",
        "%1 = item(%0, index=0) %2 = item(%0, index=2) return %1, %2",
    ],
)
def test_results_of_groups_that_nothing_reads_are_left_out(read: str, passes: str) -> None:
    graph = parse_ir(UNREAD.format(read=read))
    x = np.array([[-1.0, 2.0]], "float32")
    found = compile_graph(graph, passes=passes)(x)
    for result, expected in zip(found, evaluate(graph, [x]), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-6)
