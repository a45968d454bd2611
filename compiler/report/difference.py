"""What a pass changed, as lines: one a node that is new, gone or changed, or that reads such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NEW, GONE, CHANGED, USER, GAP = "+", "-", "~", " ", "…"
WORDS = {NEW: "added", GONE: "removed", CHANGED: "changed"}
WIDE, WIDE_TYPE = 76, 24  # longer calls and types do not push what follows to the right
INDENT = "  "


@dataclass(frozen=True)
class Line:
    """A node of a difference.

    Attributes:
        mark: ``+``, ``-``, ``~``, a blank for a user of these, or ``…`` for what is left out.
        call: what it computes, in lines: of a loop the body too.
        was: what of it is another.
        origins: the layers and lines it comes from.
        depth: in how many bodies it is.
    """

    mark: str
    call: tuple[str, ...] = ()
    type: str = ""
    was: str = ""
    origins: str = ""
    depth: int = 0


@dataclass(frozen=True)
class Difference:
    """What became of the nodes of a graph. Printing it shows the lines; it is false if none."""

    title: str
    lines: tuple[Line, ...]

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __str__(self) -> str:
        return "\n".join((self.heading, "", *self.rows()) if self else (self.heading,))

    def __repr__(self) -> str:
        return f"<difference {self.heading}>"

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes were ``added``, ``removed`` and ``changed``, those in bodies too."""
        marks = [line.mark for line in self.lines]
        return {word: marks.count(mark) for mark, word in WORDS.items()}

    @property
    def heading(self) -> str:
        """``fuse: 6 added, 21 removed``."""
        parts = [f"{count:,} {word}" for word, count in self.counts.items() if count]
        return f"{self.title}: {', '.join(parts) or 'nothing changed'}"

    def rows(self) -> Iterator[str]:
        """The lines as text, a mark before each, types and origins in columns."""
        calls = [len(line.call[-1]) + len(INDENT) * line.depth for line in self.lines if line.call]
        width = max((size for size in calls if size <= WIDE), default=0)
        types = [len(line.type) for line in self.lines if line.origins]
        type_width = max((size for size in types if size <= WIDE_TYPE), default=0)
        for line in self.lines:
            yield from _rows(line, width, type_width)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data."""
        lines = [{**vars(line), "call": list(line.call)} for line in self.lines]
        return {"title": self.title, "counts": self.counts, "lines": lines}


def _rows(line: Line, width: int, types: int) -> Iterator[str]:
    indent = INDENT * line.depth
    if not line.call:
        yield f"{INDENT}{indent}{line.mark}"
        return
    *body, last = (f"{indent}{text}" for text in line.call)
    yield from (f"{line.mark} {text}" for text in body)
    text = f"{last:<{width}} : {line.type}" if line.type else last
    text = f"{text}   was {line.was}" if line.was else text
    text = f"{text:<{width + 3 + types}}   # {line.origins}" if line.origins else text
    yield f"{line.mark} {text}".rstrip()
