"""Bodies of kernels on GPUs: what a thread, a warp or a block of threads computes.

As in all kernels, sizes, strides and addresses are arguments; what is fixed here is structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.types import DType
from ..loops.kernel import Body, Epilogue, Nest
from .machine import THREADS


@dataclass(frozen=True)
class GridNest(Body):
    """A ``Nest`` on a grid.

    ``worker`` says what computes a result, and shares its sweeps: a ``"thread"``, whose neighbours
    compute the neighbours along the innermost axis, a ``"warp"``, or a ``"block"``.
    """

    nest: Nest
    worker: str


@dataclass(frozen=True)
class Tile:
    """What a block of threads computes: ``rows`` x ``columns`` results, ``depth`` products a step.

    A step's operands lie in shared memory. Each thread has ``own`` x ``own`` of the results in
    registers: groups of four neighbours along both axes.
    """

    rows: int
    columns: int
    depth: int
    own: int

    @property
    def threads(self) -> int:
        return self.rows * self.columns // self.own**2

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}x{self.depth}"


@dataclass(frozen=True)
class GridContract(Body):
    """Matrix product, convolution or gradient of a kernel, a result a thread or a tile a block.

    ``y[i, row, col, o] = sum over ky, kx, c of x[i, row * stride_y + ky * step_y - top, col *
    stride_x + kx * step_x - left, c] * w[ky, kx, c, o]``, with every stride an argument. Where
    images are ``padded``, what lies outside of them is left out. Of a gradient of a kernel, ``i``
    are channels, ``row`` and ``col`` a place of the window, and ``c`` images. ``split``: the sum
    over ``c`` is split (split-K), each batch is one partial sum. ``blocked_sum``: a long sum is
    computed in blocks (blocked summation), which rounds less.

    With a ``tile``, rows of the product are results of ``(i, row, col)``, the elements of a pooling
    window side by side, and columns are ``o``. ``gradient``: rows are ``(row, col, i)``.
    ``taps``: there are several ``ky, kx``. ``fours``: ``c`` come four at a time. ``across``:
    neighbours along rows are neighbours in ``x``, and not those along the sum.
    """

    epilogue: Epilogue
    bias: bool
    padded: bool
    split: bool
    blocked_sum: bool
    tile: Tile | None = None
    gradient: bool = False
    taps: bool = False
    fours: bool = False
    across: bool = False
    engine: str = "fma"

    @property
    def multiplier(self) -> str:
        return self.engine if self.tile is None else f"{self.engine} in tiles of {self.tile}"


@dataclass(frozen=True)
class GridWindow(Body):
    """A window over channels-last images, a result a thread: depthwise convolution, pooling.

    ``combine`` is ``"dot"``, with one filter a channel, ``"maximum"`` or ``"mean"``.
    """

    combine: str
    epilogue: Epilogue
    bias: bool


@dataclass(frozen=True)
class GridPoolingGradient(Body):
    """The gradient of pooling, "maximum" or "mean": an element of the image a thread.

    It collects what it receives from the windows that hold it, in their order.
    """

    combine: str
    epilogue: Epilogue


@dataclass(frozen=True)
class GridDepthwiseKernelGradient(Body):
    """Filters of one channel each, as sums over positions: a result a thread."""


@dataclass(frozen=True)
class GridScatter(Body):
    """Adds rows to the rows of zeros that integers name: an element of the result a thread.

    ``from_end``: integers below 0 count from the end. Integers out of range are skipped.
    """

    dtype: DType
    from_end: bool


def threads_of(body: Body) -> int:
    """Threads in a block of a kernel."""
    tile = body.tile if isinstance(body, GridContract) else None
    return THREADS if tile is None else tile.threads
