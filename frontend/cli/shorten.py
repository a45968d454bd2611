"""Generated code for reading: what an unrolled loop repeats is shown once."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_PERIOD = 4  # lines
FEWEST_REPEATS = 3
_NUMBER = re.compile(r"\d+")
_ARGUMENT = re.compile(r"^(\s*)\w+ = (?:\w+\()?args\[\d+\]\)?$")


def shortened(source: str, most: int = 80) -> str:
    """``source`` with repetitions that differ in numbers alone left out, and cut at ``most`` lines.

    Comments say what is missing.
    """
    lines = list(_without_repeats(source.rstrip("\n").split("\n")))
    if len(lines) <= most:
        return "\n".join(lines)
    rest = len(lines) - most
    return "\n".join([*lines[:most], f"    # ... {rest} more lines"])


def _without_repeats(lines: list[str]) -> Iterator[str]:
    shapes = [_shape(line) for line in lines]
    index = 0
    while index < len(lines):
        period, repeats = _best_repetition(shapes, index)
        yield from lines[index : index + period]
        if repeats > 1:
            indent = " " * (len(lines[index]) - len(lines[index].lstrip()))
            yield f"{indent}# ... {repeats - 1} more like {'it' if period == 1 else 'these'}"
        index += period * repeats


def _shape(line: str) -> str:
    """The line without what may differ from one repetition to the next."""
    if argument := _ARGUMENT.match(line):
        return f"{argument.group(1)}args"
    return _NUMBER.sub("0", line)


def _best_repetition(shapes: list[str], start: int) -> tuple[int, int]:
    """The period and count of the repetition from ``start`` that hides most; ``(1, 1)`` if none."""
    best = (1, 1)
    for period in range(1, LONGEST_PERIOD + 1):
        repeats = _count_repeats(shapes, start, period)
        hidden = period * (repeats - 1)
        if repeats >= FEWEST_REPEATS and shapes[start].strip() and hidden > best[0] * (best[1] - 1):
            best = (period, repeats)
    return best


def _count_repeats(shapes: list[str], start: int, period: int) -> int:
    block = shapes[start : start + period]
    repeats = 1
    while shapes[start + repeats * period : start + (repeats + 1) * period] == block:
        repeats += 1
    return repeats
