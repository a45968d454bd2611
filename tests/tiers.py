"""The tiers of generated tests: a few cases always, thousands where the deep tier is asked for."""

import pytest


class Session:
    """What this session runs; `conftest` settles it before any module is imported."""

    is_deep = False


def asks_for_deep(markers: str) -> bool:
    """Whether a marker expression (`pytest -m`) selects tests that are marked slow."""
    return "not slow" not in markers


def seeds(fast: int, slow: int) -> list[object]:
    """Seeds from 0 on: ``fast`` of them always, the others, up to ``slow``, in the deep tier.

    Nine thousand cases that are not to run take as long to collect as many tests to run.
    """
    deep = range(fast, slow) if Session.is_deep else ()
    return [*range(fast), *(pytest.param(seed, marks=pytest.mark.slow) for seed in deep)]
