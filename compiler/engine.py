"""Engines: what multiplies on a target. How a contraction is computed is a choice among them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .decisions import Refusal
from .ir.types import DType, Shape, Size


@dataclass(frozen=True)
class Convolution:
    """A convolution in steps of one, or the gradient of its kernel, as an engine judges it.

    Attributes:
        dtype: of what is multiplied.
        window: rows and columns of the kernel.
        places: rows and columns of the results, or of the gradient that is read.
        channels, filters: what a kernel has of each.
        above, height: rows of padding above the images, and rows of these; None where rows of
            zeros are multiplied as well.
    """

    dtype: DType
    window: tuple[int, int]
    places: Shape
    channels: int
    filters: int
    above: Size = 0
    height: Size | None = None

    @property
    def known_places(self) -> tuple[int, ...]:
        """Those of ``places`` that are known when compiling."""
        return tuple(size for size in self.places if isinstance(size, int))

    def rows_seen(self, rows: int) -> int:
        """Rows of windows in a column of so many results, but for those outside of the image."""
        window, above, height = self.window[0], self.above, self.height
        if not isinstance(above, int) or not isinstance(height, int):
            return rows * window
        spans = ((max(0, row - above), min(height, row - above + window)) for row in range(rows))
        return sum(stop - first for first, stop in spans)


@dataclass(frozen=True, kw_only=True)
class Engine(ABC):
    """A way to multiply that a target has: a base class, whose subclasses know block and cost.

    Attributes:
        name: as kernels and reports tell it.
        kinds: the contractions that it computes, by ``ir.kinds.Contraction.kind``.
        operand: the dtype of what it multiplies.
        accumulator: the dtype of what it adds up.
        interleave: how many neighbours along a sum lie side by side in packed weights.
    """

    name: str
    kinds: frozenset[str]
    operand: DType
    accumulator: DType
    interleave: int = 1

    @abstractmethod
    def refusal(self, convolution: Convolution) -> Refusal | None:
        """Why this is none of its convolutions; None where it is one."""

    @abstractmethod
    def work(self, convolution: Convolution) -> float:
        """Cycles of an image, on a core that multiplies one vector in each: comparable."""


AnyEngine = TypeVar("AnyEngine", bound=Engine)


def engines_for(kind: str, dtype: DType, engines: Sequence[AnyEngine]) -> tuple[AnyEngine, ...]:
    """Those that compute contractions of this kind, of operands of this dtype."""
    return tuple(each for each in engines if kind in each.kinds and each.operand == dtype)


def multiplied(engines: Sequence[Engine]) -> frozenset[DType]:
    """The dtypes that kernels of heavy ops compute: those that an engine multiplies."""
    return frozenset(each.operand for each in engines)


def least_work(kind: str, convolution: Convolution, engines: Sequence[Engine]) -> float:
    """That of the best engine which computes such contractions; infinite where there is none."""
    able = engines_for(kind, convolution.dtype, engines)
    fit = (engine for engine in able if engine.refusal(convolution) is None)
    return min((engine.work(convolution) for engine in fit), default=math.inf)
