"""What explain() shows of the decisions: groups, reasons, savings, within the width."""

import json

import pytest

from keraunos.compiler.decisions import Decision, Decisions
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.explain import Explanation, explain
from keraunos.compiler.report.table import lay_out
from keraunos.runtime.dim import symbol

N = symbol("N")

RESIDUAL = """
graph net(%x: f32[N, 4]) -> (f32[N, 4], bool[N, 4]) {
  $a.kernel : f32[4, 4]   # a
  $a.bias   : f32[4]      # a
  %0 = matmul(%x, $a.kernel) : f32[N, 4]   # a
  %1 = add(%0, $a.bias)      : f32[N, 4]   # a
  %2 = relu(%1)              : f32[N, 4]   # relu
  %3 = matmul(%1, $a.kernel) : f32[N, 4]   # b
  %4 = add(%2, %3)           : f32[N, 4]   # sum
  %5 = greater(%3, 0.0)      : bool[N, 4]  # sign
  return %4, %5
}
"""


def decisions(*taken: Decision) -> Decisions:
    log = Decisions()
    for decision in taken:
        log.add(decision)
    return log


def fused(index: int, pattern: str = "conv2d+add+relu") -> Decision:
    return Decision("fuse", pattern, (f"conv2d_{index}",), "fused", "FUSED", "", 2, 1000 * N)


def declined(layer: str, detail: str) -> Decision:
    return Decision("fuse", "conv2d + add", (layer,), "declined", "SECOND_USER", detail)


def explanation_of(taken: Decisions) -> Explanation:
    return Explanation("net", tuple(taken))


def rows(explanation) -> list[list[str]]:
    return [list(row.cells) for row in explanation.table().rows]


@pytest.mark.smoke
def test_like_decisions_share_a_row_and_add_up():
    explanation = explanation_of(decisions(*(fused(i) for i in range(16)), fused(16, "conv2d+add")))
    first, second = rows(explanation)
    assert first == [
        "conv2d+add+relu",
        "×16: conv2d_0, conv2d_1, conv2d_2, … and 13 more",
        "fused",
        "saves 32 kernels, 16.0 KB a sample",
    ]
    assert second[1] == "conv2d_16"
    assert explanation.table().title == "net: 17 fused; saves 34 kernels, 17.0 KB a sample"


@pytest.mark.smoke
def test_a_refusal_shows_its_code_and_what_failed():
    log = decisions(declined("a", "its operand also feeds b"), declined("c", "it feeds d"))
    (row,) = rows(explanation_of(log))
    assert row[2:] == [
        "declined",
        "SECOND_USER: its operand also feeds b (and 1 case like it)",
    ]


@pytest.mark.smoke
def test_one_kind_alone():
    explanation = explanation_of(decisions(fused(0), declined("a", "it feeds b")))
    assert [row[2] for row in rows(explanation.only("declined"))] == ["declined"]
    assert str(explanation.only("tiled")) == "net: nothing tiled"
    with pytest.raises(ValueError, match=r"fused, folded, tiled, declined.*did you mean declined"):
        explanation.only("decline")


@pytest.mark.smoke
def test_sixty_rows_stay_within_the_width_and_lose_nothing():
    taken = [
        Decision(
            "fuse",
            f"{'+'.join(['conv2d', 'add', 'batch_norm', 'relu', 'max_pool2d'][: 2 + i % 4])}+f{i}",
            (f"encoder.block_{i}.convolution_{i}", f"pool_{i}"),
            "declined",
            "SECOND_USER",
            f"the output of encoder.block_{i} also feeds decoder.block_{i}.concatenate_{i}",
        )
        for i in range(60)
    ]
    table = explanation_of(decisions(*taken)).table()
    for width in (80, 100, 140):
        assert max(map(len, table.text(width).splitlines())) <= width
        shown = [["".join(lines) for lines in row] for row in lay_out(table, width, 2).cells]
        whole = [list(row.cells) for row in table.rows]
        assert [without_spaces(row) for row in shown] == [without_spaces(row) for row in whole]


def without_spaces(cells: list[str]) -> list[str]:
    return ["".join(cell.split()) for cell in cells]


@pytest.mark.smoke
def test_the_dictionary_is_json_and_ungrouped():
    found = explanation_of(decisions(fused(0), fused(1))).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["kernels_saved"] == 4
    assert found["bytes_saved"] == "2000*N"
    assert len(found["decisions"]) == 2


def test_heavy_kernels_are_told_with_their_engines():
    text = """graph net(%x: f32[N, 28, 28, 16], $k: f32[3, 3, 16, 32], $w: f32[32, 8]) {
      %0 = conv2d(%x, $k)
      %1 = exp(%0)
      %2 = max(%1, axes=(1, 2))
      %3 = matmul(%2, $w)
      return %3 }"""
    explanation = explain(compile_graph(parse_ir(text.replace("$", "%")), target="cpu:avx2"))
    assert set(explanation.to_dict()["engines"].values()) == {"fma", "winograd"}
    lines = str(explanation).splitlines()
    assert lines[-1].startswith("Multiplied by ") and "winograd_conv2d" in str(explanation)
    assert "Multiplied" not in str(explanation.only("declined"))


def test_an_executable_explains_itself():
    explanation = explain(compile_graph(parse_ir(RESIDUAL)))
    text = str(explanation)
    assert "fused" in explanation.actions
    assert text.startswith("net: ")
    assert "matmul+add" in text
    refusals = [d for d in explanation.only("declined").decisions if d.stage == "fuse"]
    assert "DTYPE" in {refusal.reason for refusal in refusals}
    assert all(refusal.reason in text and "sign" in refusal.layers for refusal in refusals)
