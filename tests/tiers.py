"""The tiers of tests: what a session reads and makes of them, by the markers that it asks for."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest


class Session:
    """What this session runs; `conftest` settles it before any module is imported."""

    is_deep = False


class Slow:
    """The names of a marker expression, as a test that is marked slow and nothing else has them."""

    def __getitem__(self, name: str) -> bool:
        return name == "slow"


def asks_for_deep(markers: str) -> bool:
    """Whether a marker expression (`pytest -m`) selects tests that are marked slow alone.

    Such an expression is one of Python, of names, `and`, `or` and `not`.
    """
    return not markers or bool(eval(markers, {"__builtins__": {}}, Slow()))


def deep(*case: object, when: bool = True) -> list[object]:
    """A list of this one case, the values of its parameters, which is of the deep tier ``when``."""
    if when and not Session.is_deep:
        return []
    return [pytest.param(*case, marks=pytest.mark.slow if when else ())]


def covering(sizes: Sequence[int]) -> set[tuple[int, ...]]:
    """Combinations of options, as the number of each one's value, that hold every pair of values.

    Few mistakes need three options at once, and there are many times as many of all combinations.
    """
    rows = list(itertools.product(*map(range, sizes)))
    together = min(2, len(sizes))
    missing = {pair for row in rows for pair in _pairs(row, together)}
    chosen = set()
    while missing:
        best = max(rows, key=lambda row: len(missing & _pairs(row, together)))
        chosen.add(best)
        missing -= _pairs(best, together)
    return chosen


def _pairs(row: tuple[int, ...], together: int) -> set[tuple[tuple[int, int], ...]]:
    return set(itertools.combinations(enumerate(row), together))


def has_none(path: Path, markers: str) -> bool:
    """Whether the file ``path`` has no test of the tier ``markers``, so that it need not be read.

    The smoke tier alone is so small that reading the files of the others would take most of it.
    """
    is_file = markers == "smoke" and path.match("test_*.py") and path.is_file()
    return is_file and "mark.smoke" not in path.read_text("utf-8")


def seeds(fast: int, slow: int) -> list[object]:
    """Seeds from 0 on: ``fast`` of them always, the others, up to ``slow``, in the deep tier.

    Nine thousand cases that are not to run take as long to collect as many tests to run.
    """
    deep = range(fast, slow) if Session.is_deep else ()
    return [*range(fast), *(pytest.param(seed, marks=pytest.mark.slow) for seed in deep)]
