"""``explain()``: what was fused, folded, tiled or declined, why, and what it saves, as a table.

Decisions that are alike (the sixteen conv2d+add+relu of one network) share a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...runtime.dim import Size
from ..decisions import Decision
from ..executable import Executable
from ..ir.graph import IRError
from ..sources import kernel_names
from ..suggest import did_you_mean
from ..units import count_of, format_bytes_a_sample
from .table import Column, Table, TableRow

COLUMNS = (
    Column("pattern", wraps=True),
    Column("layers", wraps=True),
    Column("decision", marked=True),
    Column("reason", wraps=True),
)
EMPHASIS = {"declined": "bad"}
LAYERS_SHOWN = 3  # the names of more do not tell more
Group: TypeAlias = tuple[Decision, ...]


@dataclass(frozen=True)
class Explanation:
    """The decisions of one compilation, or one ``kind`` of them. Printing it shows the table.

    Attributes:
        engines: of each heavy kernel its name, and that of what multiplies in it.
    """

    name: str
    decisions: tuple[Decision, ...]
    kind: str = "decided"
    engines: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return f"<explanation of {self.name}: {self.summary}>"

    def __len__(self) -> int:
        return len(self.decisions)

    def only(self, action: str) -> Explanation:
        """The decisions of one kind, such as ``"declined"``.

        Raises:
            ValueError: no decision can be called so.
        """
        known = dict.fromkeys(("fused", "folded", "tiled", "declined", *self.actions))
        if action not in known:
            raise IRError(
                f"explain: expected one of {', '.join(known)}; got {action!r}"
                f"{did_you_mean(action, known)}"
            )
        chosen = tuple(each for each in self.decisions if each.action == action)
        return Explanation(self.name, chosen, action)

    @property
    def actions(self) -> tuple[str, ...]:
        """The kinds of decision there are, each once, in order."""
        return tuple(dict.fromkeys(decision.action for decision in self.decisions))

    @property
    def summary(self) -> str:
        """``5 fused, 1 tiled, 2 declined; saves 12 kernels, 1.2 MB a sample``."""
        counts = Counter(decision.action for decision in self.decisions)
        counted = ", ".join(f"{count} {action}" for action, count in counts.items())
        found = (counted or f"nothing {self.kind}", _savings(self.decisions))
        return "; ".join(filter(None, found))

    def table(self) -> Table:
        """One row for each group of like decisions, in the order in which they were taken."""
        rows = tuple(map(_row, _grouped(self.decisions)))
        return Table(f"{self.name}: {self.summary}", COLUMNS, rows, tuple(self._engine_notes()))

    def _engine_notes(self) -> Iterator[str]:
        for engine in dict.fromkeys(engine for _, engine in self.engines):
            kernels = ", ".join(kernel for kernel, used in self.engines if used == engine)
            yield f"Multiplied by {engine}: {kernels}."

    def to_dict(self) -> dict[str, Any]:
        """Every decision, ungrouped, as JSON-ready data."""
        return {
            "name": self.name,
            "kernels_saved": sum(decision.kernels_saved for decision in self.decisions),
            "bytes_saved": str(_bytes_saved(self.decisions)),
            "engines": dict(self.engines),
            "decisions": [decision.to_dict() for decision in self.decisions],
        }


def explain(executable: Executable, only: str | None = None) -> Explanation:
    """What was decided while ``executable`` was compiled.

    ``only`` keeps one kind, such as ``"declined"``; raises ``ValueError`` for an unknown one.
    """
    names = kernel_names(executable.program)
    bodies = [kernel.body for kernel in executable.plan.kernels]
    engines = tuple((n, b.multiplier) for n, b in zip(names, bodies, strict=True) if b.multiplier)
    decisions = tuple(executable.decisions)
    explanation = Explanation(executable.program.name, decisions, engines=engines)
    return explanation if only is None else explanation.only(only)


def _grouped(decisions: Iterable[Decision]) -> list[Group]:
    groups: dict[Any, list[Decision]] = {}
    for decision in decisions:
        key = (decision.stage, decision.pattern, decision.action, decision.reason)
        groups.setdefault(key, []).append(decision)
    return [tuple(group) for group in groups.values()]


def _row(group: Group) -> TableRow:
    first = group[0]
    cells = (first.pattern, _layers(group), first.action, _reason(group))
    return TableRow(cells, EMPHASIS.get(first.action, "good"))


def _layers(group: Group) -> str:
    """``conv2d, max_pooling2d``; of a group ``×16: conv2d_1, conv2d_2, …``, the first of each."""
    if len(group) == 1:
        return _listed(group[0].layers, LAYERS_SHOWN)
    heads = [decision.layers[0] for decision in group if decision.layers]
    return f"×{len(group)}: {_listed(list(dict.fromkeys(heads)), LAYERS_SHOWN)}"


def _listed(names: Sequence[str], most: int) -> str:
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown}, … and {more} more" if more > 0 else shown


def _reason(group: Group) -> str:
    """``SECOND_USER: its output also feeds add_1``, or what was gained."""
    first = group[0]
    # A code that only repeats the decision, such as FUSED, says nothing.
    code = "" if first.reason == first.action.upper() else first.reason
    parts = [": ".join(filter(None, (code, _detail(group)))), _savings(group)]
    return "; ".join(filter(None, parts))


def _detail(group: Group) -> str:
    details = list(dict.fromkeys(decision.detail for decision in group if decision.detail))
    if len(details) < 2:
        return "".join(details)
    return f"{details[0]} (and {count_of(len(details) - 1, 'case')} like it)"


def _savings(group: Iterable[Decision]) -> str:
    decisions = tuple(group)
    kernels = sum(decision.kernels_saved for decision in decisions)
    moved = _bytes_saved(decisions)
    parts = [count_of(kernels, "kernel")] if kernels else []
    parts += [format_bytes_a_sample(moved)] if moved != 0 else []
    return f"saves {', '.join(parts)}" if parts else ""


def _bytes_saved(decisions: Iterable[Decision]) -> Size:
    total: Size = 0
    for decision in decisions:
        total = total + decision.bytes_saved
    return total
