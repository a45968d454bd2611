"""What becomes of a few networks is as it was: IR, programs, kernels; and it stays within budgets.

Where a change is meant, `python tests/golden_models.py` writes the files anew.
"""

from __future__ import annotations

import json

import golden_models
import pytest
from golden_models import FOLDER, GRAPHS, WRITTEN_OUT, ir_of, kernel_texts, program_of, programs

from keraunos.compiler.ir.parser import parse_ir
from keraunos.runtime.native.features import LANE_CHOICES

# Kernels, launches, bytes of memory for one sample and for 32: whatever the vectors of a machine.
BUDGETS = {
    "cnn": (6, 6, 340_000, 1_250_000),
    "resnet20": (15, 44, 640_000, 4_500_000),
    "mobilenetv2": (22, 74, 6_200_000, 29_500_000),
    "cnn_step": (44, 57, 3_000_000, 9_000_000),
    "lstms": (7, 11, 6_000, 2_750_000),
}


def golden(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_ir_after_neutral_passes(name: str) -> None:
    assert ir_of(name) == golden(f"{name}.ir")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_files_are_ir(name: str) -> None:
    assert len(parse_ir(golden(f"{name}.ir")).nodes) > 15


@pytest.mark.parametrize("name", GRAPHS)
def test_programs_for_all_vectors(name: str) -> None:
    assert programs(name) == json.loads(golden(f"{name}.json"))


@pytest.mark.parametrize(("name", "lanes"), WRITTEN_OUT)
def test_texts_of_kernels(name: str, lanes: int) -> None:
    for file, text in kernel_texts(name, lanes).items():
        assert text == golden(file)


@pytest.mark.parametrize("lanes", LANE_CHOICES)
@pytest.mark.parametrize("name", BUDGETS)
def test_budgets_of_kernels_launches_and_memory(name: str, lanes: int) -> None:
    made = program_of(name, lanes)
    found = (made["kernels"], made["launches"], *made["arena_bytes"].values())
    assert all(size <= most for size, most in zip(found, BUDGETS[name], strict=True)), found


def test_there_are_no_files_that_nothing_is_held_against() -> None:
    made = {f"{name}.{kind}" for name in GRAPHS for kind in ("ir", "json")}
    made |= {f"{n}_{lanes}_{k}.txt" for (n, lanes), names in WRITTEN_OUT.items() for k in names}
    assert {path.name for path in FOLDER.iterdir()} == made
    assert golden_models.GRAPHS.keys() == BUDGETS.keys()
