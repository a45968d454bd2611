"""The kernel dialect: what a kernel computes, without saying for which machine.

A ``Kernel`` is structure only: how many axes, which operands are contiguous or broadcast, which
scalar functions are applied. All sizes, strides and addresses are arguments, so one kernel serves
every layer (and every model) of the same structure. The CPU emitter reads this; so can any other.

Scalar code is a ``Block``: single assignments ``Let(name, fn, args)`` where ``fn`` is the name of
an elementwise op and ``args`` are names or constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..ir.types import BOOL, DType


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
            return cls(repr(float(value)), dtype)
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
class Nest:
    """Loops over ``parallel`` axes; inside, sweeps over the ``reduce`` axes (none: one visit).

    ``vector`` names the axis whose neighbours are computed together (always the last of
    ``reduce``, or of ``parallel`` when nothing is reduced along the innermost axis).
    ``stretched``: sums are so long that they are made of shorter ones, which round less.
    """

    parallel: tuple[Axis, ...]
    reduce: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    vector: str | None
    stretched: bool = False


@dataclass(frozen=True)
class RegisterBlock:
    """How much of the output one innermost step holds in registers: rows x columns x vectors."""

    rows: int
    columns: int
    vectors: int

    @property
    def accumulators(self) -> int:
        return self.rows * self.columns * self.vectors

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}x{self.vectors}"


@dataclass(frozen=True)
class EpilogueLoad:
    """An epilogue operand: one value a channel, one per output element, or one for all."""

    name: str
    pointer: str
    kind: str  # "channel", "element", "scalar"


@dataclass(frozen=True)
class Pool:
    """A pooling window equal to its stride, applied to the block in registers."""

    rows: int
    columns: int
    combine: str  # "maximum", "mean"


@dataclass(frozen=True)
class Epilogue:
    """What happens to an accumulator before it is stored: ``block``, ``pool``, ``after``.

    The accumulator is called ``acc``; ``result`` names the value stored.
    """

    loads: tuple[EpilogueLoad, ...] = ()
    block: Block = ()
    pooled: str = "acc"
    pool: Pool | None = None
    after: Block = ()
    result: str = "acc"


@dataclass(frozen=True)
class Contract:
    """Matrix product or convolution, a register block at a time.

    ``y[n, oy, ox, o] = sum over ky, kx, c of x[n, oy, ox; ky, kx, c] * w[panel(o), ky, kx, c, o]``
    with every stride an argument. The weights ``w`` are packed in panels, or read ``in_place``:
    channels side by side, strides along the sums. ``turned``: columns of ``x`` lie side by side,
    and what is summed over has a stride. ``cuts`` lists loops of the sum (``kys``, ``kxs``,
    ``run``) that are left in parts, from the outermost on: each image is the sum of one part.

    ``tail`` says what happens where the columns are no multiple of the block: ``"overlap"``
    computes the last block again further left, ``"single"`` finishes column by column. ``masked``:
    the last panel has fewer channels than the block. ``fixed`` sizes are structure: so short a sum
    is unrolled. ``stretched`` names the loop of so long a sum that it is made of shorter ones;
    ``carried``: of so many that what rounding takes from one is added to the next.
    ``streamed``: the weights are too many for the work; the next panel's are asked for in time.
    ``far`` lists operands (``x``, ``w``) whose rows along the sum are asked for in time.
    ``clipped``: rows of the window that lie above or below the image are left out.
    ``unrolled``: steps of the innermost loop written out. ``prefetched``: packed weights are asked
    for ahead of their use, though not ``streamed``.
    """

    block: RegisterBlock
    tail: str
    masked: bool
    epilogue: Epilogue
    bias: bool
    fixed: tuple[tuple[str, int], ...] = ()
    stretched: str = ""
    carried: bool = False
    streamed: bool = False
    in_place: bool = False
    turned: bool = False
    cuts: tuple[str, ...] = ()
    far: tuple[str, ...] = ()
    clipped: bool = False
    unrolled: int = 1
    prefetched: bool = True


# Elements between the end of what is transformed for one place and the start of the next: places
# a multiple of 4 KB apart would evict each other.
PLACES_APART = 16


@dataclass(frozen=True)
class Winograd:
    """Convolution of 3 x 3 windows by transformed tiles (``ops/winograd.py``).

    At most ``tiles`` of them are transformed at a time, wherever they lie: 16 matrices
    ``v[place][tile, channel]``, each of which a matrix ``w[place][channel, filter]`` is multiplied
    with. ``block`` says how much of a product is held in registers: tiles are its columns. The
    products of a tile are led back to 2 x 2 results, to which the epilogue applies. Where one of
    them is not finite, all four are summed from the kernel ``taps[ky, kx, channel, filter]``.

    ``v`` and the products ``m`` are scratch.

    ``in_place``: filters of ``w`` lie side by side, else in panels. ``masked``: the last panel has
    fewer filters than the block. ``overlapping``: results are odd in number, so that the last tile
    lies over the one before, whose results stand.
    """

    block: RegisterBlock
    tiles: int
    masked: bool
    overlapping: bool
    epilogue: Epilogue
    bias: bool
    in_place: bool


@dataclass(frozen=True)
class WinogradSum:
    """The gradient of a transformed kernel: a sum over tiles, at each of 16 places.

    ``y[part, place, channel, filter] = sum over tiles of v[place][tile, channel] * d[place][tile,
    filter]``: of pixels and gradients transformed, at most ``tiles`` at a time, in scratch. Images
    are cut in even parts. Columns of ``block`` are channels, of which it divides the number.
    """

    block: RegisterBlock
    tiles: int


@dataclass(frozen=True)
class WinogradKernel:
    """The gradient of a kernel from that of its transform, at all 3 x 3 places.

    Where one of them is not finite, they are summed from images ``x`` and gradients ``g``.
    ``masked``: filters are no whole number of vectors.
    """

    masked: bool


@dataclass(frozen=True)
class Slide:
    """A window over channels-last images, one filter (or none) a channel: depthwise, pooling.

    ``combine`` "dot" reads a border of zeros around the image and holds ``columns`` outputs of a
    row at a time; ``width``, ``stride`` and ``dilation`` along the row are fixed because the code
    is unrolled over them. "maximum" and "mean" stay inside the image, whatever the window.
    """

    combine: str
    masked: bool
    epilogue: Epilogue
    bias: bool
    columns: int = 1
    width: int = 0
    stride: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class WindowSum:
    """Filters of one channel each, as sums over positions: the gradient of depthwise filters.

    ``y[part, ky, kx, c] = sum over n, oy, ox of x[n, oy + ky, ox + kx, c] * g[n, oy, ox, c]`` for
    the images and lines of a part. ``rows`` of the window are summed at once, over ``columns``
    positions of a line at a time; ``width``, ``stride`` and ``dilation`` are fixed as in ``Slide``.
    """

    masked: bool
    rows: int
    columns: int
    width: int
    stride: int
    dilation: int


@dataclass(frozen=True)
class Unpool:
    """The gradient of pooling, by the image: "maximum" or "mean", a vector of channels at a time.

    Windows of ``rows`` x ``columns`` that tile the image are done each at once. With 0 rows they
    may overlap: sums grow in the rows of the image that windows still reach, and are finished after
    that.
    """

    combine: str
    masked: bool
    epilogue: Epilogue
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Turn:
    """Copies ``y[i0, i1, i2, col, row] = x[i0, i1, i2, row, col]``: columns become rows.

    Rows of ``x`` and columns of ``y`` are contiguous, the other strides are arguments.
    """


@dataclass(frozen=True)
class Scatter:
    """Rows added to the rows of zeros that integers name: what picks rows, led back.

    ``by_table``: there are several tables, for the same integers. ``row`` says how long rows are:
    ``"one"`` element, a ``"whole"`` number of vectors, or any, ``"masked"``; or any, of a type that
    vectors do not hold, ``"scalar"``. ``from_end``: integers below 0 count from the end. What none
    of a table's rows is meant by is left out.
    """

    by_table: bool
    row: str
    dtype: DType
    from_end: bool


@dataclass(frozen=True)
class Border:
    """Fills the border around images of channels with ``value``."""

    value: float


@dataclass(frozen=True)
class Panels:
    """Packs a matrix computed at run time as a contraction's weights (``layout.Packing``)."""


Body: TypeAlias = (
    Nest
    | Contract
    | Winograd
    | WinogradSum
    | WinogradKernel
    | Slide
    | Unpool
    | Scatter
    | WindowSum
    | Turn
    | Border
    | Panels
)


@dataclass(frozen=True)
class Kernel:
    """A named body and the order of its arguments; equal kernels are compiled once."""

    name: str
    params: tuple[Param, ...]
    body: Body
