"""Steps that run beside one another: which they are, where their values lie, the same bits."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import random_arguments, random_graph
from recurrent import draw, draw_weights, input_, lstm_layer, weight
from tiers import seeds

from keraunos.compiler import ops
from keraunos.compiler.decisions import Decision
from keraunos.compiler.durations import Duration
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.program_file import load_program
from keraunos.compiler.report.profile import profile
from keraunos.compiler.scheduling.forks import Threads, dependences, divided, stretches
from keraunos.compiler.scheduling.schedule import BatchTile
from keraunos.runtime.config import config
from keraunos.runtime.placement import Placement, place
from keraunos.runtime.program import ARENA, BranchRow, LaunchRow, LoopRow, Program
from keraunos.runtime.program_check import check_program

TWO = Threads(2, wait=1.0)
WIDTH = 64


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "threads", 2)


def chosen(dependent: list[set[int]], *costs: float, threads: Threads = TWO) -> list[object]:
    """The branches of each stretch, for steps that take so long however many threads share them."""
    sets = [frozenset(each) for each in dependent]
    found, _ = stretches(sets, [Duration(each, each) for each in costs], threads)
    return [stretch.branches for stretch in found]


# Which steps


def test_two_chains_are_two_branches() -> None:
    chains = [set(), {0}, set(), {2}]
    assert chosen(chains, 5, 5, 5, 5) == [((0, 1), (2, 3))]


def test_chains_that_are_interleaved_are_branches_too() -> None:
    assert chosen([set(), set(), {0}, {1}], 5, 5, 5, 5) == [((0, 2), (1, 3))]


def test_what_all_branches_read_or_that_reads_all_of_them_stands_outside() -> None:
    assert chosen([set(), {0}, {0}, {1, 2}], 9, 9, 9, 9) == [((1,), (2,))]


def test_a_step_that_joins_two_branches_may_belong_to_a_fork() -> None:
    """Two short ones lead to a long one, beside which another runs."""
    assert chosen([set(), set(), {0, 1}, set()], 1, 1, 18, 20) == [((0, 1, 2), (3,))]


def test_forks_that_follow_one_another_each_wait_for_the_one_before() -> None:
    """A pipeline: the second stage of each piece stands beside the first one of the next."""
    pieces = [set(), {0}, {0}, {1, 2}, {2}, {3, 4}]
    assert chosen(pieces, *[9] * 6) == [((1,), (2,)), ((3,), (4,))]


def test_long_chains_of_short_steps_are_seen_as_a_whole() -> None:
    """As of two loops that are unrolled: each step reads the one before, and what all do."""
    length = 100
    chains = [set[int]()]
    for first in (1, 1 + length):
        chains += [{0}, *({0, i} for i in range(first, first + length - 1))]
    first, second = range(1, 1 + length), range(1 + length, 1 + 2 * length)
    assert chosen(chains, *[1.0] * (1 + 2 * length)) == [(tuple(first), tuple(second))]


def test_more_branches_than_threads_share_them() -> None:
    alone = [set() for _ in range(4)]
    assert chosen(alone, 9, 9, 9, 9) == [((0,), (1,), (2,), (3,))]
    (two,), _ = stretches([frozenset()] * 4, [Duration(9, 9)] * 4, TWO)
    assert (two.beside, two.after) == (19.0, 36.0)
    (four,), _ = stretches([frozenset()] * 4, [Duration(9, 9)] * 4, Threads(4, wait=1.0))
    assert (four.beside, four.after) == (10.0, 36.0)


def test_nothing_is_gained_where_threads_share_each_step() -> None:
    found, nearest = stretches([frozenset()] * 2, [Duration(10, 6)] * 2, TWO)
    assert found == ()
    assert nearest is not None and (nearest.beside, nearest.after) == (11.0, 12.0)


def test_a_chain_has_nothing_to_run_beside() -> None:
    assert stretches([frozenset(), frozenset({0})], [Duration(9, 9)] * 2, TWO) == ((), None)


# The decisions


def chain(x: Node, name: str, length: int = 6) -> Node:
    for i in range(length):
        x = ops.matmul(x, weight(f"{name}{i}", f"f32[{WIDTH}, {WIDTH}]"))
    return x


def two_chains(batch: str = "N", length: int = 6) -> Graph:
    x = input_("x", f"f32[{batch}, {WIDTH}]")
    return Graph("two", (x,), (chain(x, "a", length), chain(x, "b", length)))


def fork_decisions(executable: Executable) -> list[Decision]:
    return list(executable.decisions.of_stage("fork"))


def branch_rows(program: Program) -> list[BranchRow]:
    return [row for row in program.rows if isinstance(row, BranchRow)]


def test_the_decision_has_the_numbers() -> None:
    executable = compile_graph(two_chains())
    (decision,) = fork_decisions(executable)
    assert (decision.action, decision.reason) == ("forked", "IDLE_THREADS")
    assert decision.pattern == "2 branches"
    assert "µs beside one another" in decision.detail and "up to batch " in decision.detail
    first, second = branch_rows(executable.program)
    assert (first.rows, first.fork, second.rows, second.fork) == (6, 0, 6, 0)


def test_threads_that_share_each_step_are_busy() -> None:
    (decision,) = fork_decisions(compile_graph(two_chains("512", length=1)))
    assert (decision.action, decision.reason) == ("declined", "BUSY_THREADS")
    assert "threads share each step" in decision.detail


def test_one_thread_runs_nothing_beside_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "threads", 1)
    executable = compile_graph(two_chains())
    (decision,) = fork_decisions(executable)
    assert (decision.action, decision.reason) == ("declined", "ONE_THREAD")
    assert not branch_rows(executable.program)


@pytest.mark.parametrize("options", [{"disable": "fork"}, {"passes": "none"}, {"passes": "fuse"}])
def test_forks_can_be_switched_off_and_chosen(options: dict[str, str]) -> None:
    assert not branch_rows(compile_graph(two_chains(), **options).program)
    assert branch_rows(compile_graph(two_chains(), passes=("fuse", "fork")).program)


# What a step has to follow


def test_updates_follow_the_readers_of_what_they_overwrite() -> None:
    executable = compile_graph(parse_ir(UPDATE))
    schedule = executable.schedule
    assert schedule.overwritten
    reader, writer = dependences(schedule)
    assert (reader, writer) == (frozenset(), {0})
    assert schedule.steps[0].node.op.name != "multiply"


UPDATE = """
graph step(%x: f32[1, 64]) -> f32[1, 64] {
  $w : f32[64, 64]

  %0 = matmul(%x, $w)
  %1 = multiply($w, 0.5)
  update $w = %1
  return %0
}
"""


def test_tiles_end_where_branches_do_unless_they_hold_the_fork() -> None:
    schedule = compile_graph(two_chains()).schedule
    (fork,) = schedule.forks
    assert [len(branch) for branch in fork.branches] == [6, 6]
    whole, inside, across = BatchTile(0, 11, 4, 2), BatchTile(1, 4, 4, 2), BatchTile(4, 9, 4, 2)
    assert divided([whole], schedule) == (whole,)
    assert divided([inside], schedule) == (inside,)
    assert divided([across], schedule) == (BatchTile(4, 5, 4, 2), BatchTile(6, 9, 4, 2))
    assert divided([BatchTile(5, 6, 4, 2)], schedule) == ()  # of one step each nothing is left


# Where values lie


def test_values_of_branches_that_run_at_once_lie_apart() -> None:
    program = compile_graph(two_chains()).program
    placed = place(program, {"N": 1}, threads=2)
    heads = list(placed.branches)
    assert len(heads) == 2
    owned = [slots_within(program, head) for head in heads]
    assert all(len(each) > 2 for each in owned)
    for mine in owned[0]:
        for other in owned[1]:
            assert apart(program, placed, mine, other)
    # A branch uses memory again, as it would on its own.
    assert len({placed.offsets[slot] for slot in owned[0]}) < len(owned[0])


def slots_within(program: Program, head: int) -> list[int]:
    row = program.rows[head]
    assert isinstance(row, BranchRow)
    inside = program.rows[head : head + row.rows + 1]
    written = {s for each in inside if isinstance(each, LaunchRow) for s in each.writes}
    return [slot for slot in sorted(written) if program.slots[slot].kind == ARENA]


def apart(program: Program, placed: Placement, one: int, other: int) -> bool:
    sizes = (int(str(program.slots[slot].bytes).split("*")[0]) for slot in (one, other))
    a, b = placed.offsets[one], placed.offsets[other]
    a_size, b_size = sizes
    return a + a_size <= b or b + b_size <= a


def test_branches_are_rows_like_others_for_more_samples_or_one_thread() -> None:
    program = compile_graph(two_chains()).program
    most = branch_rows(program)[0].most
    assert len(place(program, {"N": most}, threads=2).branches) == 2
    assert not place(program, {"N": most + 1}, threads=2).branches
    assert not place(program, {"N": 1}, threads=1).branches


# The same bits


def random_chains(seed: int) -> Graph:
    """Layers of one size whose operands are drawn from all layers before them."""
    rng = random.Random(seed)
    x = input_("x", f"f32[N, {WIDTH}]")
    values = [x]
    for i in range(10):
        product = ops.matmul(rng.choice(values[-5:]), weight(f"w{i}", f"f32[{WIDTH}, {WIDTH}]"))
        values.append(ops.add(product, rng.choice(values[-5:])) if i % 3 else product)
    return Graph("random", (x,), tuple(values[1:]))


def same_bits(graph: Graph, *sizes: int, runs: int = 20, threads: int = 3) -> Executable:
    executable = compile_graph(graph, threads=threads)
    plain = compile_graph(graph, disable="fork", threads=threads)
    for size in sizes:
        inputs, parameters = random_arguments(graph, size, {"N": size, "T": 5})
        for each in (executable, plain):
            each.set_parameters(parameters)
        expected = plain(*inputs)
        for _ in range(runs):
            for found, wanted in zip(executable(*inputs), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)
    return executable


@pytest.fixture
def free_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that meet cost nothing: forks are worth it wherever there are branches."""
    monkeypatch.setattr(config, "threads", 3)
    monkeypatch.setattr("keraunos.compiler.cpu.forks.SHARED", 0.0)


