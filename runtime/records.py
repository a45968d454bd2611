"""Frozen records as JSON and back: whatever a file says, only records of the types asked for.

Nothing is imported or called by a name in the data: the type that is asked for says what may stand
where, down to the last field.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .dim import Dim
from .dim_parser import parse_size

T = TypeVar("T")
KIND = "is"  # the key under which a record says its class
ALIASES = {"Size": int | Dim}  # of types that are written as text


class RecordError(ValueError):
    """Data that are no record of the type asked for."""


@dataclass(frozen=True)
class Scalar:
    """A type that is written as a string: how, and how it is read, which raises ``ValueError``."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


SIZE = Scalar(str, parse_size)


@dataclass(frozen=True)
class Records:
    """How records are written and read.

    Attributes:
        scalars: types other than those of JSON that are written as strings.
        strings: what all strings have to match; None: any.
    """

    scalars: Mapping[type, Scalar]
    strings: re.Pattern[str] | None = None

    def encode(self, value: Any) -> Any:
        """``value`` in the types of JSON. Raises ``TypeError`` if it holds what is no data."""
        for kind, scalar in self.scalars.items():
            if isinstance(value, kind):
                return scalar.write(value)
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value.hex()
        if isinstance(value, tuple):
            return [self.encode(item) for item in value]
        if is_dataclass(value) and not isinstance(value, type):
            own = {each.name: self.encode(getattr(value, each.name)) for each in fields(value)}
            return {KIND: type(value).__name__, **own}
        raise TypeError(f"expected a record of data, got {type(value).__name__}")

    def decode(self, kind: type[T], data: Any) -> T:
        """The record of type ``kind`` that ``encode`` made ``data`` of.

        Raises:
            RecordError: the data are of another type, or of this one in part.
        """
        found: T = self._decode(kind, data)
        return found

    def _decode(self, kind: Any, data: Any) -> Any:
        if get_origin(kind) in (Union, types.UnionType):
            return self._decode(_member(kind, data, self.scalars), data)
        if get_origin(kind) is tuple:
            return self._tuple(get_args(kind), data)
        if kind in self.scalars:
            return self._scalar(kind, data)
        if is_dataclass(kind):
            return self._record(kind, data)
        if kind is float and type(data) is str:
            return _float(data)
        if type(data) is not kind and (kind, type(data)) != (float, int):
            raise RecordError(f"expected {_name(kind)}, got {data!r}")
        if kind is str and self.strings is not None and not self.strings.fullmatch(data):
            raise RecordError(f"expected a name or a number, got {data!r}")
        return data

    def _scalar(self, kind: type, data: Any) -> Any:
        if type(data) is not str:
            raise RecordError(f"expected the text of a {_name(kind)}, got {data!r}")
        try:
            return self.scalars[kind].read(data)
        except ValueError as error:
            raise RecordError(str(error)) from error

    def _tuple(self, kinds: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            raise RecordError(f"expected a list, got {data!r}")
        if kinds[1:] == (...,):
            return tuple([self._decode(kinds[0], item) for item in data])
        if len(kinds) != len(data):
            raise RecordError(f"expected a list of {len(kinds)}, got {data!r}")
        return tuple(map(self._decode, kinds, data))

    def _record(self, kind: Any, data: Any) -> Any:
        known = _classes(kind)
        named = data.get(KIND) if type(data) is dict else None
        if type(named) is not str or named not in known:
            raise RecordError(f"expected one of {', '.join(known)}, got {data!r:.200}")
        hints = _hints(known[named])
        if data.keys() != {KIND, *hints}:
            raise RecordError(f"{named}: expected {', '.join(hints)}; got {', '.join(data)}")
        own = {name: self._decode(hint, data[name]) for name, hint in hints.items()}
        return known[named](**own)


def _member(kind: Any, data: Any, scalars: Mapping[type, Scalar]) -> Any:
    """The member of a union that data may be of; the last one if of none."""
    members = get_args(kind)
    return next((each for each in members if _may_be(each, data, scalars)), members[-1])


def _may_be(kind: Any, data: Any, scalars: Mapping[type, Scalar]) -> bool:
    if type(data) is dict:
        own = isinstance(kind, type) and is_dataclass(kind) and kind not in scalars
        return own and data.get(KIND) in _classes(kind)
    if type(data) is list:
        return get_origin(kind) is tuple
    if type(data) is str and (kind is float or kind in scalars):
        return True
    return kind is type(data)


def _float(data: str) -> float:
    try:
        return float.fromhex(data)
    except (ValueError, OverflowError) as error:
        raise RecordError(f"expected a number, got {data!r}") from error


def _classes(kind: Any) -> dict[str, type]:
    """A class of records and those that are derived from it by now, by name."""
    found = {kind.__name__: kind}
    for each in kind.__subclasses__():
        found |= _classes(each)
    return found


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, localns=ALIASES)
    return {each.name: hints[each.name] for each in fields(kind)}


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
