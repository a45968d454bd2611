"""Emits ``WinogradKernel`` kernels: the gradient of a kernel from that of its transform."""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ...ops.winograd import SEEN, WINDOW
from ..bodies import WinogradKernel
from .winograd import both_ways, if_not_finite
from .writer import Writer

TAPS = [(ky, kx) for ky in range(WINDOW[0]) for kx in range(WINDOW[1])]


def emit_winograd_kernel(writer: Writer, kernel: Kernel, body: WinogradKernel) -> None:
    """Writes the kernel; each thread takes a contiguous share of (channel, vector of filters)."""
    writer.unpack(kernel.params)
    writer.line("units = run * vectors")
    half = writer.constant(0.5, FLOAT32, True)

    def kernels(p0: str, p1: str, p2: str, p3: str) -> tuple[str, ...]:
        """``G'`` times a column."""
        both = f"({p1} + {p2}) * {half}"
        return f"{p0} + {both}", f"({p1} - {p2}) * {half}", f"{both} + {p3}"

    def place(writer: Writer, row: int, column: int) -> str:
        return _load(writer, body, "p", f"pi + {row * SEEN + column} * p_place")

    with writer.units():
        writer.line("c = unit // vectors")
        writer.line(f"o = unit % vectors * {writer.lanes}")
        if body.masked:
            writer.line(f"m0 = {writer.call('first', 'channels - o')}")
        writer.line("pi = c * p_run + o")
        names = [f"a{ky}_{kx}" for ky, kx in TAPS]
        for name, text in zip(names, both_ways(writer, SEEN, place, kernels), strict=True):
            writer.line(f"{name} = {text}")
        with if_not_finite(writer, names):
            _sum_directly(writer, body)
        for ky, kx in TAPS:
            index = f"c * y_run + o + {ky} * y_ky + {kx} * y_kx"
            if body.masked:
                writer.line(writer.call("store_masked", "y", index, f"a{ky}_{kx}", "m0"))
            else:
                writer.line(writer.call("store", "y", index, f"a{ky}_{kx}"))


def _sum_directly(writer: Writer, body: WinogradKernel) -> None:
    """Sums over all positions of all images, each line of them a sum of its own."""
    zero = writer.constant(0.0, FLOAT32, True)
    for ky, kx in TAPS:
        writer.line(f"a{ky}_{kx} = {zero}")
    with writer.block("for n in range(images):"), writer.block("for r in range(rows):"):
        writer.line("xi = n * x_image + r * x_row + c")
        writer.line("gi = n * g_image + r * g_row + o")
        for ky, kx in TAPS:
            writer.line(f"d{ky}_{kx} = {zero}")
        with writer.block("for col in range(cols):"):
            writer.line(f"slope = {_load(writer, body, 'g', 'gi')}")
            for ky, kx in TAPS:
                pixel = writer.call("load_splat", "x", f"xi + {ky} * x_row + {kx} * x_col")
                writer.line(f"d{ky}_{kx} = {writer.call('fma', pixel, 'slope', f'd{ky}_{kx}')}")
            writer.line("xi += x_col")
            writer.line("gi += g_col")
        for ky, kx in TAPS:
            writer.line(f"a{ky}_{kx} = a{ky}_{kx} + d{ky}_{kx}")


def _load(writer: Writer, body: WinogradKernel, pointer: str, index: str) -> str:
    if body.masked:
        return writer.call("load_masked", pointer, index, "m0")
    return writer.call("load", pointer, index)
