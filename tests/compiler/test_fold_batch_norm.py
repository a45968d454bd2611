"""Batch norms into convolutions and matmuls: before, expected, values, refusals."""

import numpy as np
import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler.decisions import Decision, Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.passes.fold_batch_norm import fold_batch_norm

pytestmark = pytest.mark.smoke

NORM = "batch_norm({}, $gamma, $beta, $mean, $variance, epsilon=0.001)"


def statistics(channels: int) -> str:
    return "".join(f"${name} : f32[{channels}] " for name in ("gamma", "beta", "mean", "variance"))


def network(signature: str, parameters: str, *lines: str, channels: int = 6) -> Graph:
    """A graph that returns what its last line computes."""
    *named, last = lines
    body = " ".join([statistics(channels), parameters, *named, f"%out = {last}", "return %out"])
    return parse_ir(f"graph g({signature}) {{ {body} }}")


def folded(before: Graph) -> tuple[Graph, list[Decision]]:
    decisions = Decisions()
    after = fold_batch_norm(before, context(decisions))
    verify(after)
    assert_same_values(before, after, rtol=1e-9)
    return after, list(decisions)


IMAGE = "%x: f32[N, 8, 8, 4]"


def test_after_a_convolution_with_a_bias() -> None:
    before = network(
        IMAGE,
        "$k : f32[3, 3, 4, 6] $b : f32[6]",
        '%0 = conv2d(%x, $k, strides=(2, 2), padding="same")',
        "%1 = add(%0, $b)",
        NORM.format("%1"),
    )
    expected = network(
        IMAGE,
        "$k : f32[3, 3, 4, 6] $b : f32[6]",
        "%0 = add($variance, 0.001)",
        "%1 = rsqrt(%0)",
        "%scale = multiply($gamma, %1)",
        "%3 = multiply($k, %scale)",
        '%4 = conv2d(%x, %3, strides=(2, 2), padding="same")',
        "%5 = subtract($b, $mean)",
        "%6 = multiply(%5, %scale)",
        "%7 = add(%6, $beta)",
        "add(%4, %7)",
    )
    after, (decision,) = folded(before)
    assert str(after) == str(expected)
    assert (decision.action, decision.pattern) == ("folded", "conv2d+add+batch_norm")


@pytest.mark.parametrize(
    ("signature", "parameters", "lines"),
    [
        (IMAGE, "$k : f32[1, 1, 4, 6]", ["%0 = conv2d(%x, $k)"]),
        (IMAGE, "$k : f32[3, 3, 2, 6]", ["%0 = conv2d(%x, $k, groups=2)"]),
        (IMAGE, "$k : f32[3, 3, 4, 6] $b : f32[6]", ["%c = conv2d(%x, $k)", "%0 = add($b, %c)"]),
        (
            IMAGE,
            "$k : f32[3, 3, 4, 6] $b : f32[6, 6, 6]",
            ["%c = conv2d(%x, $k)", "%0 = add(%c, $b)"],
        ),
        ("%x: f32[N, 8, 8, 3]", "$k : f32[3, 3, 3, 2]", ["%0 = depthwise_conv2d(%x, $k)"]),
        ("%x: f32[N, 5]", "$k : f32[5, 6]", ["%0 = matmul(%x, $k)"]),
        ("%x: f32[N, 7, 5]", "$k : f32[5, 6]", ["%0 = matmul(%x, $k)"]),
        ("%x: f32[N, 9, 4]", "$k : f32[3, 4, 6]", ["%0 = conv1d(%x, $k)"]),
    ],
)
def test_after_other_weights(signature: str, parameters: str, lines: list[str]) -> None:
    after, (decision,) = folded(network(signature, parameters, *lines, NORM.format("%0")))
    assert decision.action == "folded"
    assert "batch_norm" not in {node.op.name for node in after.nodes}
    big = [node for node in after.nodes if node.inputs and "N" in str(node.type)]
    assert len(big) == 2  # the convolution and the sum with the new bias


def test_two_norms_in_a_row() -> None:
    before = network(
        IMAGE,
        "$k : f32[3, 3, 4, 6]",
        "%0 = conv2d(%x, $k)",
        f"%1 = {NORM.format('%0')}",
        NORM.format("%1"),
    )
    after, decisions = folded(before)
    assert [d.action for d in decisions] == ["folded", "folded"]
    assert [n.op.name for n in after.nodes if n.inputs and n.inputs[0] in after.inputs] == [
        "conv2d"
    ]


def test_a_bias_made_by_weights_of_its_own_is_told_from_the_convolution() -> None:
    before = network(
        "%x: f32[N, 5]",
        "$k : f32[5, 6] $a : f32[1, 3] $c : f32[3, 6]",
        "%bias = matmul($a, $c)",
        "%0 = matmul(%x, $k)",
        "%1 = add(%bias, %0)",
        NORM.format("%1"),
    )
    _, (decision,) = folded(before)
    assert decision.action == "folded"


