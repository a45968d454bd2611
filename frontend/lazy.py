"""Modules that are slow to import and rarely needed, loaded when they are."""

from __future__ import annotations

import importlib
from types import ModuleType


def load(name: str) -> ModuleType:
    """The module ``name``, relative to ``keraunos.frontend``."""
    return importlib.import_module(name, __package__)
