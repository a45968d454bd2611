"""The CPU emitter: a kernel of the dialect to the text of a Python module for Numba."""

from __future__ import annotations

from functools import cache

from ...loops.kernel import Kernel, Nest
from ..bodies import (
    Border,
    Contract,
    Pack,
    Scatter,
    Slide,
    Turn,
    Unpool,
    WindowSum,
    Winograd,
    WinogradKernel,
    WinogradSum,
)
from .border import emit_border
from .contract import emit_contract
from .nest import emit_nest
from .pack import emit_pack
from .scatter import emit_scatter
from .slide import emit_slide
from .turn import emit_turn
from .unpool import emit_unpool
from .window_sum import emit_window_sum
from .winograd import emit_winograd
from .winograd_kernel import emit_winograd_kernel
from .winograd_sum import emit_winograd_sum
from .writer import Writer


@cache
def emit(kernel: Kernel, lanes: int) -> str:
    """The source of ``kernel`` for vectors of so many float32; the same text for equal kernels."""
    writer = Writer(lanes)
    match kernel.body:
        case Contract() as body:
            emit_contract(writer, kernel, body)
        case Winograd() as body:
            emit_winograd(writer, kernel, body)
        case WinogradKernel() as body:
            emit_winograd_kernel(writer, kernel, body)
        case WinogradSum() as body:
            emit_winograd_sum(writer, kernel, body)
        case Slide() as body:
            emit_slide(writer, kernel, body)
        case Scatter() as body:
            emit_scatter(writer, kernel, body)
        case Unpool() as body:
            emit_unpool(writer, kernel, body)
        case WindowSum() as body:
            emit_window_sum(writer, kernel, body)
        case Turn() as body:
            emit_turn(writer, kernel, body)
        case Border() as body:
            emit_border(writer, kernel, body)
        case Pack() as body:
            emit_pack(writer, kernel, body)
        case Nest() as body:
            emit_nest(writer, kernel, body)
    return writer.module(kernel)
