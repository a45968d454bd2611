"""Constants: what is folded, what is not, and that NaN and infinities fold to themselves."""

import numpy as np
import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.passes.fold_constants import LIMIT_BYTES, fold_constants

pytestmark = pytest.mark.smoke


def check(before: str, expected: str) -> Decisions:
    decisions = Decisions()
    start = parse_ir(before)
    found = fold_constants(start, context(decisions))
    assert str(found) == str(parse_ir(expected))
    assert_same_values(start, found, rtol=1e-6)  # a folded constant is rounded to float32
    return decisions


def test_what_constants_determine_is_computed() -> None:
    decisions = check(
        """
        graph g(%x: f32[N]) {
          %0 = add(1.0, 3.0)
          %1 = sqrt(%0)
          %2 = multiply(%x, %1)
          return %2
        }""",
        "graph g(%x: f32[N]) { %0 = multiply(%x, 2.0) return %0 }",
    )
    assert [(d.pattern, d.action) for d in decisions] == [("add", "folded"), ("sqrt", "folded")]


def test_what_parameters_determine_stays() -> None:
    text = "graph g(%x: f32[2]) { $k : f32[2] %0 = exp($k) %1 = add(%x, %0) return %1 }"
    check(text, text)


def test_composites_and_contractions_fold() -> None:
    check(
        """
        graph g(%x: f32[N, 2]) {
          %0 = constant([[1.0, 2.0], [3.0, 4.0]])
          %1 = constant([[0.0, 1.0], [1.0, 0.0]])
          %2 = matmul(%0, %1)
          %3 = mean(%2, axes=(0,))
          %4 = add(%x, %3)
          return %4
        }""",
        """
        graph g(%x: f32[N, 2]) {
          %0 = constant([3.0, 2.0])
          %1 = add(%x, %0)
          return %1
        }""",
    )


def test_counting_and_spreading_alone_stay_but_are_seen_through() -> None:
    check(
        """
        graph g(%x: f32[3]) {
          %0 = iota(shape=(3,), axis=0, dtype=f32)
          %1 = broadcast_to(2.0, shape=(3,))
          %2 = multiply(%0, %1)
          %3 = add(%x, %2)
          %4 = add(%3, %0)
          return %4
        }""",
        """
        graph g(%x: f32[3]) {
          %0 = constant([0.0, 2.0, 4.0])
          %1 = add(%x, %0)
          %2 = iota(shape=(3,), axis=0, dtype=f32)
          %3 = add(%1, %2)
          return %3
        }""",
    )


def test_symbolic_sizes_stay() -> None:
    text = """
    graph g(%x: f32[N]) {
      %0 = broadcast_to(1.0, shape=(N,))
      %1 = sum(%0, axes=(0,))
      %2 = multiply(%x, %1)
      return %2
    }"""
    check(text, text)


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("divide(1.0, 0.0)", np.inf),
        ("negative(inf)", -np.inf),
        ("subtract(inf, inf)", np.nan),
        ("maximum(nan, 0.0)", np.nan),
        ("log(0.0)", -np.inf),
    ],
)
def test_nan_and_infinity(operation: str, value: float) -> None:
    start = parse_ir(f"graph g() {{ %0 = {operation} return %0 }}")
    (found,) = fold_constants(start, context()).outputs
    np.testing.assert_array_equal(found.attrs["value"].array, np.float32(value))


def test_large_results_are_declined() -> None:
    side = int(np.sqrt(LIMIT_BYTES / 4)) + 1
    text = f"""
    graph g(%x: f32[{side}, {side}]) {{
      %0 = iota(shape=({side}, 1), axis=0, dtype=f32)
      %1 = iota(shape=(1, {side}), axis=1, dtype=f32)
      %2 = subtract(%0, %1)
      %3 = multiply(%x, %2)
      return %3
    }}"""
    decisions = check(text, text)
    (decision,) = decisions
    assert (decision.action, decision.reason) == ("declined", "TOO_LARGE")
    assert str(LIMIT_BYTES) in decision.detail
