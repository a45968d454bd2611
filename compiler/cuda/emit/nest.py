"""Emits ``GridNest`` kernels: elementwise chains, reductions, normalisations, data movement.

A thread, a warp or a block computes a result, or a row of them. Warps and blocks share each sweep:
their threads go through it side by side, and then add up what each of them found, always in the
same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...ir.types import FLOAT32
from ...loops.kernel import Accumulate, Axis, Kernel, Nest, Stage
from ...loops.scalar_place import ScalarPlace, read_numbers
from ..bodies import GridNest
from ..machine import WARP
from .writer import Writer


def emit_nest(writer: Writer, kernel: Kernel, body: GridNest) -> None:
    """Writes the kernel: units are the elements of the parallel axes."""
    writer.unpack(kernel.params)
    read_numbers(writer, body.nest)
    _NestEmitter(writer, body.nest, body.worker).emit()


class _NestEmitter:
    """Writes the loop over units, and in each its stages."""

    def __init__(self, writer: Writer, nest: Nest, worker: str) -> None:
        self.writer = writer
        self.nest = nest
        self.worker = worker
        self.place = ScalarPlace(writer)

    def emit(self) -> None:
        writer, axes = self.writer, self.nest.parallel
        writer.line(f"units = {' * '.join(axis.extent for axis in axes) or 1}")
        if self.worker != "thread":
            index = writer.call("thread_index")
            writer.line(f"lane = {index}{f' % {WARP}' if self.worker == 'warp' else ''}")
        with writer.units(self.worker):
            writer.decode("unit", _pairs(axes))
            for stage in self.nest.stages:
                self._stage(stage)

    def _stage(self, stage: Stage) -> None:
        self._sweep(stage)
        for load in stage.after_loads:
            self.place.load(load)
        self.place.block(stage.after)
        if not stage.after_stores:
            return
        if self.worker == "thread":
            self._store_after(stage)
            return
        with self.writer.block("if lane == 0:"):
            self._store_after(stage)

    def _store_after(self, stage: Stage) -> None:
        for store in stage.after_stores:
            self.place.store(store)

    # Sweeps

    def _sweep(self, stage: Stage) -> None:
        if not (stage.loads or stage.block or stage.accumulate or stage.stores):
            return
        if not self.nest.reduce:
            self.place.visit(stage, self._accumulate)
            return
        for accumulate in stage.accumulate:
            self._start(accumulate)
        with self._reduce_loop():
            self.place.visit(stage, self._accumulate)
        for accumulate in stage.accumulate:
            self._finish(accumulate)

    @contextmanager
    def _reduce_loop(self) -> Iterator[None]:
        """The loops over the reduction axes; a warp or block goes through them as one."""
        writer, axes = self.writer, self.nest.reduce
        if self.worker != "thread":
            step = WARP if self.worker == "warp" else writer.threads
            total = " * ".join(axis.extent for axis in axes)
            name = axes[0].name if len(axes) == 1 else "term"
            with writer.block(f"for {name} in range(lane, {total}, {step}):"):
                if len(axes) > 1:
                    writer.decode("term", _pairs(axes))
                yield
            return
        with self._nested(axes):
            yield

    @contextmanager
    def _nested(self, axes: tuple[Axis, ...]) -> Iterator[None]:
        if not axes:
            yield
            return
        with (
            self.writer.block(f"for {axes[0].name} in range({axes[0].extent}):"),
            self._nested(axes[1:]),
        ):
            yield

    # Accumulators

    def _start(self, accumulate: Accumulate) -> None:
        value = self.writer.constant(accumulate.initial, accumulate.dtype)
        self.writer.line(f"{accumulate.name} = {value}")
        if self._is_exact(accumulate):
            self.writer.line(f"{accumulate.name}_lost = {value}")

    def _accumulate(self, accumulate: Accumulate) -> None:
        name, value = accumulate.name, self.place.names[accumulate.value]
        if self._is_exact(accumulate):
            error = self.writer.call("sum_error", name, value)
            self.writer.line(f"{name}_lost = {name}_lost + {error}")
        self.writer.line(f"{name} = {self.writer.combined(accumulate, name, value)}")

    def _is_exact(self, accumulate: Accumulate) -> bool:
        """Whether what rounding takes from a sum is summed too: one thread adds up many terms."""
        is_sum = accumulate.combine == "add" and accumulate.dtype == FLOAT32
        return is_sum and self.nest.blocked_sum

    def _finish(self, accumulate: Accumulate) -> None:
        name, writer = accumulate.name, self.writer
        self.place.names[name] = name
        if self._is_exact(accumulate):
            writer.line(f"{name} = {name} + {name}_lost")
        if self.worker == "thread":
            return
        distance = WARP // 2
        while distance:
            other = writer.call("shuffle_xor", name, str(distance))
            writer.line(f"{name} = {writer.combined(accumulate, name, other)}")
            distance //= 2
        if self.worker == "block":
            self._across_warps(accumulate)

    def _across_warps(self, accumulate: Accumulate) -> None:
        """Combines what the warps of a block found, in shared memory."""
        name, writer = accumulate.name, self.writer
        warps = writer.threads // WARP
        shared = f"{name}_of"
        writer.line(f"{shared} = {writer.call(f'shared_{accumulate.dtype.short}', str(warps))}")
        with writer.block(f"if lane % {WARP} == 0:"):
            writer.line(writer.call("put", shared, f"lane // {WARP}", name))
        writer.line(writer.call("barrier"))
        writer.line(f"{name} = {writer.call('get', shared, '0')}")
        for warp in range(1, warps):
            other = writer.call("get", shared, str(warp))
            writer.line(f"{name} = {writer.combined(accumulate, name, other)}")
        writer.line(writer.call("barrier"))


def _pairs(axes: tuple[Axis, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((axis.name, axis.extent) for axis in axes)
