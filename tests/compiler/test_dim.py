"""Symbolic sizes: a canonical form, exact text, evaluation."""

import random

import pytest
from tiers import seeds

from keraunos.runtime.dim import (
    Dim,
    Size,
    coefficient,
    evaluate,
    is_never_negative,
    maximum,
    minimum,
    substitute,
    symbol,
    symbols_of,
)
from keraunos.runtime.dim_parser import parse_size

pytestmark = pytest.mark.smoke

N, T = symbol("N"), symbol("T")


def random_size(rng: random.Random, depth: int = 3) -> Size:
    if depth == 0:
        return rng.choice([N, T, rng.randint(-3, 5)])
    left, right = random_size(rng, depth - 1), random_size(rng, depth - 1)
    match rng.randrange(6):
        case 0:
            return left + right
        case 1:
            return left - right
        case 2:
            return left * right
        case 3:
            return maximum(left, right)
        case 4:
            return minimum(left, right)
        case _:
            return left // rng.randint(1, 4)


def test_equal_sizes_have_one_form() -> None:
    assert N + T == T + N
    assert hash(N * T + 1) == hash(1 + T * N)
    assert (N + 1) * (N - 1) == N * N - 1
    assert 2 * N - N == N


def test_what_cancels_is_an_int() -> None:
    assert N - N == 0
    assert (N + 3) - N == 3
    assert isinstance((N + 3) - N, int)


def test_division_is_exact_where_every_term_divides() -> None:
    assert (4 * N + 2) // 2 == 2 * N + 1
    assert isinstance(N // 2, Dim)
    assert (N // 2) * 2 != N


def test_remainder() -> None:
    assert (4 * N) % 2 == 0
    assert evaluate(N % 3, {"N": 8}) == 2


@pytest.mark.parametrize("divisor", [0, -2, 1.5, T])
def test_division_wants_a_positive_integer(divisor: object) -> None:
    with pytest.raises(ValueError, match="positive integer"):
        N // divisor  # type: ignore[operator]


def test_the_larger_and_the_smaller_size() -> None:
    assert maximum(N + 2, N) == N + 2
    assert minimum(N + 2, N) == N
    assert maximum(N, 0) == N
    assert str(maximum(N, 10)) == "max(N - 10, 0) + 10"
    for n in (9, 10, 11):
        assert evaluate(maximum(N, 10), {"N": n}) == max(n, 10)
        assert evaluate(minimum(N, 10), {"N": n}) == min(n, 10)


def test_equal_maxima_have_one_form() -> None:
    assert minimum(N, 10) == N - maximum(N - 10, 0) == 10 - maximum(10 - N, 0)
    assert maximum(2 * N - 4, 0) == 2 * maximum(N - 2, 0)
    assert maximum(N, T) + minimum(N, T) == N + T
    assert maximum(N, T) == maximum(T, N)


@pytest.mark.parametrize(
    ("size", "is_so"),
    [
        (N, True),
        (N - 1, False),
        (minimum(N, 10), True),
        (N - minimum(N, 10), True),
        (10 - minimum(N, 10), True),
        (9 - minimum(N, 10), False),
        (maximum(N - 2, 0) - maximum(N - 5, 0), True),
        (maximum(N - 5, 0) - maximum(N - 2, 0), False),
        ((minimum(N, 4) + 1) // 2, True),
    ],
)
def test_what_is_never_negative(size: Size, is_so: bool) -> None:
    assert is_never_negative(size) is is_so


@pytest.mark.parametrize("seed", seeds(60, 200))
def test_what_is_said_to_be_never_negative_is_so(seed: int) -> None:
    size = random_size(random.Random(seed))
    if is_never_negative(size):
        for n in range(5):
            assert all(evaluate(size, {"N": n, "T": t}) >= 0 for t in range(5))


@pytest.mark.parametrize("seed", seeds(60, 200))
def test_text_comes_back_as_the_same_size(seed: int) -> None:
    size = random_size(random.Random(seed))
    assert parse_size(str(size)) == size


@pytest.mark.parametrize("seed", seeds(60, 200))
def test_arithmetic_agrees_with_integers(seed: int) -> None:
    values = {"N": 7, "T": 4}
    size = random_size(random.Random(seed))
    plain = eval(str(size), {}, dict(values))
    assert evaluate(size, values) == plain
    assert substitute(size, values) == plain


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (3 * (N // 2), "3*(N//2)"),
        (-1 * (N // 2), "-(N//2)"),
        ((N - 3) // 2 + 1, "(N - 3)//2 + 1"),
        (N - 2 * T - 1, "N - 2*T - 1"),
    ],
)
def test_text(size: Size, text: str) -> None:
    assert str(size) == text


@pytest.mark.parametrize("text", ["", "N +", "N / 2", "f(N)", "1.5", "N // T"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        parse_size(text)


def test_coefficient() -> None:
    assert coefficient(3 * N + T, "N") == 3
    assert coefficient(7, "N") == 0
    assert coefficient(T, "N") == 0
    assert coefficient(2 * N * T + N + T, "N") == 2 * T + 1
    assert coefficient(N * N, "N") is None
    assert coefficient(N * (N // 2), "N") is None
    assert coefficient(N // 2, "N") is None


def test_substitute_keeps_what_is_not_named() -> None:
    assert substitute(N * T + 1, {"N": 2}) == 2 * T + 1
    assert substitute((N + 1) // 2, {"N": 2 * T + 1}) == T + 1


def test_an_unbound_symbol_is_named() -> None:
    with pytest.raises(KeyError, match="T"):
        evaluate(N + T, {"N": 1})


def test_symbols() -> None:
    assert symbols_of((N + 1) // 2 + T) == {"N", "T"}
    assert symbols_of(3) == frozenset()


def test_a_name_is_an_identifier() -> None:
    with pytest.raises(ValueError, match="identifier"):
        symbol("2N")
