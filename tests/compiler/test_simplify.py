"""Every row of the table: before, expected, and the same values, NaN and infinities included."""

import pytest
from graphs import assert_same_values
from here import context

from keraunos.compiler.decisions import Decisions
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.passes.simplify import EQUATIONS, simplify

pytestmark = pytest.mark.smoke

X = "%x: f32[N, 4]"


def graph(signature: str, *lines: str) -> Graph:
    """A graph whose last line is what it returns: ``"relu(%x)"`` or ``"%x"``."""
    *named, last = lines
    end = f"return {last}" if last.startswith("%") else f"%out = {last} return %out"
    return parse_ir(f"graph g({signature}) {{ {' '.join(named)} {end} }}")


CASES: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
    ("x + 0 = x", X, ("add(%x, 0.0)",), ("%x",)),
    ("x + 0 = x", X, ("add(0.0, %x)",), ("%x",)),
    ("x + 0 = x", X, ("%z = constant([0.0, 0.0, 0.0, 0.0])", "add(%x, %z)"), ("%x",)),
    (
        "pad x + pad y = concatenate(x, y)",
        "%x: f32[N, 4], %y: f32[N, 3], %z: f32[N, 7]",
        (
            "%0 = pad(%x, low=(0, 3), high=(0, 0))",
            "%1 = pad(%y, low=(0, 0), high=(0, 4))",
            "%2 = add(%0, %z)",
            "add(%2, %1)",
        ),
        ("%0 = concatenate(%y, %x, axis=1)", "add(%0, %z)"),
    ),
    (
        "pad x + pad y = concatenate(x, y)",
        "%x: f32[2, 4], %y: f32[3, 4]",
        (
            "%0 = pad(%x, low=(0, 0), high=(3, 0))",
            "%1 = pad(%y, low=(2, 0), high=(0, 0))",
            "add(%0, %1)",
        ),
        ("concatenate(%x, %y, axis=0)",),
    ),
    ("x - 0 = x", X, ("subtract(%x, 0.0)",), ("%x",)),
    ("x * 1 = x", X, ("multiply(1.0, %x)",), ("%x",)),
    ("x / 1 = x", X, ("divide(%x, 1.0)",), ("%x",)),
    ("x * -1 = -x", X, ("multiply(%x, -1.0)",), ("negative(%x)",)),
    ("x / 2^k = x * 2^-k", X, ("divide(%x, 8.0)",), ("multiply(%x, 0.125)",)),
    (
        "x ** 1 = x, x ** 2 = square x, x ** -1 = 1/x",
        X,
        ("%0 = power(%x, 2.0)", "%1 = power(%0, 1.0)", "power(%1, -1.0)"),
        ("%0 = square(%x)", "reciprocal(%0)"),
    ),
    ("x + -y = x - y", X, ("%0 = negative(%x)", "add(%x, %0)"), ("subtract(%x, %x)",)),
    (
        "x + -y = x - y",
        X,
        ("%0 = negative(%x)", "%1 = relu(%x)", "add(%0, %1)"),
        ("%1 = relu(%x)", "subtract(%1, %x)"),
    ),
    ("x - -y = x + y", X, ("%0 = negative(%x)", "subtract(%x, %0)"), ("add(%x, %x)",)),
    ("--x = x", X, ("%0 = negative(%x)", "negative(%0)"), ("%x",)),
    ("not not x = x", "%x: bool[N]", ("%0 = logical_not(%x)", "logical_not(%0)"), ("%x",)),
    ("|-x| = |x|", X, ("%0 = negative(%x)", "abs(%0)"), ("abs(%x)",)),
    ("f(f x) = f x", X, ("%0 = relu(%x)", "%1 = relu(%0)", "relu(%1)"), ("relu(%x)",)),
    (
        "f(f x) = f x",
        X,
        ("%0 = clip(%x, low=0.0, high=6.0)", "clip(%0, low=0.0, high=6.0)"),
        ("clip(%x, low=0.0, high=6.0)",),
    ),
    ("f(x, x) = x", X, ("maximum(%x, %x)",), ("%x",)),
    ("maximum(x, 0) = relu x", X, ("maximum(0.0, %x)",), ("relu(%x)",)),
    ("x and True = x", "%x: bool[N]", ("logical_and(%x, True)",), ("%x",)),
    ("x or False = x", "%x: bool[N]", ("logical_or(False, %x)",), ("%x",)),
    (
        "select(c, x, x) = x",
        X,
        ("%0 = greater(%x, 1.0)", "select(%0, %x, %x)"),
        ("%x",),
    ),
    ("select(True, x, y) = x", X, ("select(False, 1.0, %x)",), ("%x",)),
    ("cast x = x", X, ("cast(%x, dtype=f32)",), ("%x",)),
    ("cast(widen x) = cast x", X, ("%0 = cast(%x, dtype=f64)", "cast(%0, dtype=f32)"), ("%x",)),
    (
        "cast(widen x) = cast x",
        "%x: i8[N]",
        ("%0 = cast(%x, dtype=i32)", "cast(%0, dtype=f32)"),
        ("cast(%x, dtype=f32)",),
    ),
    ("stop_gradient x = x", X, ("stop_gradient(%x)",), ("%x",)),
    ("reshape x = x", X, ("reshape(%x, shape=(N, 4))",), ("%x",)),
    (
        "reshape(reshape x) = reshape x",
        X,
        ("%0 = reshape(%x, shape=(4, N))", "reshape(%0, shape=(2*N, 2))"),
        ("reshape(%x, shape=(2*N, 2))",),
    ),
    ("transpose x = x", X, ("transpose(%x, axes=(0, -1))",), ("%x",)),
    (
        "transpose(transpose x) = transpose x",
        "%x: f32[N, 2, 3]",
        ("%0 = transpose(%x, axes=(1, 2, 0))", "transpose(%0, axes=(2, 1, 0))"),
        ("transpose(%x, axes=(0, 2, 1))",),
    ),
    (
        "transpose of axes of size 1 = reshape",
        "%x: f32[N, 1, 3]",
        ("transpose(%x, axes=(1, 0, 2))",),
        ("reshape(%x, shape=(1, N, 3))",),
    ),
    ("broadcast_to x = x", X, ("broadcast_to(%x, shape=(N, 4))",), ("%x",)),
    (
        "broadcast_to(broadcast_to x) = broadcast_to x",
        "%x: f32[4]",
        ("%0 = broadcast_to(%x, shape=(3, 4))", "broadcast_to(%0, shape=(2, 3, 4))"),
        ("broadcast_to(%x, shape=(2, 3, 4))",),
    ),
    (
        "f(broadcast_to x, y) = f(x, y)",
        f"{X}, %y: f32[4]",
        ("%0 = broadcast_to(%y, shape=(N, 4))", "add(%x, %0)"),
        ("add(%x, %y)",),
    ),
    ("slice x = x", X, ("slice(%x, start=(0, 0), stop=(N, 4), step=(1, 1))",), ("%x",)),
    ("pad x = x", X, ("pad(%x, low=(0, 0), high=(0, 0))",), ("%x",)),
    ("flip x = x", "%x: f32[N, 1]", ("flip(%x, axes=(1,))",), ("%x",)),
    ("flip(flip x) = x", X, ("%0 = flip(%x, axes=(0,))", "flip(%0, axes=(0,))"), ("%x",)),
    ("repeat x = x", X, ("repeat(%x, factors=(1, 1))",), ("%x",)),
    ("concatenate(x) = x", X, ("concatenate(%x, axis=1)",), ("%x",)),
    ("reduce x over one element = x", X, ("sum(%x, axes=())",), ("%x",)),
    (
        "reduce x over one element = x",
        "%x: f32[N, 1]",
        ("max(%x, axes=(1,))",),
        ("reshape(%x, shape=(N,))",),
    ),
]


