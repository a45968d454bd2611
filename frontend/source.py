"""The user's own line, the first stack frame outside this package; and what is a user's own."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

_ROOT = Path(__file__).parents[1]
_INSIDE = tuple(f"{_ROOT / part}/" for part in ("frontend", "compiler", "runtime"))
_EXAMPLES = str(_ROOT / "frontend" / "cli" / "builtin.py")  # models such as users write
_STANDARD = Path(warnings.__file__).parent  # the standard library
_PACKAGES = frozenset({"site-packages", "dist-packages"})


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


def is_users(value: type | ModuleType) -> bool:
    """Whether a user wrote this class or module."""
    file = file_of(value)
    return not file or not is_installed(file)


def file_of(value: type | ModuleType) -> str:
    """The file it is written in; "<frozen>" for built-ins, "" where there is no file."""
    name = value.__module__ if isinstance(value, type) else value.__name__
    if name in sys.builtin_module_names or name.startswith("_frozen_importlib"):
        return "<frozen>"
    return getattr(sys.modules.get(name), "__file__", None) or ""


@lru_cache(4096)
def is_installed(filename: str) -> bool:
    """Whether code is this package's, the standard library's or an installed package's."""
    if is_inside(filename) or filename.startswith("<frozen"):
        return True
    path = PurePath(filename)
    return bool(_PACKAGES.intersection(path.parts)) or path.is_relative_to(_STANDARD)


def is_lasting(value: Any) -> bool:
    """Whether it is nothing that anybody exchanges or changes: what a package defines."""
    if isinstance(value, FunctionType):
        return is_installed(value.__code__.co_filename)
    if isinstance(value, BuiltinFunctionType):
        return True
    return isinstance(value, (type, ModuleType)) and not is_users(value)
