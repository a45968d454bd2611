"""Grids of launches: a thread for each result, or a warp, or a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...runtime.program import Grid, Scratch
from ..ir.types import Size, product
from ..loops.kernel import Kernel, Nest
from ..loops.layout import Address, Launch
from .bodies import GridNest, threads_of
from .machine import WARP

# Terms of a reduction for which a warp, or a block, are worth it.
WARP_TERMS, BLOCK_TERMS = 32, 1024
SHUFFLED = frozenset({"float32", "float64", "int32", "int64"})  # dtypes that threads exchange


def with_grid(launch: Launch, units: Size, worker: str = "thread") -> Launch:
    """``launch`` on a grid with a thread, a warp or a block for each of ``units``."""
    threads = threads_of(launch.kernel.body)
    each = {"thread": 1, "warp": WARP, "block": threads}[worker]
    a_block = threads // each
    return replace(launch, grid=Grid((units + (a_block - 1)) // a_block, threads))


def on_grid(launch: Launch) -> Launch:
    """The launch of a nest on a grid: what computes a result depends on how many terms it has."""
    nest, kernel = launch.kernel.body, launch.kernel
    assert isinstance(nest, Nest), "other kernels are built with a grid"
    sizes = {
        param.name: value
        for param, value in zip(kernel.params, launch.args, strict=True)
        if not isinstance(value, (Address, Scratch))
    }
    terms = _extent([axis.extent for axis in nest.reduce], sizes)
    worker = _worker(nest, terms)
    body = GridNest(nest, worker)
    units = _extent([axis.extent for axis in nest.parallel], sizes)
    return with_grid(
        replace(launch, kernel=Kernel(kernel.name, kernel.params, body)), units, worker
    )


def _extent(names: list[str], sizes: Mapping[str, Size]) -> Size:
    return product(sizes[name] if name in sizes else int(name) for name in names)


def _worker(nest: Nest, terms: Size) -> str:
    """Threads side by side read what lies side by side: terms of one result, or of neighbours."""
    if not nest.reduce:
        return "thread"
    inner = max((*nest.reduce, *nest.parallel), key=lambda axis: int(axis.name[1:]))
    dtypes = {each.dtype.name for stage in nest.stages for each in stage.accumulate}
    if inner not in nest.reduce or not dtypes <= SHUFFLED:
        return "thread"
    if isinstance(terms, int) and terms < WARP_TERMS:
        return "thread"
    return "warp" if isinstance(terms, int) and terms < BLOCK_TERMS else "block"