def test_alone_it_becomes_a_scale_and_a_shift() -> None:
    before = network("%x: f32[N, 6]", "", "%0 = relu(%x)", NORM.format("%0"))
    expected = network(
        "%x: f32[N, 6]",
        "",
        "%0 = relu(%x)",
        "%1 = add($variance, 0.001)",
        "%2 = rsqrt(%1)",
        "%scale = multiply($gamma, %2)",
        "%3 = multiply(%0, %scale)",
        "%4 = multiply($mean, %scale)",
        "%5 = subtract($beta, %4)",
        "add(%3, %5)",
    )
    after, (decision,) = folded(before)
    assert str(after) == str(expected)
    assert decision.reason == "NO_WEIGHTS_BEFORE"
    assert "it follows relu" in decision.detail


def declined(before: Graph, reason: str, detail: str) -> Graph:
    after, decisions = folded(before)
    (decision,) = [d for d in decisions if d.declined]
    assert decision.reason == reason
    assert detail in decision.detail
    return after


def test_another_axis_is_declined_and_scaled() -> None:
    norm = NORM.format("%0").replace(", epsilon", ", axis=1, epsilon")
    before = network(IMAGE, "$k : f32[3, 3, 4, 5]", "%0 = conv2d(%x, $k)", norm)
    after = declined(before, "AXIS_NOT_LAST", "it normalizes axis 1 of 4")
    assert "batch_norm" not in {node.op.name for node in after.nodes}


def test_a_second_user_is_declined_and_named() -> None:
    before = parse_ir(f"""
    graph g({IMAGE}) {{
      {statistics(6)}
      $k : f32[3, 3, 4, 6]
      %0 = conv2d(%x, $k)            # conv  m.py:1
      %1 = {NORM.format("%0")}       # norm  m.py:2
      %2 = tanh(%0)                  # act  m.py:3
      %3 = add(%1, %2)
      return %3
    }}""")
    after = declined(before, "SECOND_USER", "the output of conv2d also feeds tanh (act)")
    (conv,) = [node for node in after.nodes if node.op.name == "conv2d"]
    assert conv.inputs[1].op.name == "parameter"


def test_a_second_user_of_the_sum_is_declined() -> None:
    before = network(
        IMAGE,
        "$k : f32[3, 3, 4, 6] $b : f32[6]",
        "%0 = conv2d(%x, $k)",
        "%1 = add(%0, $b)",
        f"%2 = {NORM.format('%1')}",
        "add(%1, %2)",
    )
    declined(before, "SECOND_USER", "the output of add also feeds add")


def test_an_output_is_declined() -> None:
    before = parse_ir(f"""
    graph g({IMAGE}) {{
      {statistics(6)}
      $k : f32[3, 3, 4, 6]
      %0 = conv2d(%x, $k)
      %1 = {NORM.format("%0")}
      return %1, %0
    }}""")
    declined(before, "OUTPUT", "conv2d is itself an output")


def test_batch_statistics_are_declined_and_stay() -> None:
    before = parse_ir("""
    graph g(%x: f32[N, 6]) {
      $gamma : f32[6] $beta : f32[6]
      %mean = mean(%x, axes=(0,))
      %variance = variance(%x, axes=(0,))
      %0 = batch_norm(%x, $gamma, $beta, %mean, %variance, epsilon=0.001)
      return %0
    }""")
    after = declined(before, "STATISTICS_VARY", "not parameters")
    assert after == before


def test_a_kernel_that_varies_is_declined() -> None:
    before = network("%x: f32[4, 5], %k: f32[5, 6]", "", "%0 = matmul(%x, %k)", NORM.format("%0"))
    declined(before, "KERNEL_VARIES", "not made of parameters")


def test_layers_of_both_stay_on_the_convolution() -> None:
    before = parse_ir(f"""
    graph g({IMAGE}) {{
      {statistics(6)}
      $k : f32[3, 3, 4, 6]
      %0 = conv2d(%x, $k)         # conv  m.py:1
      %1 = {NORM.format("%0")}    # norm  m.py:2
      return %1
    }}""")
    after, (decision,) = folded(before)
    (conv,) = [node for node in after.nodes if node.op.name == "conv2d"]
    assert conv.layers == decision.layers == ("conv", "norm")


def test_nan_and_infinity_pass_through() -> None:
    before = network(IMAGE, "$k : f32[1, 1, 4, 6]", "%0 = conv2d(%x, $k)", NORM.format("%0"))
    after = fold_batch_norm(before, context())
    with np.errstate(all="ignore"):
        assert_same_values(before, after, rtol=1e-9, poison=True)
