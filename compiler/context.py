"""The context of a pass: the target, and the log of decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from .decisions import Decisions, Refusal
from .durations import Duration
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
    def is_expensive(self, function: str) -> bool:
        """Whether computing a scalar function, by its op's name, costs more than reading its
        value."""

    @abstractmethod
    def split_sum(self, node: Node) -> Node | None:
        """A sum over all samples as the sum of partial sums; None where it is not split."""

    @abstractmethod
    def duration(self, flops: int, bytes_: int, threads: int) -> Duration:
        """How long a launch takes that computes and moves so much, by estimate."""

    @property
    @abstractmethod
    def wait(self) -> float:
        """Microseconds that threads wait for one another where their ways meet."""

    @abstractmethod
    def resumption(self, bytes_: int) -> float:
        """Microseconds that it costs a thread to take up work again that reads so much, and that
        other work has displaced from its cache."""

    @abstractmethod
    def refusal(self, body: Graph) -> Refusal | None:
        """Why no kernel computes ``body``, a group around heavy ops; None if one does."""


@dataclass(frozen=True)
class Context(Generic[Machine]):
    """The target a graph is rewritten for, and the decisions of the passes.

    Attributes:
        unroll: what becomes of all loops of known length: ``"full"``, or so many steps in one (1:
            they stay loops); None where each says so itself.
    """

    target: Costs[Machine]
    decisions: Decisions
    unroll: int | str | None = None


PassFunction: TypeAlias = Callable[[Graph, Context[Any]], Graph]
