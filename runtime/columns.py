"""Plain text in columns, for what prints itself as a table."""

from __future__ import annotations

from collections.abc import Sequence


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A line of ``heads`` and one of each row, a cell below its head; ``">bytes"`` stands right."""
    names = [head.removeprefix(">") for head in heads]
    lines = [names, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(_line(line, heads, widths) for line in lines)


def _line(cells: Sequence[str], heads: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if head.startswith(">") else cell.ljust(width)
        for cell, head, width in zip(cells, heads, widths, strict=True)
    )
    return "  ".join(padded).rstrip()
