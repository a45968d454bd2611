"""Where in a file each layer's weights are: the paths that Keras 3 gives them.

A path tells how one gets to a layer from the model: by attributes, and in lists and dicts by class
and number, ``layers/dense_1``; names of layers are not part of it. Whatever can be reached in
several ways is at the first of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..layers.base import Layer
from ..models import Model, Sequential
from ..naming import snake_case
from ..variable import Variable

# Properties of a user's layer may fail as long as it is not built.
_FAILURES = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Place:
    """What holds variables, and its path: ``layers/dense``; "" is the model itself."""

    path: str
    holder: Any

    @property
    def name(self) -> str:
        return str(self.holder.name)

    @property
    def variables(self) -> list[Variable]:
        """Those of the holder itself, in Keras's order: to be trained, then not."""
        own = isinstance(self.holder, Layer)
        return self.holder.own_variables if own else list(self.holder.variables)

    @property
    def is_optimizer(self) -> bool:
        return not isinstance(self.holder, Layer)


def places(model: Layer) -> list[Place]:
    """Every layer within a model once, itself first, and the optimizers of models."""
    return list(_places(model))


def _places(model: Layer) -> Iterator[Place]:
    """Without recursion: each holder, then what is found in its attributes, to the bottom."""
    seen: dict[int, Any] = {}  # what is there by its id, kept so that no other gets that
    waiting: list[Iterator[tuple[str, Any]]] = [iter([("", model)])]
    while waiting:
        path, value = next(waiting[-1], ("", None))
        if value is None:
            waiting.pop()
        elif id(value) not in seen and _may_hold_variables(value):
            seen[id(value)] = value
            if _holds_variables(value):
                yield Place(path, value)
            waiting.append(_inside(path, value))


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What may hold variables in a layer or a container, each with its path."""
    if isinstance(value, Layer):
        found = _attributes(value)
    elif isinstance(value, (list, tuple, dict)):
        found = _named(value.values() if isinstance(value, dict) else value)
    else:
        return
    for name, item in found:
        if _may_hold_variables(item):
            yield (f"{path}/{name}" if path else name), item


def _may_hold_variables(value: Any) -> bool:
    return _holds_variables(value) or isinstance(value, (list, tuple, dict))


def _named(items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    counts: Counter[str] = Counter()
    for item in items:
        if isinstance(item, (list, tuple, dict)):
            name = "container"
        elif _holds_variables(item):
            name = snake_case(type(item).__name__)
        else:
            continue
        yield f"{name}_{counts[name]}" if counts[name] else name, item
        counts[name] += 1


def _holds_variables(value: Any) -> bool:
    return isinstance(value, Layer) or _is_optimizer(value)


def _is_optimizer(value: Any) -> bool:
    return hasattr(value, "apply_gradients") and hasattr(value, "iterations")


def _attributes(layer: Layer) -> Iterator[tuple[str, Any]]:
    """What a layer refers to beyond what every layer has, in the order in which Keras looks."""
    if isinstance(layer, Model) and _is_chain(layer):
        yield "layers", [each for each in layer.operations if isinstance(each, Layer)]
    names = set(dir(layer)) - _of_every(Layer)
    if isinstance(layer, Model):
        names = names - _of_every(Sequential if isinstance(layer, Sequential) else Model)
        names |= {"layers", "optimizer"}
    # Private ones last.
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        try:
            yield name, getattr(layer, name)
        except _FAILURES:
            continue


def _is_chain(model: Model) -> bool:
    """Whether the model itself says which layers there are, and in what order."""
    return isinstance(model, Sequential) or model.network is not None


@cache
def _of_every(kind: type[Layer]) -> frozenset[str]:
    return frozenset(dir(kind(name="any")))
