"""The kernel dialect: what a kernel computes, without saying for which machine.

A ``Kernel`` is structure only: how many axes, which operands are contiguous or broadcast, which
scalar functions are applied. All sizes, strides and addresses are arguments, so one kernel serves
every layer (and every model) of the same structure. Each target's emitter reads this; the bodies of
heavy ops, whose blocks suit one kind of machine, are the target's own.

Scalar code is a ``Block``: single assignments ``Let(name, fn, args)`` where ``fn`` is the name of
an elementwise op and ``args`` are names or constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..ir.types import BOOL, FLOAT32, DType

VECTOR = FLOAT32  # what lanes of vectors hold; what is computed in other types goes one by one


@dataclass(frozen=True)
class Number:
    """A constant of scalar code, as text: so ``0.0`` and ``-0.0`` differ, and NaN equals itself."""

    text: str
    dtype: DType

    @classmethod
    def of(cls, value: float, dtype: DType) -> Number:
        """``value`` (a bool, int or float) as a ``dtype``; integers are held in its range."""
        if dtype == BOOL:
            return cls(repr(bool(value)), dtype)
        if dtype.is_float:
            known = value if dtype.wide is None else dtype.of(np.asarray(value, np.float64))
            return cls(repr(float(known)), dtype)
        limits = np.iinfo(dtype.numpy)
        return cls(repr(int(min(max(value, limits.min), limits.max))), dtype)

    @property
    def value(self) -> float:
        """The bool, int or float meant."""
        if self.dtype == BOOL:
            return self.text == "True"
        return float(self.text) if self.dtype.is_float else int(self.text)


ScalarArg: TypeAlias = str | Number


@dataclass(frozen=True)
class Let:
    """``name = fn(*args)``, of type ``dtype``; ``args`` name earlier values or are constants."""

    name: str
    fn: str
    args: tuple[ScalarArg, ...]
    dtype: DType


Block: TypeAlias = tuple[Let, ...]


@dataclass(frozen=True)
class Param:
    """One launch argument: the address of a ``dtype`` array, or (``dtype`` None) an integer."""

    name: str
    dtype: DType | None = None


@dataclass(frozen=True)
class Term:
    """One input axis of an access: where it is read along the loop axis ``axis``.

    The plain term contributes ``axis * stride`` elements (``stride`` is "0", "1" or a parameter).
    With ``bound`` (a parameter), the index ``(axis * scale + offset) // divisor`` is computed
    first and must lie in ``[0, bound)`` (and divide evenly if ``exact``), else the access is off.
    """

    axis: str | None
    stride: str
    scale: int = 1
    offset: str = "0"
    divisor: int = 1
    exact: bool = False
    bound: str | None = None

    @property
    def is_plain(self) -> bool:
        return self.bound is None and self.divisor == 1 and self.offset == "0"


@dataclass(frozen=True)
class Access:
    """An element of the array ``pointer``, found from the loop axes; ``fill`` when it is off."""

    pointer: str
    dtype: DType
    terms: tuple[Term, ...]
    fill: float | None = None

    def stride_along(self, axis: str) -> str:
        """As the function of that name."""
        return stride_along(self.terms, axis)


def stride_along(terms: tuple[Term, ...], axis: str) -> str:
    """``"0"``, ``"1"``, a parameter, or ``"?"`` where the terms are not linear in ``axis``."""
    found = [term for term in terms if term.axis == axis]
    if not found:
        return "0"
    if len(found) > 1 or not found[0].is_plain:
        return "?"
    return found[0].stride


@dataclass(frozen=True)
class Axis:
    """A loop: its name and the parameter (or number) that holds its extent."""

    name: str
    extent: str


@dataclass(frozen=True)
class Load:
    name: str
    access: Access


@dataclass(frozen=True)
class Gathered:
    """A load whose index along one axis is itself loaded: ``table[index[...], ...]``.

    ``from_end``: an index below 0 counts from ``bound``. Where it is not in ``[0, bound)`` then,
    nothing is read, and the value is ``fill``.
    """

    name: str
    index: Access
    access: Access
    stride: str
    bound: str
    from_end: bool
    fill: Number


@dataclass(frozen=True)
class Generated:
    """``name = fn(*numbers, index)``: a load that reads no array, but a few ``numbers``.

    These are pointers to what is the same for all elements. ``terms`` give the index.
    """

    name: str
    fn: str  # "count", "uniform"
    numbers: tuple[str, ...]
    terms: tuple[Term, ...]
    dtype: DType


AnyLoad: TypeAlias = Load | Gathered | Generated


@dataclass(frozen=True)
class Accumulate:
    """``name = combine(name, value)`` over the reduction axes, starting from ``initial``."""

    name: str
    combine: str
    value: str
    initial: Number
    dtype: DType


@dataclass(frozen=True)
class Store:
    access: Access
    value: str


@dataclass(frozen=True)
class Stage:
    """One sweep over the reduction axes, then code on the reduced values.

    Inside: ``loads``, ``block``, ``accumulate``, ``stores``. After: ``after_loads``, ``after``
    and ``after_stores``, whose names later stages may use.
    """

    loads: tuple[AnyLoad, ...] = ()
    block: Block = ()
    accumulate: tuple[Accumulate, ...] = ()
    stores: tuple[Store, ...] = ()
    after_loads: tuple[AnyLoad, ...] = ()
    after: Block = ()
    after_stores: tuple[Store, ...] = ()


@dataclass(frozen=True)
class Body:
    """What a kernel does: loops over any machine's elements (``Nest``), or a target's own."""

    @property
    def multiplier(self) -> str:
        """The engine by whose products it is heavy; empty where it is of none."""
        return ""

    @property
    def fills_halo(self) -> bool:
        """Whether it writes halos only, so that it needs no order with writers of the values."""
        return False


@dataclass(frozen=True)
class Nest(Body):
    """Loops over ``parallel`` axes; inside, sweeps over the ``reduce`` axes (none: one visit).

    ``vector`` names the axis whose neighbours are computed together (always the last of
    ``reduce``, or of ``parallel`` when nothing is reduced along the innermost axis).
    ``blocked_sum``: long sums are computed in blocks (blocked summation), which rounds less.
    """

    parallel: tuple[Axis, ...]
    reduce: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    vector: str | None
    blocked_sum: bool = False


@dataclass(frozen=True)
class EpilogueLoad:
    """An epilogue operand: one value a channel, one per output element, or one for all.

    ``gate`` counts the stretch of the operand's channels that is read.
    """

    name: str
    pointer: str
    kind: str  # "channel", "element", "scalar"
    gate: int = 0


@dataclass(frozen=True)
class EpilogueStore:
    """The value called ``value``, a result: the stretch ``gate`` of the channels of an array."""

    value: str
    pointer: str = "y"
    gate: int = 0


@dataclass(frozen=True)
class Pool:
    """A pooling window equal to its stride, applied to the block in registers."""

    rows: int
    columns: int
    combine: str  # "maximum", "mean"


@dataclass(frozen=True)
class Epilogue:
    """What happens to accumulators before results are stored: ``block``, ``pool``, ``after``.

    Most kernels have one accumulator for an element of the result, called ``acc``. Where the
    channels of a contraction fall in equal stretches, its gates, there is one for each: ``acc0``,
    ``acc1``, ... belong to the same unit. Arrays may have several stretches of channels too.
    """

    loads: tuple[EpilogueLoad, ...] = ()
    block: Block = ()
    pooled: str = "acc"
    pool: Pool | None = None
    after: Block = ()
    stores: tuple[EpilogueStore, ...] = (EpilogueStore("acc"),)
    accumulators: tuple[str, ...] = ("acc",)

    @property
    def gates(self) -> int:
        return len(self.accumulators)


@dataclass(frozen=True)
class Kernel:
    """A named body and the order of its arguments; equal kernels are compiled once."""

    name: str
    params: tuple[Param, ...]
    body: Body
