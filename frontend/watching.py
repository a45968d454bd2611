"""What a program was made of besides tensors: the attributes that a trace read, and their values.

A program holds while these have the values that they had. Layers, models, losses, metrics,
optimizers, schedules, regularizers and constraints are watched: while one of their attributes is
assigned that some trace has read, ``Generation`` counts. So calls compare one number, and only when
it has moved the values. What a trace itself assigns is its own affair and counts for nothing.

What nothing tells of is in ``surroundings``: lists and objects that change in place, globals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..runtime.forks import Lock
from .frozen import CONTAINERS, MISSING, PLAIN, Whole, frozen, same
from .scope import current_scope
from .source import is_users
from .surroundings import Surroundings

# What calls write down about themselves, and nothing depends on.
_UNWATCHED = frozenset({"built", "first_outputs", "hot", "hot_steps", "inbound_nodes", "programs"})
# What is made of programs, and what it is before there are any.
_OF_PROGRAMS: dict[str, Callable[[], Any]] = {
    "hot": type(None),
    "hot_steps": dict,
    "programs": dict,
    "_steps": dict,
}
# Kept with an object: the names of attributes that a trace has read, and has assigned last.
_READ_OF, _OWN = "_read_by_traces", "_assigned_by_traces"

_READ: set[str] = set()  # names that a trace has read, of any object


class Generation:
    """Counts what happens to any variable or attribute: one comparison shows that nothing did.

    Attributes:
        count: values assigned, and ``attributes``.
        attributes: attributes assigned that a trace has read.
        structure: weights and layers made, and layers built.
    """

    count = 0
    attributes = 0
    structure = 0


class Watched:
    """An object whose attributes are part of the programs traced through it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _READ:
            before = vars(self).get(name, MISSING)
            object.__setattr__(self, name, value)
            assigned(self, name, before)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        before = vars(self).get(name, MISSING)
        object.__delattr__(self, name)
        assigned(self, name, before)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: programs read the attributes of this one."""
        own: Any = super().__getstate__() or {}
        state = {name: each for name, each in own.items() if name not in (_READ_OF, _OWN)}
        return state | {name: made() for name, made in _OF_PROGRAMS.items() if name in state}


class Attribute:
    """An attribute that is watched, of a class whose others are not: these cost nothing more."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        reads = _RECORDING.get()
        if reads is not None:
            reads.note(instance, self.name)
        return vars(instance)[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        own = vars(instance)
        before = own.get(self.name, MISSING)
        own[self.name] = value
        assigned(instance, self.name, before)


def assigned(owner: Any, name: str, before: Any) -> None:
    """Counts an attribute that was assigned or deleted, if that can matter to a program."""
    own = vars(owner)
    now = own.get(name, MISSING)
    if now is before and not isinstance(now, (*CONTAINERS, np.ndarray)):
        return
    if name not in own.get(_READ_OF, ()) or (isinstance(now, PLAIN) and same(now, before)):
        return
    if current_scope() is not None:
        own.setdefault(_OWN, set()).add(name)
        return
    own.get(_OWN, set()).discard(name)
    Generation.attributes += 1
    Generation.count += 1


class Reads:
    """The attributes that a trace read, with their values at its end."""

    def __init__(self) -> None:
        self._objects: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.surroundings = Surroundings(Watched)

    def note(self, owner: Any, name: str) -> None:
        """Takes down that an attribute is read, unless a property of the class answers for it."""
        key = id(owner)
        if key not in self._objects:
            self._objects[key] = (owner, {})
        values = self._objects[key][1]
        if name in values or name in _UNWATCHED or name.startswith("__"):
            return
        own = _attributes(owner)
        if name not in own:
            self.surroundings.add_class(type(owner), name)
            if isinstance(getattr(type(owner), name, None), property):
                return
        _READ.add(name)
        own.setdefault(_READ_OF, set()).add(name)
        value = own.get(name, MISSING)
        values[name] = frozen(value)
        self._look_into(owner, name, value)

    def _look_into(self, owner: Any, name: str, value: Any) -> None:
        """Takes down what a function reads, and what an object holds that a user made."""
        if value is MISSING or value is None or isinstance(value, (*PLAIN, Watched)):
            return
        if not isinstance(value, (*CONTAINERS, np.ndarray)):
            self.surroundings.add(value)
        # Those that the package keeps are changed by its own methods, which assign them.
        elif is_users(type(owner)) and self.surroundings.names(name):
            self.surroundings.add_attribute(_attributes(owner), name)

    def include(self, others: Reads) -> None:
        """Takes down what was read within."""
        for key, (owner, values) in others._objects.items():
            mine = self._objects.setdefault(key, (owner, {}))[1]
            for name, value in values.items():
                mine.setdefault(name, value)
        self.surroundings.include(others.surroundings)

    def finish(self) -> None:
        """Takes the values as the trace leaves them.

        Containers that it changed are known by their identity from here on: each trace changes
        them again.
        """
        for owner, values in self._objects.values():
            own = _attributes(owner)
            for name, first in values.items():
                now = own.get(name, MISSING)
                if not same(first, now):
                    values[name] = Whole(now) if isinstance(now, CONTAINERS) else now
        self.surroundings.finish()

    def hold(self) -> bool:
        """Whether all have these values still, but for those that traces assigned themselves."""
        return all(_holds(owner, values) for owner, values in self._objects.values())


def _holds(owner: Any, values: dict[str, Any]) -> bool:
    own = _attributes(owner)
    for name, kept in values.items():
        now = own.get(name, MISSING)
        if now is not kept and not same(kept, now) and name not in own.get(_OWN, ()):
            return False
    return True


def _attributes(owner: Any) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return found


# Noting

_RECORDING: ContextVar[Reads | None] = ContextVar("reads", default=None)
_LOCK = Lock()
_active = 0


def _noting(self: Any, name: str) -> Any:
    """``__getattribute__`` while something is recorded."""
    reads = _RECORDING.get()
    if reads is not None:
        reads.note(self, name)
    return object.__getattribute__(self, name)


def current_reads() -> Reads | None:
    """What is recorded now."""
    return _RECORDING.get()


def note_values(*values: Any) -> None:
    """Takes down what functions read beside attributes: globals, closures, objects' contents."""
    reads = _RECORDING.get()
    if reads is not None:
        reads.surroundings.add(*values)


@contextmanager
def recording() -> Iterator[Reads]:
    """Notes the attributes of watched objects that are read inside; at the end their values.

    At other times reading an attribute costs what it does anywhere.
    """
    reads, outer = Reads(), _RECORDING.get()
    token = _RECORDING.set(reads)
    _listen(+1)
    try:
        yield reads
    finally:
        _listen(-1)
        _RECORDING.reset(token)
        if outer is not None:
            outer.include(reads)
        reads.finish()


def _listen(change: int) -> None:
    global _active
    with _LOCK:
        before, _active = _active, _active + change
        if not before:
            Watched.__getattribute__ = _noting  # type: ignore[method-assign]
        elif not _active:
            del Watched.__getattribute__
