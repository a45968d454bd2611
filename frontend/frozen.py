"""What a value was: copies that changes in place do not reach, compared to the digit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MISSING: Any = object()
PLAIN = (bool, int, float, complex, str, bytes)
CONTAINERS = (list, tuple, dict, set, frozenset)
MOST_BYTES = 16384  # of an array that is compared by what it holds


class _Copy:
    """What a container held."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: type, items: Any) -> None:
        self.kind, self.items = kind, items


class _Bytes:
    """What an array held."""

    __slots__ = ("array", "content")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.content = array, array.tobytes()


class Whole:
    """A value that is known by its identity alone."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def frozen(value: Any) -> Any:
    """The value, which changes of a container or of a small array in place do not reach."""
    return _frozen(value, frozen)


def frozen_at_top(value: Any) -> Any:
    """The same, but containers and arrays within are known by their identity."""
    return _frozen(value, _known)


def _known(value: Any) -> Any:
    return Whole(value) if isinstance(value, (*CONTAINERS, np.ndarray)) else value


def _frozen(value: Any, item: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return _Copy(type(value), tuple((key, item(each)) for key, each in value.items()))
    if isinstance(value, (list, tuple)):
        return _Copy(type(value), tuple(map(item, value)))
    if isinstance(value, (set, frozenset)):
        return _Copy(type(value), frozenset(value))
    return _Bytes(value) if is_small_array(value) else value


def is_small_array(value: Any) -> bool:
    """Whether it is an array of numbers whose content costs little to compare."""
    return type(value) is np.ndarray and not value.dtype.hasobject and value.nbytes <= MOST_BYTES


def same(kept: Any, now: Any) -> bool:
    """Whether a value is what was kept of it; numbers and strings are compared to the digit."""
    if isinstance(kept, Whole):
        return kept.value is now
    if isinstance(kept, _Copy):
        return type(now) is kept.kind and _same_items(kept.items, now)
    if isinstance(kept, _Bytes):
        return now is kept.array and now.tobytes() == kept.content
    if kept is now:
        return True
    return type(kept) is type(now) and isinstance(kept, PLAIN) and repr(kept) == repr(now)


def _same_items(kept: Any, now: Any) -> bool:
    if isinstance(kept, frozenset):
        return kept == now
    if len(kept) != len(now):
        return False
    if isinstance(now, dict):
        pairs = zip(kept, now.items(), strict=True)
        return all(key == other and same(item, value) for (key, item), (other, value) in pairs)
    return all(map(same, kept, now))
