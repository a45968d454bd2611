"""Tables as data: ``str`` lays one out as plain text, and the command line draws it in colour.

Columns that may wrap are broken after spaces, commas, ``+`` and ``_`` where the table would not fit
the width otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

WIDTH = 100
GAP = "  "
NARROWEST = 12  # columns are not squeezed below this width
_BREAKS = re.compile(r"[^\s,+_]*[,+_]*\s*")


@dataclass(frozen=True)
class Column:
    """A heading, the side its cells stand at, and whether they may be broken into lines."""

    title: str
    right: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class Row:
    """Cells, and how they stand out: ``"good"``, ``"bad"``, ``"quiet"``, ``"strong"`` or not."""

    cells: tuple[str, ...]
    emphasis: str = ""


@dataclass(frozen=True)
class Table:
    """What is shown: a title above, a row of headings, rows, and notes below."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """Plain text, at most ``width`` characters wide wherever the columns that wrap allow it."""
        laid_out = lay_out(self, width, len(GAP))
        lines = [self.title, ""] if self.title else []
        lines += _lines(self, [column.title for column in self.columns], laid_out.widths)
        lines.append(GAP.join("─" * size for size in laid_out.widths))
        for cells in laid_out.cells:
            lines += _block(self, cells, laid_out.widths)
        notes = [line for note in self.notes for line in wrap(note, width)]
        return "\n".join([*lines, *([""] if notes else []), *notes])


@dataclass(frozen=True)
class Layout:
    """Widths of the columns, and the lines of each cell of each row."""

    widths: tuple[int, ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]


def lay_out(table: Table, width: int, gap: int) -> Layout:
    """Breaks the cells so that the columns, ``gap`` apart, fit ``width``."""
    widths = _widths(table, width - gap * (len(table.columns) - 1))
    cells = tuple(
        tuple(
            wrap(cell, size) if column.wraps else (cell,)
            for cell, size, column in zip(row.cells, widths, table.columns, strict=True)
        )
        for row in table.rows
    )
    used = tuple(
        max(len(column.title), *(len(line) for row in cells for line in row[index]), 0)
        for index, column in enumerate(table.columns)
    )
    return Layout(used, cells)


def _widths(table: Table, available: int) -> list[int]:
    """The natural widths; while they do not fit, the column shrinks that this costs least lines."""
    widths = [
        max(len(column.title), *(len(row.cells[index]) for row in table.rows), 0)
        for index, column in enumerate(table.columns)
    ]
    while sum(widths) > available:
        shrinkable = [
            index
            for index, column in enumerate(table.columns)
            if column.wraps and widths[index] > max(NARROWEST, len(column.title))
        ]
        if not shrinkable:
            break
        choices = [[*widths[:i], widths[i] - 1, *widths[i + 1 :]] for i in shrinkable]
        widths = min(choices, key=lambda choice: (_height(table, choice), max(choice)))
    return widths


def _height(table: Table, widths: Sequence[int]) -> int:
    return sum(
        max(
            len(wrap(cell, size)) if column.wraps else 1
            for cell, size, column in zip(row.cells, widths, table.columns, strict=True)
        )
        for row in table.rows
    )


def _block(table: Table, cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """The lines of one row."""
    for index in range(max(map(len, cells))):
        line = [cell[index] if index < len(cell) else "" for cell in cells]
        yield from _lines(table, line, widths)


def _lines(table: Table, cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    padded = [
        f"{cell:>{size}}" if column.right else f"{cell:<{size}}"
        for cell, size, column in zip(cells, widths, table.columns, strict=True)
    ]
    return [GAP.join(padded).rstrip()]


@lru_cache(maxsize=20_000)
def wrap(text: str, width: int) -> tuple[str, ...]:
    """``text`` in lines of at most ``width``; a piece that is longer still is cut."""
    if len(text) <= width:
        return (text,)
    lines: list[str] = []
    line = ""
    for piece in _pieces(text, width):
        if line and len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return (*lines, line.rstrip()) if line.strip() or not lines else tuple(lines)


def _pieces(text: str, width: int) -> Iterator[str]:
    for match in _BREAKS.finditer(text):
        piece = match.group()
        while len(piece.rstrip()) > width:
            yield piece[:width]
            piece = piece[width:]
        if piece:
            yield piece
