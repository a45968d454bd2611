"""The user's own line: the first stack frame outside this package."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_INSIDE = tuple(f"{_ROOT / part}/" for part in ("frontend", "compiler", "runtime"))
_EXAMPLES = str(_ROOT / "frontend" / "cli" / "builtin.py")  # models such as users write


@dataclass(frozen=True)
class SourceLine:
    """A file's name and a line in it, printed ``digits.py:12``."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""


def is_inside(filename: str) -> bool:
    """Whether a file is part of the package; the built-in models count as a user's."""
    return filename.startswith(_INSIDE) and filename != _EXAMPLES


def user_line(depth: int = 1) -> SourceLine:
    """Where user code called into the package; ``depth`` frames are skipped first."""
    frame = sys._getframe(depth)
    while is_inside(frame.f_code.co_filename):
        if frame.f_back is None:
            return SourceLine()
        frame = frame.f_back
    return SourceLine(Path(frame.f_code.co_filename).name, frame.f_lineno)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that shows the user's line, and comes once for each such line."""
    frame, level = sys._getframe(1), 2
    while is_inside(frame.f_code.co_filename) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
