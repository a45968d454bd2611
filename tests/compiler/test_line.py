"""The line from a graph to a program: each box can be looked at, and nothing reaches back."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from here import HERE
from recurrent import stacked_lstms

from keraunos.compiler.emit import emit
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.plan import plan
from keraunos.compiler.scheduling.schedule import schedule
from keraunos.compiler.targets import target_named
from keraunos.runtime.placement import place

pytestmark = pytest.mark.smoke

GRAPH = parse_ir(
    """graph net(%x: f32[N, 8]) -> f32[N, 4] {
  $k : f32[8, 4]  # dense
  %0 = matmul(%x, $k)  # dense
  return %0
}
"""
)
ORDERED = schedule(optimize(GRAPH, HERE).last, HERE)
LOWERED = lower(ORDERED, HERE)
PLANNED = plan(LOWERED)
PROGRAM = emit(PLANNED, HERE)


def words(line: str) -> list[str]:
    return line.split()


def test_a_schedule_tells_its_steps_and_what_they_make() -> None:
    head, step = str(ORDERED).splitlines()
    assert head == "schedule net: 1 steps"
    assert words(step) == ["0", "matmul", "(dense)", "f32[N,", "4]"]
    assert not ORDERED.steps[0].launches


def test_a_lowered_schedule_tells_kernels_and_what_they_cost() -> None:
    _, step = str(LOWERED).splitlines()
    assert words(step) == ["0", "matmul", "(dense)", "matmul", "64*N", "flops"]
    assert [each.node for each in LOWERED.steps] == [each.node for each in ORDERED.steps]


def test_a_plan_tells_slots_and_rows() -> None:
    name, _, *slots, blank, heads, row = str(PLANNED).splitlines()
    assert (name, blank) == ("plan net", "")
    assert [words(line)[:2] for line in slots[1:]] == [
        ["0", "input"],
        ["1", "output"],
        ["2", "constant"],
    ]
    assert words(heads) == ["row", "what", "reads", "writes", "flops", "for"]
    assert words(row) == ["0", "matmul", "(0)", "0", "2", "1", "64*N", "matmul", "(dense)"]


def test_a_program_is_its_plan_with_texts_and_the_target() -> None:
    assert str(PROGRAM) == str(PLANNED).replace("plan net", f"program net for {HERE.name}", 1)
    assert (PROGRAM.rows, PROGRAM.slots) == (PLANNED.rows, PLANNED.slots)
    assert [kernel.source for kernel in PROGRAM.kernels] == list(map(HERE.emit, PLANNED.kernels))


def test_loops_and_tiles_are_indented_in_a_listing() -> None:
    ordered = lower(schedule(optimize(stacked_lstms(), HERE).last, HERE), HERE)
    lines = str(plan(ordered)).splitlines()
    (first, second) = (i for i, line in enumerate(lines) if "T times through 1 row " in line)
    start = lines[first].index("T times")
    assert lines[first + 1].index("(") > start and second > first + 1
    assert lines[first + 1][start : start + 2] == "  " != lines[first + 2][start : start + 2]


def test_a_plan_is_of_no_machine_and_is_emitted_for_any_that_has_its_kernels() -> None:
    wide = target_named("cpu:avx512")
    program = emit(plan(lower(schedule(optimize(GRAPH, wide).last, wide), wide)), wide)
    assert program.target == wide.name
    assert str(program).startswith("program net for cpu:avx512\n")


def test_a_placement_tells_where_each_value_lies() -> None:
    placed = place(PROGRAM, {"N": 3}, threads=2)
    head, _, heads, *rows = str(placed).splitlines()
    assert head.startswith("placement of net for 2 threads, N=3: ")
    assert words(heads) == ["slot", "value", "bytes", "where"]
    assert words(rows[0]) == ["0", "x", "96", "input"]
    tiled = emit(plan(lower(schedule(optimize(stacked_lstms(), HERE).last, HERE), HERE)), HERE)
    text = str(place(tiled, {"N": 3, "T": 2}, threads=1))
    assert " arena at 0" in text


@pytest.mark.parametrize("box", [GRAPH, ORDERED, PLANNED, PROGRAM, place(PROGRAM, {"N": 2}, 1)])
def test_boxes_are_frozen(box: object) -> None:
    with pytest.raises(FrozenInstanceError):
        box.name = "another"  # type: ignore[attr-defined]
