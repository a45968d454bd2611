"""Splits the code of a group around its reductions.

Code that needs the result of a reduction runs after the sweep over the reduced axes; code that
needs it for every element runs in another sweep, for which what the first one computed inside is
computed again rather than kept.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """One visit of all reduced elements, and the code after it; see ``kernels.Stage``."""

    inside: tuple[Value, ...] = ()
    reductions: tuple[Value, ...] = ()
    inside_outputs: tuple[Output, ...] = ()
    after: tuple[Value, ...] = ()
    after_outputs: tuple[Output, ...] = ()


def plan_sweeps(values: Values) -> tuple[Sweep, ...]:
    """The sweeps in order, the first being the prelude; a single one if nothing is reduced."""
    outputs = tuple(Output(index, value) for index, value in enumerate(values.outputs))
    if not values.domain.reduced:
        return (Sweep(inside=values.reachable, inside_outputs=outputs),)
    number = _numbering(values)
    last = max(number(value) for value in values.reachable)
    return tuple(_sweep(values, outputs, number, k) for k in range(last + 1))


def _sweep(
    values: Values, outputs: tuple[Output, ...], number: Callable[[Value], int], k: int
) -> Sweep:
    here = [value for value in values.reachable if number(value) == k]
    reductions = tuple(v for v in here if is_reduction(v.node))
    stored = [output for output in outputs if number(output.value) == k]
    inside = tuple(output for output in stored if values.is_inside(output.value))
    roots = [operand for v in reductions for operand in values.operands(v)]
    return Sweep(
        inside=values.closure([*roots, *(o.value for o in inside)], inside_only=True),
        reductions=reductions,
        inside_outputs=inside,
        after=tuple(v for v in here if not values.is_inside(v) and not is_reduction(v.node)),
        after_outputs=tuple(output for output in stored if output not in inside),
    )


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
