"""Winograd's F(2x2, 3x3): fewer multiply-adds, of tiles transformed before and after.

The tiles are multiplied as matrices, in blocks like those of any other product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...decisions import Refusal
from ...engine import Convolution
from ...ops.winograd import PLACES, TILE, WINDOW
from ..blocking import Extent
from ..bodies import WINOGRAD, RegisterBlock
from .fma import Fma

# Cycles of a tile, a vector of channels each: to transform its pixels, and its results.
PIXEL_CYCLES, RESULT_CYCLES = 64, 48
USUAL_IMAGES = 8  # that a transformed kernel serves, where weights change with every call
MOST_CHANNELS = 512  # the transformed pixels of some tiles are to fit in a core's cache: 1 MB
MOST_VECTORS = 3  # of filters, in a sum over tiles
LOAD = 1e-3  # of a multiply-add: loads tell between blocks that waste as much


@dataclass(frozen=True, kw_only=True)
class Winograd(Fma):
    """Convolutions of 3 x 3 windows, and the gradients of their transformed kernels."""

    name: str = WINOGRAD
    kinds: frozenset[str] = frozenset({"winograd_conv2d"})

    def blocks(self, extent: Extent) -> Iterator[RegisterBlock]:
        """In a sum over tiles, columns are channels; of those, as many as registers hold."""
        if not extent.divided:
            yield from super().blocks(extent)
            return
        assert extent.columns is not None, "kernels have known channels"
        for vectors in range(1, MOST_VECTORS + 1):
            most = (self.machine.vector_registers - vectors - 1) // vectors
            columns = max(n for n in range(1, most + 1) if extent.columns % n == 0)
            yield RegisterBlock(1, columns, vectors)

    def cost(self, block: RegisterBlock, extent: Extent) -> float:
        """In a sum over tiles, multiply-adds of all filters, those there are not among them."""
        if not extent.divided:
            return super().cost(block, extent)
        panels = -(-self.vectors(extent.channels) // block.vectors)
        loads = (block.columns + block.vectors) / block.accumulators
        return panels * block.vectors * (1 + LOAD * loads)

    def refusal(self, convolution: Convolution) -> Refusal | None:
        channels, places = convolution.channels, convolution.known_places
        if len(places) < len(convolution.places):
            return "UNKNOWN_SIZE", "the size of the images is known at a call only"
        if min(places) < TILE:
            return "SMALL", f"a tile has {TILE} x {TILE} results"
        if channels % self.lanes or channels > MOST_CHANNELS:
            most = f"a multiple of {self.lanes} up to {MOST_CHANNELS}"
            return "CHANNELS", f"{channels}, where {most} is needed"
        return None

    def work(self, convolution: Convolution) -> float:
        """Transforms of pixels and results cost additions, which many channels share."""
        rows, columns = convolution.known_places
        channels = convolution.channels
        seen, made = channels / self.lanes, self.vectors(convolution.filters)
        tiles = -(-rows // TILE) * -(-columns // TILE)
        tile = PLACES * channels * made + PIXEL_CYCLES * seen + RESULT_CYCLES * made
        kernel = (WINDOW[0] * WINDOW[1] + 2) * PLACES * seen * made
        return float(tiles * tile + kernel / USUAL_IMAGES)
