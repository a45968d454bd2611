"""Origins as the comments of IR text, and back: ``# conv2d  digits.py:12, relu  digits.py:13``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePath

from .lexer import SURROGATE
from .node import Origin

LINE_DIGITS = 9  # a longer number is no line of a file
_PLAIN = re.compile(r"[\w./+-]+")
_WORD = r'"(?:[^"\\]|\\.)*"|[\w./+-]+'
_ORIGIN = re.compile(
    rf"(?P<only_file>{_WORD}):(?P<only_line>[0-9]{{1,{LINE_DIGITS}}})"
    rf"|(?P<layer>{_WORD})(?:  (?P<file>{_WORD}):(?P<line>[0-9]{{1,{LINE_DIGITS}}}))?"
)


def format_origins(origins: Sequence[Origin]) -> str:
    """Layers, base names of files, and lines; what is not a plain word is quoted."""
    return ", ".join(filter(None, map(_format, origins)))


def _format(origin: Origin) -> str:
    layer = _quoted(origin.layer) if origin.layer else ""
    file = f"{_quoted(PurePath(origin.file).name)}:{origin.line}" if origin.file else ""
    return "  ".join(filter(None, (layer, file)))


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def parse_origins(comment: str) -> tuple[Origin, ...]:
    """The origins in ``comment``; none if it is other prose."""
    found = []
    place = 0
    while place < len(comment):
        match = _ORIGIN.match(comment, place)
        if match is None or comment[match.end() : match.end() + 2] not in ("", ", "):
            return ()
        origin = _parsed(match)
        if origin is None:
            return ()
        found.append(origin)
        place = match.end() + len(", ")
    return tuple(found)


def _parsed(match: re.Match[str]) -> Origin | None:
    parts = match.groupdict(default="")
    layer, file = _unquoted(parts["layer"]), _unquoted(parts["file"] or parts["only_file"])
    line = parts["line"] or parts["only_line"] or "0"
    return None if layer is None or file is None else Origin(layer, file, int(line))


def _unquoted(text: str) -> str | None:
    """The word that ``text`` stands for; None where its quotes hold no string of JSON."""
    if not text.startswith('"'):
        return text
    try:
        said = str(json.loads(text))
    except json.JSONDecodeError:
        return None
    return None if SURROGATE.search(said) else said
