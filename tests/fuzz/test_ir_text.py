"""Broken dumps: each parses and comes back the same, or raises ``IRError``, and soon."""

from __future__ import annotations

import random

import numpy as np
import pytest
from counting import counted_calls
from mutants import dumps, mutant
from tiers import seeds

from keraunos.compiler.ir.graph import IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.printer import format_graph
from keraunos.compiler.ir.verify import verify

CALLS = 100  # for each character of a text: none takes a fifth of it
FAST, SLOW = 3, 200
MUTANTS = 60  # a seed


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return dumps()


def check(text: str) -> bool:
    """Whether ``text`` parses; if so, its graph is well formed and its own text gives it back."""
    try:
        with counted_calls() as calls:
            graph = parse_ir(text)
    except IRError as error:
        assert str(error).startswith("line "), error
        return False
    finally:
        assert calls.total < CALLS * (len(text) + 200)
    verify(graph)
    printed = format_graph(graph)
    again = parse_ir(printed)
    assert again == graph
    assert format_graph(again) == printed
    return True


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
def test_mutants_parse_and_come_back_or_raise(seed: int, texts: list[str]) -> None:
    rng = random.Random(seed)
    parsed = 0
    for number in range(MUTANTS):
        text = mutant(rng, texts)
        try:
            with np.errstate(all="raise"):
                parsed += check(text)
        except Exception:
            print(f"seed {seed}, mutant {number}:\n{text}")
            raise
    assert 0 < parsed < MUTANTS
