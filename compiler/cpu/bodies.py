"""Bodies of the heavy ops' kernels on CPUs: blocks of vector registers.

As in all kernels, sizes, strides and addresses are arguments; what is fixed here is structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.types import FLOAT32, DType
from ..loops.kernel import Body, Epilogue


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
class Contract(Body):
    """Matrix product or convolution, a register block at a time.

    ``y[n, oy, ox, o] = sum over ky, kx, c of x[n, oy, ox; ky, kx, c] * w[panel(o), ky, kx, c, o]``
    with every stride an argument. The weights ``w`` are packed in panels, or read ``in_place``:
    channels side by side, strides along the sums. ``repacked``: rows ``in_place`` are copied to a
    panel in scratch, once for all blocks of an image. ``transposed``: columns of ``x`` are
    contiguous, and the axis that is summed over has a stride. ``splits`` lists the loops of the sum
    (``kys``, ``kxs``, ``run``) that are split (split-K), from the outermost on: each image is one
    partial sum.

    ``tail`` says what happens where the columns are no multiple of the block: ``"overlap"``
    computes the last block again further left, ``"single"`` finishes column by column. ``masked``:
    the last panel has fewer channels than the block. ``fixed`` sizes are structure: so short a sum
    is unrolled. ``blocked_sum`` names the loop in which a long sum is blocked; ``carried``: the
    rounding error of each block is added to the next (compensated summation). ``prefetch_panels``:
    there are many weights for little work, so the next panel's are prefetched. ``prefetch_rows``
    lists operands (``x``, ``w``) whose rows along the sum are prefetched. ``clipped``: rows of the
    window above or below the image are skipped. ``unrolled``: how often the innermost loop is
    unrolled. ``prefetch_weights``: packed weights are prefetched within their panel, unless
    ``prefetch_panels``. ``engine`` names what adds up the products, in ``accumulator``.

    Where the epilogue has several accumulators, a block, and a panel, holds the same units of each
    gate: vectors of the first gate, as many of the second, and so on.
    """

    block: RegisterBlock
    tail: str
    masked: bool
    epilogue: Epilogue
    bias: bool
    fixed: tuple[tuple[str, int], ...] = ()
    blocked_sum: str = ""
    carried: bool = False
    prefetch_panels: bool = False
    in_place: bool = False
    repacked: bool = False
    transposed: bool = False
    splits: tuple[str, ...] = ()
    prefetch_rows: tuple[str, ...] = ()
    clipped: bool = False
    unrolled: int = 1
    prefetch_weights: bool = True
    engine: str = "fma"
    accumulator: DType = FLOAT32

    @property
    def is_strided(self) -> bool:
        """Whether a block reads weights that lie apart along its sum."""
        return self.in_place and not self.repacked

    @property
    def multiplier(self) -> str:
        return self.engine


# Elements between the end of what is transformed for one place and the start of the next: places
# a multiple of 4 KB apart would evict each other.
PLACES_APART = 16
WINOGRAD = "winograd"  # the engine of this name


@dataclass(frozen=True)
class Winograd(Body):
    """Convolution of 3 x 3 windows by transformed tiles (``ops/winograd.py``).

    At most ``tiles`` of them are transformed at a time, wherever they lie: 16 matrices
    ``v[place][tile, channel]``, each of which a matrix ``w[place][channel, filter]`` is multiplied
    with. ``block`` says how much of a product is held in registers: tiles are its columns. The
    inverse transform of a tile's products gives 2 x 2 results, to which the epilogue applies. Where
    one of them is not finite, all four are summed from the kernel ``taps[ky, kx, channel,
    filter]``.

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

    @property
    def multiplier(self) -> str:
        return WINOGRAD


@dataclass(frozen=True)
class WinogradKernelGradient(Body):
    """The gradient of a transformed kernel: a sum over tiles, at each of 16 places.

    ``y[split, place, channel, filter] = sum over tiles of v[place][tile, channel] * d[place][tile,
    filter]``: of pixels and gradients transformed, at most ``tiles`` at a time, in scratch. Images
    are split evenly. Columns of ``block`` are channels, of which it divides the number.
    """

    block: RegisterBlock
    tiles: int

    @property
    def multiplier(self) -> str:
        return WINOGRAD


@dataclass(frozen=True)
class WinogradKernelTransform(Body):
    """The gradient of a kernel from that of its transform, at all 3 x 3 places.

    Where one of them is not finite, they are summed from images ``x`` and gradients ``g``.
    ``masked``: filters are no whole number of vectors.
    """

    masked: bool


@dataclass(frozen=True)
class SlidingWindow(Body):
    """A window over channels-last images, one filter (or none) a channel: depthwise, pooling.

    ``combine`` "dot" reads a halo of zeros around the image and holds ``columns`` outputs of a
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
class DepthwiseKernelGradient(Body):
    """Filters of one channel each, as sums over positions: the gradient of depthwise filters.

    ``y[split, ky, kx, c] = sum over n, oy, ox of x[n, oy + ky, ox + kx, c] * g[n, oy, ox, c]`` for
    the images and lines of a split. ``rows`` of the window are summed at once, over ``columns``
    positions of a line at a time; ``width``, ``stride`` and ``dilation`` are fixed as in
    ``SlidingWindow``.
    """

    masked: bool
    rows: int
    columns: int
    width: int
    stride: int
    dilation: int


@dataclass(frozen=True)
class PoolingGradient(Body):
    """The gradient of pooling, by the image: "maximum" or "mean", a vector of channels at a time.

    Windows of ``rows`` x ``columns`` that tile the image are computed one at a time. With 0 rows
    they may overlap: gradients accumulate in the rows of the image that windows still reach, and
    are finished after that.
    """

    combine: str
    masked: bool
    epilogue: Epilogue
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Transpose(Body):
    """Copies ``y[i0, i1, i2, col, row] = x[i0, i1, i2, row, col]``: columns become rows.

    Rows of ``x`` and columns of ``y`` are contiguous, the other strides are arguments.
    """


@dataclass(frozen=True)
class Scatter(Body):
    """Adds rows to the rows of zeros that integers name: the gradient of a gather.

    ``by_table``: there are several tables, for the same integers. ``row`` says how long rows are:
    ``"one"`` element, a ``"whole"`` number of vectors, or any, ``"masked"``; or any, of a type that
    vectors do not hold, ``"scalar"``. ``from_end``: integers below 0 count from the end. Integers
    out of range are skipped.
    """

    by_table: bool
    row: str
    dtype: DType
    from_end: bool


@dataclass(frozen=True)
class HaloFill(Body):
    """Fills the halo around images of channels with ``value``."""

    value: float

    @property
    def fills_halo(self) -> bool:
        return True


@dataclass(frozen=True)
class Pack(Body):
    """Packs a matrix computed at run time as a contraction's weights (``packing.Panels``)."""

    gates: int = 1
    interleave: int = 1
