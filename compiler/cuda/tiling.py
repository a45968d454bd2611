"""Tiles of products: how much a block of threads computes, by an estimate from the sizes."""

from __future__ import annotations

from ..durations import size_of
from ..ir.types import Size
from .bodies import Tile
from .machine import SAMPLES

# The largest first: more results a thread need fewer reads of shared memory for each product.
TILES = (Tile(128, 128, 8, 8), Tile(64, 64, 16, 4), Tile(32, 32, 8, 4))
ENOUGH = 132  # tiles that keep all multiprocessors busy
LEAST_DEPTH = 8  # products of a sum for which it is worth sharing operands
FULL = 0.5  # of a tile's rows and columns that have to be results


def choose_tile(rows: Size, columns: Size, depth: Size, window: int) -> Tile | None:
    """The largest tile that enough of fill a GPU; None where a result a thread is as good.

    A thread's neighbouring rows have to make a pooling ``window`` of so many.
    """
    height, width, length = (size_of(size, SAMPLES) for size in (rows, columns, depth))
    if window not in (1, 4) or length < LEAST_DEPTH:
        return None
    fitting = [t for t in TILES if min(height / t.rows, width / t.columns) >= FULL]
    busy = [t for t in fitting if -(-height // t.rows) * -(-width // t.columns) >= ENOUGH]
    return next(iter(busy), fitting[-1] if fitting else None)
