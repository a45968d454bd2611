"""What user code reads while it is traced, beside attributes of watched objects.

That is: globals, and what functions enclose; attributes of classes, of modules and of objects of
other classes; what lists, dicts, sets and small arrays hold. Nothing tells when one of these
changes, so they are looked at before each call of a program that was made of them: a few
nanoseconds for each, as one expression. Programs of the package's own layers read none.

What is read is found in the code of the functions: the globals and attributes that it names, and
those of the functions that it names in turn. Code of this package, of the standard library and of
installed packages is taken as it is. Attributes found by computed names are not seen.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import is_
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from .frozen import CONTAINERS, MISSING, PLAIN, Whole, frozen_at_top, is_small_array, same
from .source import file_of, is_inside, is_installed, is_lasting, is_users

_READS_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})
_MOST_ITEMS = 1000  # of a container that is looked at item by item
_NOTHING = (*PLAIN, type(None), np.generic, BuiltinFunctionType)


@dataclass(frozen=True)
class _Name:
    """A name in a namespace: a global, or an attribute of an object, a class or a module."""

    namespace: Mapping[str, Any]
    name: str

    term = "n{i}[k{i}] is v{i}"

    def now(self) -> Any:
        return self.namespace.get(self.name, MISSING)

    def operands(self, value: Any) -> dict[str, Any]:
        return {"n": self.namespace, "k": self.name, "v": value}


@dataclass(frozen=True)
class _Absent(_Name):
    """A name that a class lacks, so that a class that it inherits from answers."""

    term = "k{i} not in n{i}"


@dataclass(frozen=True)
class _Enclosed:
    """A variable that a function takes from the function around it."""

    cell: CellType

    term = "c{i}.cell_contents is v{i}"

    def now(self) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:
            return MISSING

    def operands(self, value: Any) -> dict[str, Any]:
        return {"c": self.cell, "v": value}


@dataclass(frozen=True)
class _Content:
    """What a container or an array holds."""

    value: Any

    @property
    def term(self) -> str:
        if isinstance(self.value, np.ndarray):
            return "c{i}.tobytes() == v{i}"
        if isinstance(self.value, set):
            return "c{i} == v{i}"
        items = "len(c{i}) == n{i} and all(map(is_, c{i}, v{i}))"
        return items + " and all(map(is_, c{i}.values(), w{i}))" * isinstance(self.value, dict)

    def now(self) -> Any:
        return self.value

    def operands(self, value: Any) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return {"c": value, "v": value.tobytes()}
        if isinstance(value, set):
            return {"c": value, "v": frozenset(value)}
        mapped = {"w": tuple(value.values())} if isinstance(value, dict) else {}
        return {"c": value, "n": len(value), "v": tuple(value), **mapped}


class _Slots(Mapping[str, Any]):
    """The attributes of an object that has places for them, and no dict."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getitem__(self, name: str) -> Any:
        if isinstance(getattr(type(self._owner), name, None), MemberDescriptorType):
            return getattr(self._owner, name, MISSING)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


_Place = _Name | _Enclosed | _Content


