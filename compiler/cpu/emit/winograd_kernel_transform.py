"""Emits ``WinogradKernelTransform`` kernels: a kernel's gradient from that of its transform."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ...ops.winograd import SEEN, WINDOW
from ..arguments import WinogradKernelTransformArguments
from ..bodies import WinogradKernelTransform
from .winograd import both_ways, if_not_finite
from .writer import Writer

ARG = WinogradKernelTransformArguments[str, str].names()

TAPS = [(ky, kx) for ky in range(WINDOW[0]) for kx in range(WINDOW[1])]


def emit_winograd_kernel_transform(
    writer: Writer, kernel: Kernel, body: WinogradKernelTransform
) -> None:
    """Writes the kernel; each thread takes a contiguous share of (channel, vector of filters)."""
    writer.unpack(kernel.params)
    writer.line(f"units = {ARG.run} * {ARG.vectors}")
    half = writer.constant(0.5, FLOAT32, True)

    def kernels(p0: str, p1: str, p2: str, p3: str) -> tuple[str, ...]:
        """``G'`` times a column."""
        both = f"({p1} + {p2}) * {half}"
        return f"{p0} + {both}", f"({p1} - {p2}) * {half}", f"{both} + {p3}"

    def place(writer: Writer, row: int, column: int) -> str:
        return _load(writer, body, ARG.p, f"pi + {row * SEEN + column} * {ARG.p_place}")

    with writer.units():
        writer.line(f"c = unit // {ARG.vectors}")
        writer.line(f"o = unit % {ARG.vectors} * {writer.lanes}")
        if body.masked:
            writer.line(f"m0 = {writer.call('first', f'{ARG.channels} - o')}")
        writer.line(f"pi = c * {ARG.p_run} + o")
        names = [f"a{ky}_{kx}" for ky, kx in TAPS]
        for name, text in zip(names, both_ways(writer, SEEN, place, kernels), strict=True):
            writer.line(f"{name} = {text}")
        with if_not_finite(writer, names):
            _sum_directly(writer, body)
        for ky, kx in TAPS:
            index = f"c * {ARG.y_run} + o + {ky} * {ARG.y_ky} + {kx} * {ARG.y_kx}"
            if body.masked:
                writer.line(writer.call("store_masked", ARG.y, index, f"a{ky}_{kx}", "m0"))
            else:
                writer.line(writer.call("store", ARG.y, index, f"a{ky}_{kx}"))


def _sum_directly(writer: Writer, body: WinogradKernelTransform) -> None:
    """Sums over all positions of all images, each line of them a sum of its own."""
    zero = writer.constant(0.0, FLOAT32, True)
    for ky, kx in TAPS:
        writer.line(f"a{ky}_{kx} = {zero}")
    with (
        writer.block(f"for n in range({ARG.images}):"),
        writer.block(f"for r in range({ARG.rows}):"),
    ):
        writer.line(f"xi = n * {ARG.x_image} + r * {ARG.x_row} + c")
        writer.line(f"gi = n * {ARG.g_image} + r * {ARG.g_row} + o")
        for ky, kx in TAPS:
            writer.line(f"d{ky}_{kx} = {zero}")
        with writer.block(f"for col in range({ARG.cols}):"):
            writer.line(f"cotangent = {_load(writer, body, ARG.g, 'gi')}")
            for ky, kx in TAPS:
                index = f"xi + {ky} * {ARG.x_row} + {kx} * {ARG.x_col}"
                pixel = writer.call("load_splat", ARG.x, index)
                writer.line(f"d{ky}_{kx} = {writer.call('fma', pixel, 'cotangent', f'd{ky}_{kx}')}")
            writer.line(f"xi += {ARG.x_col}")
            writer.line(f"gi += {ARG.g_col}")
        for ky, kx in TAPS:
            writer.line(f"a{ky}_{kx} = a{ky}_{kx} + d{ky}_{kx}")


def _load(writer: Writer, body: WinogradKernelTransform, pointer: str, index: str) -> str:
    if body.masked:
        return writer.call("load_masked", pointer, index, "m0")
    return writer.call("load", pointer, index)
