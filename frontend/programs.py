"""Traced calls, compiled: the one place where the frontend meets executables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from ..runtime.config import config
from . import lazy
from .ids import checks_of
from .tracing import Traced
from .watching import Generation, Reads, current_reads, recording

if TYPE_CHECKING:
    from ..compiler.executable import Executable

MOST_VARIANTS = 8  # programs for one kind of arguments, by the values of attributes

Made = TypeVar("Made")


class Identity:
    """An object as part of a key: itself, and no other that is equal or has its ``id`` later."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.value is self.value


class Kept:
    """What was traced for some kind of arguments, and what the trace read.

    Attributes:
        checked: ``Generation.attributes`` when the values of these were looked at last.
        around: what the trace read and has to be compared at each call, as no assignment to it is
            seen; None where there is no such thing.
    """

    __slots__ = ("around", "checked", "made", "reads")

    def __init__(self, made: Any, reads: Reads, checked: int) -> None:
        self.made, self.reads, self.checked = made, reads, checked
        self.around = reads.surroundings or None

    def is_current(self) -> bool:
        """Whether what the trace read is still so."""
        now = Generation.attributes
        if self.checked != now and self.reads.hold():
            self.checked = now
        return self.checked == now and (self.around is None or self.around.hold())


Store: TypeAlias = dict[Any, list[Kept]]


def kept(programs: Store, key: Any, make: Callable[[], Made], most: int) -> Made:
    """What was made under ``key`` with attributes as they are now; else ``make()``, kept as well.

    A key has several programs where attributes change to and fro: the one that was not used for the
    longest goes first. Of more than ``most`` keys the oldest goes.
    """
    variants = programs.get(key)
    if variants is not None and variants[0].is_current():
        found: Made = variants[0].made
    else:
        found = kept_with_reads(programs, key, make, most).made
    return found


def kept_with_reads(programs: Store, key: Any, make: Callable[[], Any], most: int) -> Kept:
    """As ``kept``: what was made, with what tells whether it is current."""
    variants = programs.get(key, [])
    current = next((each for each in variants if each.is_current()), None)
    if current is None:
        before = Generation.attributes
        with recording() as reads:
            made = make()
        current = Kept(made, reads, before)
    others = [each for each in variants if each is not current]
    # Put in place at once: other threads find the one list or the other.
    programs[key] = [current, *others][:MOST_VARIANTS]
    while len(programs) > most:
        programs.pop(next(iter(programs)))
    return current


class TracedProgram:
    """A traced call and its executable, whose weights follow the variables.

    Those that the call updates are read and written where the variables keep them; calls of such a
    program come one after another.

    Attributes:
        reads: what the trace reads; None for a program that keeps its trace.
    """

    def __init__(self, traced: Traced, executable: Executable | None = None) -> None:
        self.traced = traced
        self.reads = current_reads()
        self.executable = _compiled(traced) if executable is None else executable
        self.generation = -1
        self._updated = traced.updated
        kept = {id(variable) for variable in self._updated}
        self._read = [v for v in traced.variables.values() if id(v) not in kept]
        self._versions: tuple[int, ...] | None = None
        self.checks = checks_of(traced)

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """One array per output. Raises as an executable does, which checks the arrays.

        Raises ``ValueError`` too for ids outside the table that an ``Embedding`` looks them up in,
        and for targets that name classes which there are not.
        """
        if self.checks:
            self.check(arrays)
        return self.run_checked(arrays)

    def run_checked(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """As a call, of arrays whose ids and targets have been looked at."""
        if Generation.count != self.generation:
            self.bind()
        results: tuple[np.ndarray, ...] = self.executable(*arrays)
        if self._updated:
            for variable in self._updated:
                variable.changed()
            self.generation = Generation.count
        return results

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """Raises ``UsageError`` for ids and targets that name no rows and no classes."""
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
    executable: Executable = compiler.compile_graph(
        traced.graph, target=config.target, state=traced.state()
    )
    return executable
