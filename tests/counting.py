"""Work counted in calls of functions, which no other load of the machine changes."""

from __future__ import annotations

import cProfile
from collections.abc import Iterator
from contextlib import contextmanager


class Calls:
    """How often each function was called, one of Python or of C, once they have been counted."""

    def __init__(self) -> None:
        self.by_function: dict[object, int] = {}

    @property
    def total(self) -> int:
        return sum(self.by_function.values())


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Counts what this thread calls within the block, also where that raises."""
    calls, profile = Calls(), cProfile.Profile()
    profile.enable()
    try:
        yield calls
    finally:
        profile.disable()
        for entry in profile.getstats():
            name = _name(entry.code)
            calls.by_function[name] = calls.by_function.get(name, 0) + entry.callcount


def _name(code: object) -> object:
    """Where a function stands; one of C is a text already."""
    if isinstance(code, str):
        return code
    return code.co_filename, code.co_firstlineno, code.co_name  # type: ignore[attr-defined]
