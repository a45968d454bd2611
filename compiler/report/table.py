"""Tables as data: ``str`` lays one out as plain text, and the command line draws it in colour.

Columns that may wrap are broken after spaces where the table would not fit the width otherwise, and
words that are too long after ``+`` and ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

WIDTH = 100
GAP = "  "
NARROWEST = 12  # columns are not squeezed below this width
_WORD = re.compile(r"\S+\s*")
_PART = re.compile(r"[^+_]*[+_]*")


@dataclass(frozen=True)
class Column:
    """A heading, the side its cells stand at, and whether they may be broken into lines.

    Where a table has columns that are ``marked``, a row's emphasis is seen in these alone. Columns
    that are ``minor`` are left out, the last first, where the table is too wide.
    """

    title: str
    right: bool = False
    wraps: bool = False
    marked: bool = False
    minor: bool = False


@dataclass(frozen=True)
class TableRow:
    """Cells, and how they stand out: ``"good"``, ``"bad"``, ``"quiet"``, ``"strong"`` or not."""

    cells: tuple[str, ...]
    emphasis: str = ""


@dataclass(frozen=True)
class Table:
    """What is shown: a title above, a row of headings, rows, and notes below."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """Plain text, at most ``width`` characters wide wherever the columns that wrap allow it."""
        if not self.rows:
            return self.title
        layout = lay_out(self, width, len(GAP))
        lines = [self.title, ""] if self.title else []
        lines.append(_line([column.title for column in layout.columns], layout))
        lines.append(GAP.join("─" * size for size in layout.widths))
        for cells in layout.cells:
            lines += _block(cells, layout)
        notes = [line for note in self.notes for line in wrap(note, width)]
        return "\n".join([*lines, *([""] if notes else []), *notes])


@dataclass(frozen=True)
class TableLayout:
    """The columns that are shown, their widths, and the lines of each cell of each row."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]


def lay_out(table: Table, width: int, gap: int) -> TableLayout:
    """Leaves columns out and breaks cells until the columns, ``gap`` apart, fit ``width``."""
    shown = _without_minor(table, width, gap)
    widths = _widths(shown, width - gap * (len(shown.columns) - 1))
    cells = tuple(
        tuple(
            wrap(cell, size) if column.wraps else (cell,)
            for cell, size, column in zip(row.cells, widths, shown.columns, strict=True)
        )
        for row in shown.rows
    )
    used = tuple(
        max(len(column.title), *(len(line) for row in cells for line in row[index]), 0)
        for index, column in enumerate(shown.columns)
    )
    return TableLayout(shown.columns, used, cells)


def _without_minor(table: Table, width: int, gap: int) -> Table:
    """The table without as many of its minor columns as it takes to fit."""
    least = [
        min(size, max(NARROWEST, len(column.title))) if column.wraps else size
        for size, column in zip(_natural_widths(table), table.columns, strict=True)
    ]
    minor = [index for index, column in enumerate(table.columns) if column.minor]
    if not minor or sum(least) + gap * (len(least) - 1) <= width:
        return table
    last = minor[-1]
    rows = tuple(
        replace(row, cells=(*row.cells[:last], *row.cells[last + 1 :])) for row in table.rows
    )
    columns = (*table.columns[:last], *table.columns[last + 1 :])
    return _without_minor(replace(table, columns=columns, rows=rows), width, gap)


def _natural_widths(table: Table) -> list[int]:
    return [
        max(len(column.title), *(len(row.cells[index]) for row in table.rows), 0)
        for index, column in enumerate(table.columns)
    ]


def _widths(table: Table, available: int) -> list[int]:
    """The natural widths; while they do not fit, that column shrinks for which it costs least."""
    widths = _natural_widths(table)
    while sum(widths) > available:
        shrinkable = [
            index
            for index, column in enumerate(table.columns)
            if column.wraps and widths[index] > max(NARROWEST, len(column.title))
        ]
        if not shrinkable:
            break
        choices = [[*widths[:i], widths[i] - 1, *widths[i + 1 :]] for i in shrinkable]
        widths = min(choices, key=lambda choice: (_cost(table, choice), max(choice)))
    return widths


def _cost(table: Table, widths: Sequence[int]) -> int:
    """The lines of all rows, and one more for each cell in which a word is broken."""
    return sum(
        max(
            len(wrap(cell, size)) if column.wraps else 1
            for cell, size, column in zip(row.cells, widths, table.columns, strict=True)
        )
        + sum(_longest_word(cell) > size for cell, size in zip(row.cells, widths, strict=True))
        for row in table.rows
    )


@lru_cache(maxsize=20_000)
def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _block(cells: Sequence[Sequence[str]], layout: TableLayout) -> Iterator[str]:
    """The lines of one row."""
    for index in range(max(map(len, cells))):
        yield _line([cell[index] if index < len(cell) else "" for cell in cells], layout)


def _line(cells: Sequence[str], layout: TableLayout) -> str:
    padded = [
        f"{cell:>{size}}" if column.right else f"{cell:<{size}}"
        for cell, size, column in zip(cells, layout.widths, layout.columns, strict=True)
    ]
    return GAP.join(padded).rstrip()


@lru_cache(maxsize=20_000)
def wrap(text: str, width: int) -> tuple[str, ...]:
    """``text`` in lines of at most ``width``, all as far to the right as the first one starts."""
    if len(text) <= width:
        return (text,)
    indent = text[: len(text) - len(text.lstrip())]
    lines: list[str] = []
    line = ""
    for piece in _pieces(text.strip(), width - len(indent)):
        if line and len((line + piece).rstrip()) > width - len(indent):
            lines.append(line)
            line = ""
        line += piece
    return tuple(indent + line.rstrip() for line in (*lines, line))


def _pieces(text: str, width: int) -> Iterator[str]:
    """Words; of those that are too long the parts, cut where these are too long still."""
    for word in _WORD.findall(text):
        if len(word.rstrip()) <= width:
            yield word
            continue
        for part in filter(None, _PART.findall(word)):
            while len(part.rstrip()) > width:
                yield part[:width]
                part = part[width:]
            yield part
