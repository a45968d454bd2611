"""Where the elements of a value lie in memory, and the arguments of launches that say so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ...runtime.forks import cached_property
from ...runtime.program import Grid, Scratch
from ..ir.kinds import (
    Concatenation,
    Elementwise,
    FromIndex,
    Gather,
    Interleaving,
    Movement,
    Reduction,
)
from ..ir.types import Size, TensorType
from .kernel import Kernel


@dataclass(frozen=True)
class Layout:
    """Row-major, with a halo of ``halo[axis] = (before, after)`` elements around the value.

    But slices along the axis ``outermost`` follow one another, each row-major. A ``kept`` value is
    read many times before it changes: by many calls, or all steps of a loop.
    """

    type: TensorType
    halo: tuple[tuple[Size, Size], ...] = ()
    kept: bool = False
    outermost: int = 0

    @cached_property
    def padded_shape(self) -> tuple[Size, ...]:
        halo = self.halo or ((0, 0),) * self.type.rank
        return tuple(n + a + b for n, (a, b) in zip(self.type.shape, halo, strict=True))

    @cached_property
    def strides(self) -> tuple[Size, ...]:
        """Elements between neighbours along each axis."""
        axes = list(range(self.type.rank))
        if self.outermost:
            axes.insert(0, axes.pop(self.outermost))
        strides: dict[int, Size] = {}
        step: Size = 1
        for axis in reversed(axes):
            strides[axis] = step
            step = step * self.padded_shape[axis]
        return tuple(strides[axis] for axis in range(self.type.rank))

    @property
    def origin(self) -> Size:
        """Elements from the start of the memory to the first element of the value."""
        if not self.halo:
            return 0
        total: Size = 0
        for (before, _), stride in zip(self.halo, self.strides, strict=True):
            total = total + before * stride
        return total

    @property
    def elements(self) -> Size:
        total: Size = 1
        for size in self.padded_shape:
            total = total * size
        return total

    @property
    def bytes(self) -> Size:
        return self.elements * self.type.dtype.itemsize

    @property
    def has_halo(self) -> bool:
        """Whether there are gaps between pixels' rows or images (not only between pixels)."""
        return any(a != 0 or b != 0 for a, b in self.halo[:-1])


@dataclass(frozen=True)
class StridedView:
    """A strided view of a wider value: a type of its own, with the strides of the wide one."""

    type: TensorType
    strides: tuple[Size, ...]
    origin: Size
    kept: bool = False

    @property
    def has_halo(self) -> bool:
        """False: the rest of the wider value lies around it."""
        return False


Placed: TypeAlias = "Layout | StridedView"

# Their kernels read all operands as strided views, whatever the strides are.
READ_STRIDED = (Concatenation, Elementwise, FromIndex, Gather, Interleaving, Movement, Reduction)


def at_index(whole: Placed, axis: int) -> StridedView:
    """What lies at index 0 along ``axis``; the others follow at ``whole.strides[axis]``."""
    shape, strides = whole.type.shape, whole.strides
    type_ = whole.type.with_shape((*shape[:axis], *shape[axis + 1 :]))
    return StridedView(type_, (*strides[:axis], *strides[axis + 1 :]), whole.origin)


def are_even(layout: Placed, first: int, last: int) -> bool:
    """Whether the axes from ``first`` to ``last`` can be walked as one."""
    shape, strides = layout.type.shape, layout.strides
    # Along an axis of one element nothing is walked: those around it follow one another.
    axes = [*(axis for axis in range(first, last) if shape[axis] != 1), last]
    return all(strides[a] == strides[b] * shape[b] for a, b in pairwise(axes))


class Packing(ABC):
    """The order in which a kernel wants an operand, where it is another than that of its axes."""

    @abstractmethod
    def elements(self, type_: TensorType) -> Size:
        """Elements of the packed array of a value of ``type_``."""

    @abstractmethod
    def pack(self, array: np.ndarray) -> np.ndarray:
        """A weight, packed once before all calls."""

    @abstractmethod
    def launch(self, source: Layout) -> Launch:
        """The launch that packs what is computed at run time: from slot 0 to slot 1."""


@dataclass(frozen=True)
class Address:
    """The address of a group's operand (``index`` counts operands, then results) plus elements.

    A ``seldom`` read operand counts for no cache: one for results that are not finite, or a table
    of which indices pick a few rows.
    """

    index: int
    offset: Size = 0
    packing: Packing | None = None
    seldom: bool = False


# Float32 elements: rows a multiple of 2 KB apart evict each other, a cache line more keeps them.
CONFLICTING = 512
CACHE_LINE = 16

Argument: TypeAlias = "Address | Scratch | Size"


@dataclass(frozen=True)
class Launch:
    """A kernel and its arguments. ``flops`` and ``bytes`` are what the launch costs.

    It has a ``grid`` where the target's machines ask for one.
    """

    kernel: Kernel
    args: tuple[Argument, ...]
    flops: Size
    bytes: Size
    grid: Grid | None = None
