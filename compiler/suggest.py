"""Names as users give them: one or several, and misspelt ones in error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

LONGEST = 60  # characters of a name; the time of a comparison grows with their square
MOST = 2000  # names that are compared


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean relu?"`` if a known name is close to ``name``, else nothing."""
    if len(name) > LONGEST:
        return ""
    near = islice((other for other in known if len(other) <= LONGEST), MOST)
    close = get_close_matches(name, list(near), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def listed(names: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several as a tuple: a string is a name, not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)
