"""Decisions of the compiler: every rewrite that was made, and every one declined, with its
reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..runtime.dim import Size

Refusal: TypeAlias = tuple[str, str]  # a code in capitals, and the predicate that failed in words


@dataclass(frozen=True)
class Decision:
    """One choice of one pass.

    ``pattern`` names what was looked for (``conv+bias+relu+pool``), ``action`` what was done with
    it (``fused``, ``folded``, ``declined``, ...), ``reason`` is a code in capitals
    (``SECOND_USER``) and ``detail`` the predicate that failed, or what was gained, in words.
    ``bytes_saved`` counts memory traffic and may be symbolic, as in ``259584*N``.
    """

    stage: str
    pattern: str
    layers: tuple[str, ...]
    action: str
    reason: str = ""
    detail: str = ""
    kernels_saved: int = 0
    bytes_saved: Size = 0

    def __post_init__(self) -> None:
        assert self.reason == self.reason.upper(), f"a reason is a code in capitals: {self.reason}"

    @property
    def declined(self) -> bool:
        return self.action == "declined"

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON-ready data; a symbolic ``bytes_saved`` becomes text."""
        symbolic = not isinstance(self.bytes_saved, int)
        return {
            **vars(self),
            "layers": list(self.layers),
            "bytes_saved": str(self.bytes_saved) if symbolic else self.bytes_saved,
        }


class Decisions:
    """Decisions in the order they were taken; append-only."""

    def __init__(self) -> None:
        self._taken: list[Decision] = []

    def add(self, decision: Decision) -> None:
        self._taken.append(decision)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._taken)

    def __len__(self) -> int:
        return len(self._taken)

    def of_stage(self, stage: str) -> tuple[Decision, ...]:
        """The decisions of one pass."""
        return tuple(decision for decision in self if decision.stage == stage)

    def to_dict(self) -> list[dict[str, Any]]:
        """All decisions as JSON-ready data."""
        return [decision.to_dict() for decision in self]
