"""Nested lists, tuples and dicts of values. Dicts are walked in the order of their sorted keys."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """The leaves; anything but a list, tuple or dict is a leaf."""
    return list(_leaves(structure))


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from _leaves(structure[key])
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from _leaves(item)
    else:
        yield structure


def map_structure(fn: Callable[[Any], Any], structure: Any) -> Any:
    """The same nesting with ``fn`` applied to each leaf."""
    if isinstance(structure, dict):
        return {key: map_structure(fn, structure[key]) for key in sorted(structure)}
    if isinstance(structure, (list, tuple)):
        return _same_type(structure, [map_structure(fn, item) for item in structure])
    return fn(structure)


def copied(structure: Any) -> Any:
    """The same nesting of the same leaves, in lists and dicts of its own."""
    if isinstance(structure, dict):
        return {key: copied(item) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return _same_type(structure, [copied(item) for item in structure])
    return structure


def pack_as(structure: Any, leaves: list[Any]) -> Any:
    """``leaves`` in the nesting of ``structure``: the inverse of ``flatten``."""
    remaining = iter(leaves)
    return map_structure(lambda _: next(remaining), structure)


def nesting(structure: Any) -> Hashable:
    """Equal for structures of one nesting: the same types, lengths and keys, whatever the leaves.

    >>> nesting({"a": [1, 2]}) == nesting({"a": [3, 4]}) != nesting({"a": (1, 2)})
    True
    """
    if isinstance(structure, dict):
        return dict, *((key, nesting(structure[key])) for key in sorted(structure))
    if isinstance(structure, (list, tuple)):
        return type(structure), *map(nesting, structure)
    return None


def unnamed(wanted: Any, given: Any) -> dict[Any, Any] | None:
    """The first dict in ``wanted`` that ``given`` has a list or tuple in the place of, if any.

    A dict has no order that a list could follow, though both may have as many leaves.
    """
    if isinstance(wanted, dict):
        if isinstance(given, (list, tuple)):
            return wanted
        shared = wanted.keys() & given.keys() if isinstance(given, dict) else ()
        pairs = [(wanted[key], given[key]) for key in shared]
    elif isinstance(wanted, (list, tuple)) and isinstance(given, (list, tuple)):
        pairs = list(zip(wanted, given, strict=False))
    else:
        return None
    return next((found for pair in pairs if (found := unnamed(*pair)) is not None), None)


def _same_type(original: Any, items: list[Any]) -> Any:
    if hasattr(original, "_fields"):
        return type(original)(*items)
    return type(original)(items)
