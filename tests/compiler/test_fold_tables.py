"""Products into the tables whose rows are picked: before, expected, values, models."""

import numpy as np
import pytest
from graphs import assert_same_values
from here import context

import keraunos
from keraunos import layers
from keraunos.compiler.decisions import Decision, Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.passes.fold_tables import fold_tables


def folded(before: Graph) -> tuple[Graph, list[Decision]]:
    decisions = Decisions()
    after = fold_tables(before, context(decisions))
    verify(after, "fold_tables")
    assert_same_values(before, after, rtol=1e-9)
    return after, list(decisions)


BEFORE = """graph g(%x: i32[N, T]) -> f32[N, T, 3] {
    $table : f32[7, 4] $w : f32[4, 3] $b : f32[3]
    %0 = gather($table, %x, from_end=False)
    %1 = matmul(%0, $w)
    %2 = add($b, %1)
    %3 = tanh(%2)
    return %3 }"""


def test_a_dense_layer_after_an_embedding() -> None:
    after, (decision,) = folded(parse_ir(BEFORE))
    expected = parse_ir("""graph g(%x: i32[N, T]) -> f32[N, T, 3] {
        $table : f32[7, 4] $w : f32[4, 3] $b : f32[3]
        %0 = matmul($table, $w)
        %1 = add($b, %0)
        %2 = tanh(%1)
        %3 = gather(%2, %x, from_end=False)
        return %3 }""")
    assert str(after) == str(expected)
    assert (decision.action, decision.pattern) == ("folded", "gather+matmul+add+tanh")
    assert "7 rows, 84 bytes" in decision.detail
    again, decisions = folded(after)
    assert again is after
    assert not decisions


def test_each_product_of_the_same_rows_has_its_table() -> None:
    after, decisions = folded(
        parse_ir("""graph g(%x: i32[N, T]) {
        $table : f32[7, 4] $v : f32[4, 3] $w : f32[4, 2]
        %0 = gather($table, %x)
        %1 = matmul(%0, $v)
        %2 = matmul(%0, $w)
        %3 = cos(%2)
        return %0, %1, %3 }""")
    )
    assert len(decisions) == 2
    gathers = [node for node in after.nodes if node.op.name == "gather"]
    assert sorted(node.shape[-1] for node in gathers) == [2, 3, 4]


def test_scaled_rows_stay_where_no_product_follows() -> None:
    before = parse_ir("""graph g(%x: i32[N, T]) {
        $table : f32[7, 4] $s : f32[4]
        %0 = gather($table, %x)
        %1 = multiply(%0, $s)
        return %1 }""")
    after, decisions = folded(before)
    assert after is before
    assert not decisions


def test_rows_that_there_are_not_are_nan_as_before() -> None:
    graph = parse_ir(BEFORE)
    rng = np.random.default_rng(0)
    values = {n.attrs["name"]: rng.normal(size=n.shape).astype("float32") for n in graph.parameters}
    x = np.array([[0, 6, 7], [-1, 3, -8]], "int32")
    results = []
    for disable in ((), "fold_tables"):
        run = compile_graph(graph, disable=disable)
        run.set_parameters(values)
        (result,) = run(x)
        results.append(result)
    np.testing.assert_allclose(*results, rtol=2e-6, atol=1e-6)
    assert np.array_equal(np.isnan(results[0]).all(-1), [[False, False, True], [True, False, True]])


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_a_recurrent_net_reads_its_projections_from_a_table(merge: str) -> None:
    model = keraunos.Sequential(
        [
            keraunos.Input((None,), dtype="int32"),
            layers.Embedding(11, 6, mask_zero=True),
            layers.Bidirectional(layers.LSTM(4), merge_mode=merge),
            layers.Dense(3),
        ]
    )
    x = np.random.default_rng(1).integers(0, 11, (3, 5)).astype("int32")
    run, plain = keraunos.compile(model), keraunos.compile(model, disable="fold_tables")
    assert len([d for d in run.decisions.of_stage("fold_tables") if d.action == "folded"]) == 2
    np.testing.assert_allclose(run(x), plain(x), rtol=2e-6, atol=1e-6)
    # The tables follow the weights.
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(run(x), plain(x), rtol=2e-6, atol=1e-6)


def test_training_reads_the_table_that_it_updates() -> None:
    model = keraunos.Sequential(
        [keraunos.Input((4,), dtype="int32"), layers.Embedding(5, 3), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    x, y = np.zeros((2, 4), "int32"), np.ones((2, 4, 2), "float32")
    step = keraunos.compile(model.training_step(x, y))
    assert not step.decisions.of_stage("fold_tables")
