"""Splits the code of a group around its reductions.

Code that needs the result of a reduction runs after the sweep over the reduced axes; code that
needs it for every element runs in another sweep, for which what the first one computed inside is
computed again. Where that is expensive, it is kept instead: in the memory of a result that is
written in that sweep or later, in whose place it lies until then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from .domain import Value, Values, is_load, is_reduction

PRELUDE = 0  # before the first sweep: values that vary along the kept axes only


@dataclass(frozen=True)
class Output:
    """A result of the group: its index among them, and its value."""

    index: int
    value: Value


@dataclass(frozen=True)
class Sweep:
    """One visit of all reduced elements, and the code after it; see ``kernel.Stage``.

    ``kept`` are values that are read back from where an earlier sweep stored them among its
    ``inside_outputs``.
    """

    kept: tuple[Output, ...] = ()
    inside: tuple[Value, ...] = ()
    reductions: tuple[Value, ...] = ()
    inside_outputs: tuple[Output, ...] = ()
    after: tuple[Value, ...] = ()
    after_outputs: tuple[Output, ...] = ()


def plan_sweeps(values: Values, expensive: Collection[str] = ()) -> tuple[Sweep, ...]:
    """The sweeps in order, the first being the prelude; a single one if nothing is reduced.

    What ops with names in ``expensive`` compute is kept for later sweeps where there is room.
    """
    outputs = tuple(Output(index, value) for index, value in enumerate(values.outputs))
    if not values.domain.reduced:
        return (Sweep(inside=values.reachable, inside_outputs=outputs),)
    return _Planner(values, outputs, frozenset(expensive)).sweeps()


@dataclass(frozen=True)
class _Kept:
    """The memory of a result that holds another value from after sweep ``first`` to ``last``."""

    index: int
    first: int
    last: int


class _Planner:
    """The sweeps of one group. ``kept`` grows while they are planned, first to last."""

    def __init__(
        self, values: Values, outputs: tuple[Output, ...], expensive: frozenset[str]
    ) -> None:
        self.values = values
        self.outputs = outputs
        self.expensive = expensive
        self.number = _numbering(values)
        self.count = 1 + max(map(self.number, values.reachable))
        self.kept: dict[Value, _Kept] = {}

    def sweeps(self) -> tuple[Sweep, ...]:
        for k in range(self.count):
            self._keep(self._again(k), k)
        return tuple(map(self._sweep, range(self.count)))

    def _sweep(self, k: int) -> Sweep:
        here = [value for value in self.values.reachable if self.number(value) == k]
        stored = [output for output in self.outputs if self.number(output.value) == k]
        inside = [output for output in stored if self.values.is_inside(output.value)]
        keep = [Output(each.index, v) for v, each in self.kept.items() if each.first == k]
        after = (v for v in here if not self.values.is_inside(v) and not is_reduction(v.node))
        return Sweep(
            kept=tuple(Output(self.kept[v].index, v) for v in self._read_back(k)),
            inside=self._inside(k, self.kept),
            reductions=self._reductions(k),
            inside_outputs=(*keep, *inside),
            after=tuple(after),
            after_outputs=tuple(output for output in stored if output not in inside),
        )

    def _reductions(self, k: int) -> tuple[Value, ...]:
        return tuple(
            v for v in self.values.reachable if self.number(v) == k and is_reduction(v.node)
        )

    def _roots(self, k: int) -> Iterable[Value]:
        """What is reduced or stored inside sweep ``k``."""
        for value in self._reductions(k):
            yield from self.values.operands(value)
        for output in self.outputs:
            if self.number(output.value) == k and self.values.is_inside(output.value):
                yield output.value

    def _inside(self, k: int, kept: Mapping[Value, _Kept]) -> tuple[Value, ...]:
        """What is computed inside sweep ``k``, given what is kept."""
        return self.values.closure(self._roots(k), True, self._ready(k, kept))

    # Values that are kept

    def _ready(self, k: int, kept: Mapping[Value, _Kept]) -> frozenset[Value]:
        """What lies in memory for sweep ``k``."""
        return frozenset(v for v, each in kept.items() if each.first < k <= each.last)

    def _read_back(self, k: int) -> tuple[Value, ...]:
        """What sweep ``k`` reads of that."""
        ready, inside = self._ready(k, self.kept), self._inside(k, self.kept)
        read = {operand for value in inside for operand in self.values.operands(value)}
        return tuple(v for v in self.kept if v in ready and v in read.union(self._roots(k)))

    def _again(self, k: int) -> tuple[Value, ...]:
        """What sweep ``k`` computes again at a cost, and needs for what is new in it."""
        before = {v for j in range(k) for v in self._inside(j, self.kept)}
        inside = self._inside(k, self.kept)
        new = [value for value in inside if value not in before]
        needed = {*self._roots(k), *(i for value in new for i in self.values.operands(value))}
        return tuple(v for v in inside if v in before and v in needed and self._is_dear(v, k))

    def _is_dear(self, value: Value, k: int) -> bool:
        made = self.values.closure([value], True, self._ready(k, self.kept))
        return any(each.node.op.name in self.expensive for each in made)

    def _keep(self, again: Collection[Value], k: int) -> None:
        """Keeps all of ``again`` from the sweeps that compute them first, or none."""
        kept = dict(self.kept)
        for value in again:
            first = next(j for j in range(k) if value in self._inside(j, self.kept))
            rooms = [each for each in self.outputs if self._fits(value, k, each, kept)]
            if not rooms:
                return
            kept[value] = _Kept(rooms[0].index, first, self.number(rooms[0].value))
        if all(self._is_free(each, kept) for each in kept.values()):
            self.kept = kept

    def _fits(self, value: Value, k: int, output: Output, kept: Mapping[Value, _Kept]) -> bool:
        """Whether the memory of ``output`` can hold ``value`` until sweep ``k``."""
        dtype = value.node.dtype
        exact = output.value.node.dtype == dtype == dtype.computed
        taken = any(each.index == output.index for each in kept.values())
        there = output.value.axes == value.axes and self.number(output.value) >= k
        return exact and there and not taken

    def _is_free(self, room: _Kept, kept: Mapping[Value, _Kept]) -> bool:
        """Whether no operand is read after ``room`` is written that may be the same memory."""
        (output,) = (output for output in self.outputs if output.index == room.index)
        later = (v for j in range(room.first + 1, self.count) for v in self._inside(j, kept))
        return not any(is_load(v.node) and v.node.type == output.value.node.type for v in later)


def _numbering(values: Values) -> Callable[[Value], int]:
    """The sweep in or after which a value is first there (``PRELUDE``: before all of them)."""

    @cache
    def number(value: Value) -> int:
        operands = [v for v in values.operands(value) if v in reachable]
        if is_load(value.node) or not operands:
            return 1 if values.is_inside(value) else PRELUDE
        if values.is_inside(value) or is_reduction(value.node):
            return max(1, *map(usable, operands))
        return max(map(number, operands))

    def usable(value: Value) -> int:
        """The first sweep inside which a value can be used."""
        known = number(value)
        return known if values.is_inside(value) or known == PRELUDE else known + 1

    reachable = frozenset(values.reachable)
    return number
