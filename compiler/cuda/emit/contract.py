"""Emits ``GridContract`` kernels: sums of products, a result a thread."""

from __future__ import annotations

from contextlib import ExitStack

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..arguments import GridContractArguments
from ..bodies import GridContract
from .epilogue import finish_element, read_channel
from .writer import Writer

ARG = GridContractArguments[str, str].names()
SUM_BLOCK = 128  # products of a block of a long sum


def emit_contract(writer: Writer, kernel: Kernel, body: GridContract) -> None:
    """Writes the kernel: neighbouring threads compute neighbouring channels."""
    writer.unpack(kernel.params)
    extents = (ARG.batches, ARG.images, ARG.rows, ARG.cols, f"({ARG.groups} * {ARG.channels})")
    names = ("batch", "plain", "oy", "ox", "channel")
    writer.line(f"units = {' * '.join(extents)}")
    with writer.units():
        writer.decode("unit", tuple(zip(names, extents, strict=True)))
        # Either there is one batch, or one image in each; partial sums are told apart by y_batch.
        writer.line("image = plain" if body.split else "image = batch + plain")
        x = f"batch * {ARG.x_batch} + plain * {ARG.x_image}"
        writer.line(f"x_start = {x} + channel // {ARG.channels} * {ARG.x_group}")
        writer.line(f"w_start = batch * {ARG.w_batch} + channel")
        if body.split:
            least = writer.call("minimum", ARG.run, f"{ARG.total} - batch * {ARG.run}")
            writer.line(f"steps = {least}")
        read_channel(writer, body.epilogue)
        start = f"batch * {ARG.y_batch} + " if body.split else ""
        accumulators = _accumulators(writer, body)
        finish_element(writer, body.epilogue, accumulators, ARG.epilogue, start)


def _accumulators(writer: Writer, body: GridContract) -> list[str]:
    """The sums of one result: for each place of a pooling window one."""
    if body.bias:
        writer.line(f"bias_value = {writer.call('get', ARG.epilogue.bias, 'channel')}")
    pool = body.epilogue.pool
    if pool is None:
        _sum(writer, body, "acc", "oy", "ox")
        return ["acc"]
    found = []
    for row in range(pool.rows):
        for col in range(pool.columns):
            found.append(f"acc_{row}_{col}")
            places = f"(oy * {pool.rows} + {row})", f"(ox * {pool.columns} + {col})"
            _sum(writer, body, found[-1], *places)
    return found


def _sum(writer: Writer, body: GridContract, name: str, row: str, col: str) -> None:
    zero = writer.constant(0.0, FLOAT32)
    writer.line(f"{name} = {'bias_value' if body.bias else zero}")
    if body.blocked_sum:
        writer.line(f"lost = {zero}")
    shift_y, shift_x = (f" - {ARG.top}", f" - {ARG.left}") if body.padded else ("", "")
    with ExitStack() as stack:
        for index, count, place, stride, step, shift, axis, size in (
            ("ky", ARG.kys, row, ARG.stride_y, ARG.step_y, shift_y, "iy", ARG.height),
            ("kx", ARG.kxs, col, ARG.stride_x, ARG.step_x, shift_x, "ix", ARG.breadth),
        ):
            stack.enter_context(writer.block(f"for {index} in range({count}):"))
            writer.line(f"{axis} = {place} * {stride} + {index} * {step}{shift}")
            if body.padded:
                stack.enter_context(writer.block(f"if 0 <= {axis} < {size}:"))
        writer.line(f"xi = x_start + iy * {ARG.x_line} + ix * {ARG.x_pixel}")
        writer.line(f"wi = w_start + ky * {ARG.w_ky} + kx * {ARG.w_kx}")
        _run(writer, body, name)
    if body.blocked_sum:
        writer.line(f"{name} = {name} + lost")


def _run(writer: Writer, body: GridContract, name: str) -> None:
    """The innermost loop; of a long sum in blocks, whose rounding errors are summed too."""
    steps = "steps" if body.split else ARG.run
    if not body.blocked_sum:
        with writer.block(f"for c in range({steps}):"):
            _multiply(writer, name)
        return
    with writer.block(f"for start in range(0, {steps}, {SUM_BLOCK}):"):
        writer.line(f"part = {writer.constant(0.0, FLOAT32)}")
        stop = writer.call("minimum", steps, f"start + {SUM_BLOCK}")
        with writer.block(f"for c in range(start, {stop}):"):
            _multiply(writer, "part")
        writer.line(f"lost = lost + {writer.call('sum_error', name, 'part')}")
        writer.line(f"{name} = {name} + part")


def _multiply(writer: Writer, name: str) -> None:
    x, w = writer.call("get", ARG.x, "xi"), writer.call("get", ARG.w, "wi")
    writer.line(f"{name} = {writer.call('fma', x, w, name)}")
    writer.line(f"xi += {ARG.x_run}")
    writer.line(f"wi += {ARG.w_run}")
