"""Everything that is drawn with rich: tables, graphs side by side, code. Imported late."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import Box
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.syntax import Syntax
from rich.table import Table as RichTable
from rich.text import Text

from ...compiler.ir.graph import Graph, Node
from ...compiler.ir.printer import node_calls
from ...compiler.report.difference import CHANGED, GONE, LEGEND, NEW, USER, Difference
from ...compiler.report.table import WIDTH, Table, lay_out

MARKS = {NEW: "green", GONE: "red", CHANGED: "yellow", USER: ""}
STYLES = {"good": "green", "bad": "yellow", "quiet": "dim", "strong": "bold"}
GAP = 2
RULES = Box("    \n    \n ── \n    \n ── \n ── \n    \n    \n")
COLUMNS = Box("    \n  │ \n ─┼─\n  │ \n ─┼─\n ─┼─\n  │ \n    \n")
_IR = (
    (re.compile(r"(?<== )(?:fused )?[\w+]+(?=\()"), "bold"),
    (re.compile(r"%[\w.]+"), "cyan"),
    (re.compile(r"\$[\w.]+"), "magenta"),
    (re.compile(r": (?:[a-z]\w*\[.*\]|bool\b.*)"), "blue"),
)


def console(error: bool = False) -> Console:
    """Standard output, or standard error: as wide as the terminal, 100 columns into a file."""
    found = Console(stderr=error, highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found = Console(stderr=error, highlight=False, width=WIDTH)
    return found


@dataclass(frozen=True)
class Drawn:
    """A table as wide as where it is printed; in colour on a terminal."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal or not self.table.rows:
            yield Text(self.table.text(options.max_width))
            return
        if self.table.title:
            yield Text(f"{self.table.title}\n", style="bold")
        yield _drawn(self.table, options.max_width)
        if self.table.notes:
            yield Text("\n".join(("", *self.table.notes)), style="dim")


def _drawn(table: Table, width: int) -> RichTable:
    layout = lay_out(table, width, GAP)
    drawn = RichTable(
        box=RULES, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False, border_style="dim"
    )
    any_marked = any(column.marked for column in layout.columns)
    for column, size in zip(layout.columns, layout.widths, strict=True):
        side: JustifyMethod = "right" if column.right else "left"
        drawn.add_column(column.title, justify=side, no_wrap=True, min_width=size)
    for row, cells in zip(table.rows, layout.cells, strict=True):
        style = STYLES.get(row.emphasis, "")
        drawn.add_row(
            *(
                Text("\n".join(lines), style if column.marked or not any_marked else "")
                for column, lines in zip(layout.columns, cells, strict=True)
            )
        )
    return drawn


@dataclass(frozen=True)
class DrawnDifferences:
    """What passes changed, one after the other; in colour, and cut to the width, on a terminal."""

    differences: Sequence[Difference]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        changed = [each for each in self.differences if each]
        for each in changed:
            yield Text(f"{each.heading}\n", style="bold")
            for row in each.rows():
                overflow: OverflowMethod = "ellipsis" if console.is_terminal else "ignore"
                yield Text(row, MARKS[row[0]], no_wrap=True, overflow=overflow)
            yield Text()
        idle = [each.title for each in self.differences if not each]
        if changed:
            yield Text(LEGEND, style="dim")
        if idle:
            yield Text(f"Passes that changed nothing: {', '.join(idle)}.", style="dim")


# Graphs


def ir_text(text: str) -> Text:
    """IR text in colour."""
    drawn = Text(text)
    for pattern, style in _IR:
        for match in pattern.finditer(text):
            drawn.stylize(style, *match.span())
    return drawn


@dataclass(frozen=True)
class BeforeAndAfter:
    """A graph before and after fusion: side by side where that fits, else one after the other.

    Side by side, what was fused stands beside the ops that went into it.
    """

    before: Graph
    after: Graph
    titles: tuple[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        each = (width - 3) // 2
        columns = [_lines(graph, each) for graph in (self.before, self.after)]
        widest = max(len(line) for lines in columns for block in lines.values() for line in block)
        pairs = _pairs(self.before, self.after)
        if widest > each or pairs is None or not console.is_terminal:
            yield from self._stacked(width)
            return
        yield _side_by_side(pairs, columns, self.titles, each)

    def _stacked(self, width: int) -> Iterator[Text]:
        for index, graph in enumerate((self.before, self.after)):
            if index:
                yield Text("")
            yield Text(self.titles[index], style="bold")
            for lines in _lines(graph, width).values():
                yield ir_text("\n".join(lines))


Pair = tuple[tuple[Node, ...], Node]


def _pairs(before: Graph, after: Graph) -> list[Pair] | None:
    """The ops of ``before`` that each op of ``after`` stands for; None where orders differ."""
    old = list(node_calls(before))
    pairs: list[Pair] = []
    for node in node_calls(after):
        names = _names_within(node)
        if [each.op.name for each in old[: len(names)]] != names:
            return None
        pairs.append((tuple(old[: len(names)]), node))
        old = old[len(names) :]
    return None if old else pairs


def _names_within(node: Node) -> list[str]:
    body = node.attrs.get("body")
    if not isinstance(body, Graph):
        return [node.op.name]
    return [inner.op.name for inner in body.nodes if inner.inputs]


def _side_by_side(
    pairs: Sequence[Pair],
    columns: Sequence[dict[Node, list[str]]],
    titles: tuple[str, str],
    width: int,
) -> RichTable:
    drawn = RichTable(
        box=COLUMNS,
        padding=(0, 1),
        pad_edge=False,
        show_edge=False,
        show_lines=True,
        border_style="dim",
    )
    for title in titles:
        drawn.add_column(title, width=width, no_wrap=True)
    left, right = columns
    for olds, new in pairs:
        old_lines = [line for old in olds for line in left[old]]
        drawn.add_row(ir_text("\n".join(old_lines)), ir_text("\n".join(right[new])))
    return drawn


def _lines(graph: Graph, width: int) -> dict[Node, list[str]]:
    """Each op's lines: the call, broken after commas and brackets, and the type at the right."""
    calls = node_calls(graph)
    types = max((len(str(node.type)) for node in calls), default=0)
    room = width - types - 3
    broken = {node: broken(call, room) for node, call in calls.items()}
    used = max((len(line) for lines in broken.values() for line in lines), default=0)
    return {
        node: [*lines[:-1], f"{lines[-1]:<{used}} : {node.type}"] for node, lines in broken.items()
    }


def broken(call: str, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for piece in _arguments(call):
        if line and len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = "     "
        line += piece
    return [*lines, line]


def _arguments(call: str) -> Iterator[str]:
    """``%0 = f(``, ``a, ``, ``b=(1, 2))``: what is in brackets within stays in one piece."""
    start = depth = 0
    for index, character in enumerate(call):
        depth += (character == "(") - (character == ")")
        opens = depth == 1 and character == "("
        if opens or (depth == 1 and character == " " and call[index - 1] == ","):
            yield call[start : index + 1]
            start = index + 1
    yield call[start:]


# Code


def code(source: str, language: str = "python") -> Syntax:
    """Source text in colour, without a background of its own."""
    return Syntax(source, language, theme="ansi_dark", background_color="default", word_wrap=True)
