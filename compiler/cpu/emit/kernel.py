"""The CPU emitter: a kernel of the dialect to the text of a Python module for Numba."""

from __future__ import annotations

from functools import cache

from ...loops.kernel import Kernel, Nest
from ..bodies import (
    Contract,
    DepthwiseKernelGradient,
    HaloFill,
    Pack,
    PoolingGradient,
    Scatter,
    SlidingWindow,
    Transpose,
    Winograd,
    WinogradKernelGradient,
    WinogradKernelTransform,
)
from .contract import emit_contract
from .depthwise_kernel_gradient import emit_depthwise_kernel_gradient
from .halo_fill import emit_halo_fill
from .nest import emit_nest
from .pack import emit_pack
from .pooling_gradient import emit_pooling_gradient
from .scatter import emit_scatter
from .transpose import emit_transpose
from .window import emit_window
from .winograd import emit_winograd
from .winograd_kernel_gradient import emit_winograd_kernel_gradient
from .winograd_kernel_transform import emit_winograd_kernel_transform
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
        case WinogradKernelTransform() as body:
            emit_winograd_kernel_transform(writer, kernel, body)
        case WinogradKernelGradient() as body:
            emit_winograd_kernel_gradient(writer, kernel, body)
        case SlidingWindow() as body:
            emit_window(writer, kernel, body)
        case Scatter() as body:
            emit_scatter(writer, kernel, body)
        case PoolingGradient() as body:
            emit_pooling_gradient(writer, kernel, body)
        case DepthwiseKernelGradient() as body:
            emit_depthwise_kernel_gradient(writer, kernel, body)
        case Transpose() as body:
            emit_transpose(writer, kernel, body)
        case HaloFill() as body:
            emit_halo_fill(writer, kernel, body)
        case Pack() as body:
            emit_pack(writer, kernel, body)
        case Nest() as body:
            emit_nest(writer, kernel, body)
    return writer.module(kernel)
