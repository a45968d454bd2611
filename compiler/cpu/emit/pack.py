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
        writer.line(f"xi += panel * {ARG.width}{_each(body)}")
        if body.interleave > 1:
            _interleaved(writer, kernel, body)
            return
        writer.line(f"yi = unit * {ARG.depth} * {ARG.width}")
        with writer.block(f"for k in range({ARG.depth}):"):
            for gate in range(body.gates):
                _gate(writer, body, gate)
            writer.line("xi += row")
            writer.line(f"yi += {ARG.width}")


def _gate(writer: Writer, body: Pack, gate: int) -> None:
    """A row of a panel: as many channels of one gate as of each."""
    each = _each(body)
    x, y = (
        ("", "")
        if gate == 0
        else (f" + {gate} * ({ARG.channels}{each})", f" + {gate} * ({ARG.width}{each})")
    )
    with writer.block(f"for j in range(0, {ARG.width}{each}, {writer.lanes}):"):
        mask = writer.call("first", f"{ARG.channels}{each} - panel * {ARG.width}{each} - j")
        value = writer.call("load_masked", ARG.x, f"xi + j{x}", mask)
        writer.line(writer.call("store", ARG.y, f"yi + j{y}", value))


def _interleaved(writer: Writer, kernel: Kernel, body: Pack) -> None:
    """A panel element by element: some rows side by side, the last ones filled up with zeros."""
    (dtype,) = {param.dtype for param in kernel.params if param.dtype is not None}
    zero, many, each = writer.constant(0, dtype, False), body.interleave, _each(body)
    writer.line(f"steps = ({ARG.depth} + {many - 1}) // {many}")
    writer.line(f"yi = unit * steps * {ARG.width} * {many}")
    with (
        writer.block(f"for k in range(steps * {many}):"),
        writer.block(f"for j in range({ARG.width}):"),
    ):
        writer.line(f"gate = j // ({ARG.width}{each})")
        writer.line(f"unit_at = j - gate * ({ARG.width}{each})")
        left = f"{ARG.channels}{each} - panel * ({ARG.width}{each})"
        writer.line(f"inside = k < {ARG.depth} and unit_at < {left}")
        value = writer.call("get", ARG.x, f"xi + k * row + gate * ({ARG.channels}{each}) + unit_at")
        writer.line(f"value = {value} if inside else {zero}")
        place = f"yi + (k // {many} * {ARG.width} + j) * {many} + k % {many}"
        writer.line(writer.call("put", ARG.y, place, f"{dtype.name}(value)"))


def _each(body: Pack) -> str:
    return f" // {body.gates}" if body.gates > 1 else ""
