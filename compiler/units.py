"""Numbers for people: bytes, seconds and counts with a unit and about three digits."""

from __future__ import annotations

from ..runtime.dim import Size, substitute

_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
BATCH = "N"


def format_bytes(count: float) -> str:
    """``259584`` is ``260 KB``; units are powers of 1000."""
    for unit, name in _BYTES:
        # Whatever would round to a thousand of a unit is written in the next one.
        if count >= 0.9995 * unit:
            return f"{three_digits(count / unit)} {name}"
    return f"{count:.0f} bytes"


def format_bytes_a_sample(size: Size) -> str:
    """``259584*N`` is ``260 KB a sample``; other sizes that vary are written out."""
    varies = not isinstance(size, int)
    each = substitute(size, {BATCH: 1})
    if not isinstance(each, int):
        return f"{each} bytes a sample"
    return f"{format_bytes(each)} a sample" if varies else format_bytes(each)


def format_seconds(seconds: float) -> str:
    """``0.000512`` is ``512 µs``."""
    for unit, name in _SECONDS:
        if seconds >= 0.9995 * unit:
            return f"{three_digits(seconds / unit)} {name}"
    return f"{seconds * 1e9:.0f} ns"


def three_digits(value: float) -> str:
    """``0.0412``, ``4.12``, ``41.2``, ``412``, ``4120``: fixed point, at least three digits."""
    if value == 0:
        return "0"
    digits = 2
    size = abs(value)
    while size >= 9.995 and digits:
        size, digits = size / 10, digits - 1
    while size < 0.9995 and digits < 6:
        size, digits = size * 10, digits + 1
    return f"{value:.{digits}f}"


def count_of(number: int, thing: str) -> str:
    """``1 kernel``, ``3 kernels``, ``3 launches``."""
    ending = "" if number == 1 else "es" if thing.endswith("ch") else "s"
    return f"{number:,} {thing}{ending}"
