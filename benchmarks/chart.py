"""Draws the first two tables of RESULTS.md, times as multiples of Keraunos's, into results.svg.

python benchmarks/chart.py
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS, CHART = FOLDER / "RESULTS.md", FOLDER / "results.svg"
OURS, RATIO = "Keraunos", "ours / best"
TITLES = ("Inference", "Training step")
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
TABLE = re.compile(r"^\| case \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)

WIDTH, LEFT, RIGHT, ROW, MARGIN = 760, 168, 700, 22, 20  # of the picture, its axis, its lines
LEAST, MOST = 0.8, 8.0  # multiples at the ends of the axis
TICKS = (1, 2, 4, 8)
INK, FAINT, GRID = "#24292f", "#57606a", "#d8dee4"
COLOURS = ("#0969da", "#bc4c00", "#1a7f37")
# A circle, a square and a triangle, about a place.
SHAPES = (
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}" stroke="#ffffff"/>',
    '<rect x="{left:.1f}" y="{top:.1f}" width="8" height="8" fill="{colour}" stroke="#ffffff"/>',
    '<path d="M{x:.1f} {top:.1f}l5 9h-10z" fill="{colour}" stroke="#ffffff"/>',
)


@dataclass(frozen=True)
class Times:
    """A table of RESULTS.md: milliseconds of each framework, case by case."""

    frameworks: tuple[str, ...]
    cases: dict[str, tuple[float, ...]]
    ratios: tuple[float, ...]

    @property
    def peers(self) -> tuple[str, ...]:
        return self.frameworks[1:]

    def multiples(self, case: str) -> list[float]:
        """Of each peer the time as a multiple of ours."""
        ours, *theirs = self.cases[case]
        return [time / ours for time in theirs]


def read(text: str) -> tuple[str, list[Times]]:
    """The machine of the first section of RESULTS.md, and the tables of times there."""
    first, *others = HEADING.finditer(text)
    section = text[first.end() : others[0].start() if others else len(text)]
    return first[1], [_times(found[0]) for found in TABLE.finditer(section)]


def _times(table: str) -> Times:
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    )
    assert head[1] == OURS and head[-1] == RATIO, head
    cases = {row[0]: tuple(map(float, row[1:-1])) for row in rows}
    return Times(tuple(head[1:-1]), cases, tuple(float(row[-1]) for row in rows))


def draw(machine: str, tables: Sequence[Times]) -> str:
    """The chart as SVG: a line a case, a mark a peer; what is right of ours is slower."""
    parts: list[str] = []
    y = MARGIN + 14
    parts.append(_text(MARGIN, y, f"Time as a multiple of {OURS}'s", INK, "bold"))
    parts.append(_text(WIDTH - MARGIN, y, machine, FAINT, anchor="end"))
    for title, times in zip(TITLES, tables, strict=True):
        y += ROW + 12
        parts += _panel(title, times, y)
        y += ROW * len(times.cases)
    parts += _axis(y + ROW / 2)
    height = y + ROW / 2 + MARGIN + 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif" font-size="13">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>'
    return "\n".join((head, ground, *parts, "</svg>")) + "\n"


def _panel(title: str, times: Times, y: float) -> Iterator[str]:
    """A title, a legend beside it, and below a line for each case."""
    yield _text(MARGIN, y, title, INK, "bold")
    place = LEFT + 4.0
    for index, peer in enumerate(times.peers):
        yield _mark(index, place, y - 4)
        yield _text(place + 10, y, peer, INK)
        place += 38 + 7.0 * len(peer)
    for tick in TICKS:
        yield _line(_x(tick), y + 9, _x(tick), y + ROW * (len(times.cases) + 0.5), GRID, 1)
    for line, case in enumerate(times.cases, 1):
        middle = y + ROW * line
        yield _text(MARGIN, middle + 4, case, INK)
        multiples = times.multiples(case)
        ends = _x(min(1.0, *multiples)), _x(max(1.0, *multiples))
        yield _line(ends[0], middle, ends[1], middle, GRID, 2)
        yield f'<circle cx="{_x(1):.1f}" cy="{middle}" r="5.5" fill="{INK}"/>'
        for index, multiple in enumerate(multiples):
            yield _mark(index, _x(multiple), middle)


def _axis(y: float) -> Iterator[str]:
    for tick in TICKS:
        label = f"{OURS} 1×" if tick == 1 else f"{tick}×"
        yield _text(_x(tick), y + 16, label, FAINT, anchor="middle")
    yield _text(_x(2.83), y + 16, "slower →", FAINT, anchor="middle")


def _x(multiple: float) -> float:
    assert LEAST <= multiple <= MOST, f"{multiple} is beyond the axis"
    return LEFT + (RIGHT - LEFT) * math.log(multiple / LEAST) / math.log(MOST / LEAST)


def _mark(index: int, x: float, y: float) -> str:
    return SHAPES[index].format(x=x, y=y, left=x - 4, top=y - 4, colour=COLOURS[index])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"/>'
    )


def _text(
    x: float, y: float, text: str, colour: str, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def main() -> None:
    CHART.write_text(draw(*read(RESULTS.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
