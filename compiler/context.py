"""What a pass is given beside the graph: what is compiled for, and the log of decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from .decisions import Decisions
from .engine import Engine
from .ir.graph import Graph, Node

Machine = TypeVar("Machine")


class Costs(ABC, Generic[Machine]):
    """What passes ask of a target. ``machine`` is its description, for the target's own passes."""

    machine: Machine

    @property
    @abstractmethod
    def engines(self) -> tuple[Engine, ...]:
        """What multiplies there, and is chosen from; of equal ones the first."""

    @abstractmethod
    def is_dear(self, function: str) -> bool:
        """Whether a scalar function, by its op's name, costs more than to read its value back."""

    @abstractmethod
    def in_parts(self, node: Node) -> Node | None:
        """A sum over all samples as the sum of its parts; None where it stays whole."""


@dataclass(frozen=True)
class Context(Generic[Machine]):
    """For whom a graph is rewritten, and where each pass says what it decided."""

    target: Costs[Machine]
    decisions: Decisions


PassFunction: TypeAlias = Callable[[Graph, Context[Any]], Graph]
