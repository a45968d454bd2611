"""Modules that are slow to import and rarely needed, loaded when they are."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from ..runtime.forks import work


def load(name: str) -> ModuleType:
    """The module ``name``, relative to ``keraunos.frontend``.

    A fork in another thread waits for the import: its child could not finish it, nor begin again.
    """
    full = importlib.util.resolve_name(name, __package__)
    module = sys.modules.get(full)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        return module
    with work:
        return importlib.import_module(full)
