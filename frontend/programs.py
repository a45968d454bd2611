"""Traced calls, compiled: the one place where the frontend meets executables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import lazy
from .ids import id_checks
from .tracing import Traced
from .variable import Generation

if TYPE_CHECKING:
    from ..compiler.executable import Executable


def kept(programs: dict[Any, Program], key: Any, make: Callable[[], Program], most: int) -> Program:
    """The program under ``key``, made if need be; a new one replaces the oldest of ``most``."""
    if key not in programs:
        if len(programs) >= most:
            programs.pop(next(iter(programs)))
        programs[key] = make()
    return programs[key]


class Program:
    """A traced call and its executable, whose weights follow the variables.

    Those that the call updates are read and written where the variables keep them; calls of such a
    program come one after another.
    """

    def __init__(self, traced: Traced, executable: Executable | None = None) -> None:
        self.traced = traced
        self.executable = _compiled(traced) if executable is None else executable
        self.generation = -1
        self._updated = traced.updated
        kept = {id(variable) for variable in self._updated}
        self._read = [v for v in traced.variables.values() if id(v) not in kept]
        self._versions: tuple[int, ...] | None = None
        self.checks = id_checks(traced.graph)

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """One array per output. Raises as an executable does, which checks the arrays.

        Raises ``ValueError`` too for ids outside the table that an ``Embedding`` looks them up in.
        """
        if Generation.count != self.generation:
            self.bind()
        if self.checks:
            self.check(arrays)
        results: tuple[np.ndarray, ...] = self.executable(*arrays)
        if self._updated:
            for variable in self._updated:
                variable.changed()
            self.generation = Generation.count
        return results

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """Raises ``UsageError`` for ids that the tables they are looked up in do not have."""
        for check in self.checks:
            check(arrays)

    def bind(self) -> None:
        """Hands the weights over if one of them was assigned since the last time."""
        versions = tuple(variable.version for variable in self._read)
        if self.traced.variables and versions != self._versions:
            self.executable.bind_parameters(self.traced.values())
            self._versions = versions
        self.generation = Generation.count


def _compiled(traced: Traced) -> Executable:
    # Numba takes most of a second to import: it is loaded with the first program.
    compiler = lazy.load("..compiler.executable")
    executable: Executable = compiler.compile_graph(traced.graph, state=traced.state())
    return executable
