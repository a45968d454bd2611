"""What loops and branches of ``keraunos.ops`` share: nestings of tensors as nodes and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ...compiler.ir.graph import Node
from ...compiler.ops.core import input_
from .. import tree
from ..errors import UsageError
from ..scope import active_scope
from .core import as_node, cast_node, is_scalar, tensor

Nodes = tuple[Node, ...]


def leaves_of(structure: Any) -> list[Any]:
    """The tensors of a nesting; where it has None there is none."""
    return [leaf for leaf in tree.flatten(structure) if leaf is not None]


def nodes_of(structure: Any) -> Nodes:
    """The nodes of a nesting of tensors, arrays and numbers."""
    return tuple(map(as_node, leaves_of(structure)))


def packed(structure: Any, nodes: Sequence[Node]) -> Any:
    """Tensors of ``nodes``, nested as ``structure``."""
    rest = iter(nodes)
    return tree.map_structure(lambda leaf: None if leaf is None else tensor(next(rest)), structure)


def kind_of(structure: Any) -> Any:
    """Equal for nestings that have tensors, and None, in the same places."""
    marks = tree.map_structure(lambda leaf: (None if leaf is None else 0,), structure)
    return tree.nesting(structure), tuple(tree.flatten(marks))


@contextmanager
def changing_nothing(name: str) -> Iterator[None]:
    """Within, a body is traced: raises ``UsageError`` where it changes weights.

    Random numbers count, as they change the state of a generator, and losses.
    """
    scope = active_scope()
    before = (len(scope.losses), len(getattr(scope, "updates", ())))
    scope.bodies += 1
    try:
        yield
    finally:
        scope.bodies -= 1
    if (len(scope.losses), len(getattr(scope, "updates", ()))) != before:
        raise UsageError(
            f"{name}: expected steps that change no weights, draw no random numbers and add no "
            "losses, as a step is compiled once for all; draw what is random before"
        )


@dataclass(frozen=True)
class Carried:
    """The values that a loop begins with, nested; ``free`` are those given as Python numbers.

    These take the type that the first step gives them.
    """

    structure: Any
    nodes: Nodes
    free: tuple[bool, ...]

    @classmethod
    def of(cls, structure: Any) -> Carried:
        leaves = leaves_of(structure)
        return cls(structure, nodes_of(structure), tuple(map(is_scalar, leaves)))

    def inputs(self) -> Nodes:
        """What stands for the values at the beginning of a step."""
        return tuple(input_(f"c{i}", node.tensor_type) for i, node in enumerate(self.nodes))

    def like(self, new: Sequence[Node]) -> Carried:
        """The same with numbers of the types of ``new``."""
        trios = zip(self.nodes, new, self.free, strict=True)
        nodes = (cast_node(old, n.dtype) if free else old for old, n, free in trios)
        return replace(self, nodes=tuple(nodes))

    def check(self, name: str, structure: Any) -> Nodes:
        """The nodes of what a step gives to the next; raises ``UsageError`` if they do not fit."""
        if kind_of(structure) != kind_of(self.structure):
            raise UsageError(
                f"{name}: expected a step that gives on what it is given, nested as "
                f"{_shown(self.structure)}; received {_shown(structure)}"
            )
        found = nodes_of(structure)
        trios = zip(self.nodes, found, self.free, strict=True)
        if any(a.shape != b.shape or (a.dtype != b.dtype and not free) for a, b, free in trios):
            raise UsageError(
                f"{name}: expected a step that gives on values of the types it is given, "
                f"{_types(self.nodes)}; received {_types(found)}"
            )
        return found


def _shown(structure: Any) -> str:
    return str(tree.map_structure(lambda leaf: _Mark("None" if leaf is None else "*"), structure))


class _Mark(str):
    """Shown without quotes."""

    __repr__ = str.__str__


def _types(nodes: Sequence[Node]) -> str:
    return ", ".join(str(node.type) for node in nodes)
