"""Nested lists, tuples and dicts of values. Dicts are walked in the order of their sorted keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def pack_as(structure: Any, leaves: list[Any]) -> Any:
    """``leaves`` in the nesting of ``structure``: the inverse of ``flatten``."""
    remaining = iter(leaves)
    return map_structure(lambda _: next(remaining), structure)


def _same_type(original: Any, items: list[Any]) -> Any:
    if hasattr(original, "_fields"):
        return type(original)(*items)
    return type(original)(items)