@pytest.mark.parametrize("seed", seeds(3, 60))
def test_random_branches_give_the_same_bits(seed: int, free_waiting: None) -> None:
    executable = same_bits(random_chains(seed), 1, 3)
    assert branch_rows(executable.program)


@pytest.mark.parametrize("seed", seeds(1, 60))
def test_random_graphs_give_the_same_bits(seed: int, free_waiting: None) -> None:
    same_bits(random_graph(seed), 1, 2, runs=3)


def two_directions() -> Graph:
    x = input_("x", "f32[N, T, 5]")
    last, forward = lstm_layer(x, 8, "forward")
    first, backward = lstm_layer(x, 8, "backward", reverse=True)
    return Graph("both", (x,), (forward, backward, last, first))


def test_two_directions_run_beside_one_another_at_any_length() -> None:
    graph = two_directions()
    executable = same_bits(graph, 1, 2, 9, threads=2)
    assert len(branch_rows(executable.program)) == 2
    weights = draw_weights(graph)
    executable.set_parameters(weights)
    plain = compile_graph(graph, passes="none")
    plain.set_parameters(weights)
    for length in (1, 2, 7):
        x = draw(1, length, 5)
        for found, wanted in zip(executable(x), plain(x), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_tile_that_pays_takes_the_place_of_a_fork() -> None:
    program = compile_graph(two_directions()).program
    few, many = (place(program, {"N": n, "T": 4}, threads=2) for n in (1, 64))
    assert few.branches and not few.tiles
    assert many.tiles and not many.branches


def test_a_profile_tells_branches_and_what_is_in_them() -> None:
    graph = two_chains()
    executable = compile_graph(graph, threads=2)
    executable.set_parameters(draw_weights(graph))
    launches = profile(executable, draw(1, WIDTH), repeats=3).launches
    heads = [each for each in launches if each.kernel.startswith("branch of 6 launches")]
    assert len(heads) == 2 and all(each.has_body for each in heads)
    assert [each.depth for each in launches].count(1) == 12


# Files


def test_a_program_with_branches_is_saved_and_loaded(tmp_path: Path) -> None:
    graph = two_chains()
    executable = compile_graph(graph)
    inputs, parameters = random_arguments(graph, 1, {"N": 1})
    executable.set_parameters(parameters)
    executable.save(tmp_path / "two")
    loaded = load_program(tmp_path / "two")
    np.testing.assert_array_equal(loaded(*inputs)[0], executable(*inputs)[0])


def test_a_branch_in_a_loop_is_refused() -> None:
    executable = compile_graph(two_directions())
    program = executable.program
    loop = next(i for i, row in enumerate(program.rows) if isinstance(row, LoopRow))
    inside = (*program.rows[: loop + 1], BranchRow(0, 9, 1), *program.rows[loop + 2 :])
    parameters = [[p.dtype is not None for p in k.params] for k in executable.plan.kernels]
    check_program(program, parameters)
    with pytest.raises(ValueError, match="no branch in a branch or a loop"):
        check_program(replace(program, rows=inside), parameters)