class Surroundings:
    """The places that functions read, and what they had when the functions were found.

    Args:
        watched: the class of objects whose attributes are watched: none of theirs are places.
    """

    def __init__(self, watched: type) -> None:
        self._watched = watched
        self._names = {"__call__"}  # of attributes, in all code so far
        self._seen: dict[int, Any] = {}  # by its id, which nothing else may have meanwhile
        self._of_classes: set[tuple[type, str]] = set()
        self._namespaces: dict[int, Mapping[str, Any]] = {}  # whose attributes code may name
        self._places: dict[tuple[int, str], tuple[_Place, Any, Any]] = {}  # values, and copies
        self._unchanged: Callable[[], bool] | None = None

    def __bool__(self) -> bool:
        return bool(self._places)

    def names(self, name: str) -> bool:
        """Whether code found so far reads an attribute of this name."""
        return name in self._names

    # Finding

    def add(self, *values: Any) -> None:
        """Takes down what the values read, if they are functions, and what they hold."""
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if id(value) not in self._seen and not isinstance(value, _NOTHING):
                self._seen[id(value)] = value
                waiting += self._reached(value)

    def add_class(self, kind: type, name: str) -> None:
        """Takes down an attribute that an object has of its class, if a user wrote that class."""
        if (kind, name) in self._of_classes:
            return
        self._of_classes.add((kind, name))
        nearer: list[type] = []
        for each in kind.__mro__:
            if name in vars(each):
                break
            nearer += [each] if is_users(each) else []
        else:
            return
        if is_users(each):
            for other in nearer:
                self._note(id(other), _Absent(vars(other), name), name)
            self.add(kind, self._note(id(each), _Name(vars(each), name), name))

    def add_attribute(self, attributes: Mapping[str, Any], name: str) -> None:
        """Takes down what one of the attributes of an object holds."""
        self.add(*self._named(id(attributes), attributes, (name,)))

    def include(self, others: Surroundings) -> None:
        """Takes down what was read within."""
        self._places = others._places | self._places
        self.add(*others._seen.values())

    def _reached(self, value: Any) -> Iterable[Any]:
        if isinstance(value, self._watched):
            return ()
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            return (value.__func__, value.__self__)
        if isinstance(value, partial):
            return (value.func, *value.args, *value.keywords.values())
        if isinstance(value, (staticmethod, classmethod)):
            return (value.__func__,)
        if isinstance(value, property):
            return (value.fget,)
        if isinstance(value, CONTAINERS) or is_small_array(value):
            return self._content(value)
        if is_inside(file_of(type(value))):
            return (getattr(value, "__wrapped__", None),)  # the function that it calls
        return self._holder(value)

    def _function(self, function: FunctionType) -> Iterator[Any]:
        if is_installed(function.__code__.co_filename):
            return
        globals_, attributes = names_in(function.__code__)
        yield from self._more_names(attributes)
        yield from self._named(id(function.__globals__), function.__globals__, globals_)
        for cell in function.__closure__ or ():
            yield self._note(id(cell), _Enclosed(cell), "")

    def _more_names(self, names: frozenset[str]) -> Iterator[Any]:
        new = names - self._names
        self._names |= new
        for owner, namespace in list(self._namespaces.items()):
            yield from self._named(owner, namespace, new)

    def _named(
        self, owner: int, namespace: Mapping[str, Any], names: Collection[str]
    ) -> Iterator[Any]:
        for name in sorted(names):
            if name in namespace:
                yield self._note(owner, _Name(namespace, name), name)

    def _content(self, value: Any) -> Iterable[Any]:
        if isinstance(value, np.ndarray):
            self._note(id(value), _Content(value), "")
            return ()
        if len(value) > _MOST_ITEMS:
            return ()
        if not isinstance(value, (tuple, frozenset)):
            self._note(id(value), _Content(value), "")
        return value.values() if isinstance(value, dict) else value

    def _holder(self, value: Any) -> Iterator[Any]:
        """What code names of a module, a class or an object."""
        holders: list[tuple[int, Mapping[str, Any]]] = []
        if isinstance(value, type):
            # Each look at a class makes another view of its attributes.
            holders += [(id(each), vars(each)) for each in value.__mro__ if is_users(each)]
        elif isinstance(value, ModuleType):
            holders += [] if is_lasting(value) else [(id(vars(value)), vars(value))]
        else:
            yield type(value)
            own = getattr(value, "__dict__", None)
            holders.append((id(value), _Slots(value)) if own is None else (id(own), own))
        for owner, namespace in holders:
            self._namespaces[owner] = namespace
            yield from self._named(owner, namespace, self._names)

    def _note(self, owner: int, place: _Place, name: str) -> Any:
        """What is in a place now."""
        value = place.now()
        if (owner, name) not in self._places and not is_lasting(value):
            self._places[owner, name] = (place, value, _copied(value))
        return value

    # Comparing

    def finish(self) -> None:
        """Leaves out what the trace itself has changed: each trace changes it again."""
        kept = {}
        for key, (place, value, copy) in self._places.items():
            now = place.now()
            if same(copy, now):
                kept[key] = (place, now, copy)
            elif now is value and not isinstance(place, _Content):
                kept[key] = (place, now, Whole(now))
        self._places = kept
        self._seen, self._namespaces, self._of_classes = {}, {}, set()
        if kept:
            self._unchanged = _expression([(place, now) for place, now, _ in kept.values()])

    def hold(self) -> bool:
        """Whether all places have what they had."""
        if self._unchanged is None:
            return True
        try:
            if self._unchanged():
                return True
        except (KeyError, ValueError, RuntimeError):
            pass  # a name is gone, or a container changes meanwhile
        return all(same(copy, place.now()) for place, _, copy in self._places.values())


def _copied(value: Any) -> Any:
    large = isinstance(value, CONTAINERS) and len(value) > _MOST_ITEMS
    return Whole(value) if large else frozen_at_top(value)


def _expression(places: Iterable[tuple[_Place, Any]]) -> Callable[[], bool]:
    """Whether all places have these very objects, as one expression.

    A third of the time that a loop takes.
    """
    terms: list[str] = []
    operands: dict[str, Any] = {"is_": is_}
    for i, (place, value) in enumerate(places):
        terms.append(place.term.format(i=i))
        operands |= {f"{kind}{i}": each for kind, each in place.operands(value).items()}
    parameters = ", ".join(f"{name}={name}" for name in operands)
    made: Callable[[], bool] = eval(f"lambda {parameters}: {' and '.join(terms)}", operands)
    return made


@lru_cache(4096)
def names_in(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The globals and the attributes that code reads, and the code within it."""
    globals_, attributes = set(), set()
    waiting = [code]
    while waiting:
        current = waiting.pop()
        waiting += [each for each in current.co_consts if isinstance(each, CodeType)]
        for instruction in dis.get_instructions(current):
            if instruction.opname == "LOAD_GLOBAL":
                globals_.add(instruction.argval)
            elif instruction.opname in _READS_ATTRIBUTE:
                attributes.add(instruction.argval)
    return frozenset(globals_), frozenset(attributes)