@pytest.mark.parametrize(("equation", "signature", "before", "expected"), CASES)
def test_row(
    equation: str, signature: str, before: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    decisions = Decisions()
    start = graph(signature, *before)
    found = simplify(start, context(decisions))
    verify(found)
    assert str(found) == str(graph(signature, *expected))
    assert equation in {decision.pattern for decision in decisions}
    assert_same_values(start, found)
    assert_same_values(start, found, poison=True)


def test_every_row_is_tested() -> None:
    assert {row.equation for row in EQUATIONS} == {equation for equation, *_ in CASES}


@pytest.mark.parametrize(
    ("signature", "line"),
    [
        (X, "multiply(%x, 0.0)"),  # NaN * 0 is NaN
        (X, "subtract(%x, %x)"),  # inf - inf is NaN
        (X, "divide(%x, %x)"),
        (X, "divide(%x, 3.0)"),  # 1/3 is rounded
        (X, "divide(%x, 0.0)"),
        (X, "divide(%x, 1.7014118e+38)"),  # 2**127: its reciprocal is not a normal number
        (X, "power(%x, 0.5)"),  # of -inf it is inf, the square root is NaN
        (X, "power(%x, 0.0)"),
        (X, "maximum(%x, 1.0)"),
        (X, "add(%x, 1e-30)"),
        (X, "flip(%x, axes=(1,))"),
        (X, "sum(%x, axes=(1,))"),
        ("%x: f32[N]", "reshape(%x, shape=(N, 1))"),
        ("%x: f32[]", "broadcast_to(%x, shape=(2,))"),
        ("%x: i32[N]", "power(%x, -1)"),
    ],
)
def test_what_is_no_equation_stays(signature: str, line: str) -> None:
    start = graph(signature, line)
    decisions = Decisions()
    assert simplify(start, context(decisions)) == start
    assert len(decisions) == 0


def test_a_zero_that_broadcasts_stays() -> None:
    start = graph("%x: f32[4]", "%z = constant([[0.0], [0.0]])", "add(%x, %z)")
    assert simplify(start, context()) == start


@pytest.mark.parametrize(
    "lines",
    [
        ("%0 = pad(%x, low=(4,), high=(0,))", "%1 = pad(%y, low=(0,), high=(5,))", "add(%0, %1)"),
        ("%0 = pad(%x, low=(2,), high=(0,))", "%1 = pad(%y, low=(0,), high=(3,))", "add(%0, %1)"),
        (
            "%0 = pad(%x, low=(3,), high=(0,), value=1.0)",
            "%1 = pad(%y, low=(0,), high=(4,))",
            "add(%0, %1)",
        ),
        (  # the sum of three numbers depends on their order
            "%0 = pad(%x, low=(3,), high=(0,))",
            "%1 = add(%0, %z)",
            "%2 = add(%1, %z)",
            "%3 = pad(%y, low=(0,), high=(4,))",
            "add(%2, %3)",
        ),
    ],
)
def test_what_leaves_gaps_or_overlaps_is_no_concatenation(lines: tuple[str, ...]) -> None:
    start = graph("%x: f32[4], %y: f32[3], %z: f32[7]", *lines)
    assert simplify(start, context()) == start


def test_a_cast_that_loses_stays() -> None:
    start = graph("%x: f32[N]", "%0 = cast(%x, dtype=i32)", "cast(%0, dtype=f32)")
    assert simplify(start, context()) == start


def test_rows_feed_one_another_and_bodies_are_reached() -> None:
    start = parse_ir("""
    graph g(%x: f32[N, 4]) {
      %0 = fused silly(%x) {
        %0.0 = multiply(%x, 1.0)
        %0.1 = negative(%0.0)
        %0.2 = negative(%0.1)
        %0.3 = add(%0.2, 0.0)
        %0.4 = exp(%0.3)
        return %0.4
      }
      return %0
    }""")
    expected = parse_ir("""
    graph g(%x: f32[N, 4]) {
      %0 = fused silly(%x) { %0.0 = exp(%x) return %0.0 }
      return %0
    }""")
    assert simplify(start, context()) == expected


def test_decisions_name_the_layers() -> None:
    start = parse_ir("graph g(%x: f32[2]) {\n%0 = add(%x, 0.0) # dense_1  m.py:3\nreturn %0 }")
    decisions = Decisions()
    simplify(start, context(decisions))
    (decision,) = decisions
    assert (decision.stage, decision.pattern) == ("simplify", "x + 0 = x")
    assert decision.layers == ("dense_1",)
