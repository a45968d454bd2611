"""Emits ``Pack`` kernels: a matrix in the order in which contractions stream it."""

from __future__ import annotations

from ...loops.kernel import Kernel
from ..arguments import PackArguments
from ..bodies import Pack
from .writer import Writer

ARG = PackArguments[str, str].names()


def emit_pack(writer: Writer, kernel: Kernel, body: Pack) -> None:
    """Writes the kernel; each thread takes a contiguous share of the panels."""
    writer.unpack(kernel.params)
    writer.line(f"panels = ({ARG.channels} + {ARG.width} - 1) // {ARG.width}")
    writer.line(f"units = {ARG.batch} * {ARG.groups} * panels")
    with writer.units():
        writer.line("panel = unit % panels")
        writer.line("matrix = unit // panels")
        writer.line(f"row = {ARG.groups} * {ARG.channels}")
        start = f"matrix // {ARG.groups} * {ARG.depth} * row"
        writer.line(f"xi = {start} + matrix % {ARG.groups} * {ARG.channels}")
        writer.line(f"xi += panel * {ARG.width}")
        writer.line(f"yi = unit * {ARG.depth} * {ARG.width}")
        with writer.block(f"for k in range({ARG.depth}):"):
            with writer.block(f"for j in range(0, {ARG.width}, {writer.lanes}):"):
                mask = writer.call("first", f"{ARG.channels} - panel * {ARG.width} - j")
                value = writer.call("load_masked", ARG.x, "xi + j", mask)
                writer.line(writer.call("store", ARG.y, "yi + j", value))
            writer.line("xi += row")
            writer.line(f"yi += {ARG.width}")
