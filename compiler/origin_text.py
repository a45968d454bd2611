"""Origins as the comments of IR text, and back: ``# conv2d  digits.py:12, relu  digits.py:13``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePath

from .node import Origin

_PLAIN = re.compile(r"[\w./+-]+")
_WORD = r'"(?:[^"\\]|\\.)*"|[\w./+-]+'
_ORIGIN = re.compile(
    rf"(?P<only_file>{_WORD}):(?P<only_line>\d+)"
    rf"|(?P<layer>{_WORD})(?:  (?P<file>{_WORD}):(?P<line>\d+))?"
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
        found.append(_parsed(match))
        place = match.end() + len(", ")
    return tuple(found)


def _parsed(match: re.Match[str]) -> Origin:
    parts = match.groupdict(default="")
    file = parts["file"] or parts["only_file"]
    line = parts["line"] or parts["only_line"] or "0"
    return Origin(_unquoted(parts["layer"]), _unquoted(file), int(line))


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
