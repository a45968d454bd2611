"""The emitter for GPUs: a kernel of the dialect to the text of a Python module."""

from __future__ import annotations

from functools import cache

from ...loops.kernel import Kernel
from ..bodies import (
    GridContract,
    GridDepthwiseKernelGradient,
    GridNest,
    GridPoolingGradient,
    GridScatter,
    GridWindow,
    Tile,
    threads_of,
)
from .contract import emit_contract
from .nest import emit_nest
from .scatter import emit_scatter
from .tiles import emit_tiles
from .window import emit_depthwise_kernel_gradient, emit_pooling_gradient, emit_window
from .writer import Writer


@cache
def emit(kernel: Kernel) -> str:
    """The source of ``kernel``; the same text for equal kernels."""
    writer = Writer(threads_of(kernel.body))
    match kernel.body:
        case GridNest() as body:
            emit_nest(writer, kernel, body)
        case GridContract(tile=Tile() as tile) as body:
            emit_tiles(writer, kernel, body, tile)
        case GridContract() as body:
            emit_contract(writer, kernel, body)
        case GridWindow() as body:
            emit_window(writer, kernel, body)
        case GridPoolingGradient() as body:
            emit_pooling_gradient(writer, kernel, body)
        case GridDepthwiseKernelGradient() as body:
            emit_depthwise_kernel_gradient(writer, kernel, body)
        case GridScatter() as body:
            emit_scatter(writer, kernel, body)
    return writer.module(kernel)
