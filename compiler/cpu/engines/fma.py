"""Multiply-add of float32 vectors, which every machine has: register blocks and their cost.

The model counts cycles of the innermost step: two multiply-adds a cycle and as many loads as a core
has ports, a latency of four and a little, and micro-operations, of which a core starts only so
many. Columns that lie apart are addressed by a register each; those for which none is left are
loaded at every step. The work wasted where the block does not divide the output is added. With 32
registers and six micro-operations a cycle it finds the 14 x 2 block of dense layers and the row
blocks that pooling needs; with four a cycle, 6 x 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ....runtime.cpu.host import Host
from ...decisions import Refusal
from ...engine import Convolution
from ...ir.types import FLOAT32, DType
from ..blocking import BlockEngine, Extent, batch_block
from ..bodies import RegisterBlock

FMA_PER_CYCLE = 2
# Four, and a little: chains that just cover it never all find a port free. A step of 1x4x2 takes
# 4.3 cycles on Zen 3; on 3 x 3 pixels 3x3x1 blocks are 12 % faster than 1x3x2.
FMA_LATENCY = 4.4
# Of the micro-operations that a core can start, those it does in a loop of multiply-adds and loads:
# 2.65 of four a cycle on Cascade Lake, whatever the block.
STARTED = 0.66
LOOP_OPERATIONS = 3  # counter, compare, pointer updates of one innermost step
POINTERS = 10  # of 16 registers: those that are left for the addresses of columns
LOOP_CYCLES = 0.5  # counter, compare, pointer updates of one innermost step
STEP_OVERHEAD = 12.0  # entering a block: addresses, loop set-up, per kernel row
ROW_CYCLES = 0.4  # addresses of another row
MASKED = 1.08  # the last panel's loads and stores leave out the channels that there are not
OVERLAP = 1.03  # a row's last block shares cache lines with the one before
NEAR_BYTES = 24 * 1024  # weights of one panel that stay in the first-level cache
FAR_CYCLES = 0.15  # a vector of weights from further away
PANEL_BYTES = 640 * 1024  # weights of one panel that stay in a core's cache
SHORT_DEPTH = 32  # windows of so few products are unrolled, see ``_is_short``
SHORT_ACCUMULATORS = 8
STORE_CYCLES = 1.5  # epilogue and store of one accumulator


@dataclass(frozen=True, kw_only=True)
class Fma(BlockEngine):
    """One multiply-add a lane and instruction."""

    name: str = "fma"
    kinds: frozenset[str] = frozenset({"matmul", "transposed_matmul", "conv2d"})
    operand: DType = FLOAT32
    accumulator: DType = FLOAT32

    @property
    def unrolled(self) -> int:
        """Two steps where a core starts few micro-operations, if nothing else was measured."""
        return self.machine.unrolled or (2 if _is_narrow(self.machine) else 1)

    @property
    def prefetches(self) -> bool:
        """Not where that takes the place of multiply-adds, unless it was measured."""
        measured = self.machine.prefetches
        return not _is_narrow(self.machine) if measured is None else measured

    def is_short(self, extent: Extent) -> bool:
        return _is_short(extent)

    def blocks(self, extent: Extent) -> Iterator[RegisterBlock]:
        found = False
        for block in _candidates(extent, self.machine.vector_registers):
            found = True
            yield block
        if not found:
            yield RegisterBlock(extent.row_unit, extent.column_unit, 1)

    def cost(self, block: RegisterBlock, extent: Extent) -> float:
        return _cycles(block, extent, self)

    def refusal(self, convolution: Convolution) -> Refusal | None:
        return None

    def work(self, convolution: Convolution) -> float:
        rows, columns = convolution.known_places
        products = convolution.rows_seen(rows) * columns * convolution.window[1]
        return float(products * convolution.channels * self.vectors(convolution.filters))


def _is_short(extent: Extent) -> bool:
    """Whether a window's sum is unrolled: neighbours then share the inputs they both see.

    Those take registers too, so few accumulators are faster than many (390 against 170 GFLOP/s on
    the 3x3 window of a grey image).
    """
    return extent.sweeps > 1 and extent.depth <= SHORT_DEPTH


def _candidates(extent: Extent, registers: int) -> Iterator[RegisterBlock]:
    for vectors in (1, 2, 3, 4):
        for rows in range(extent.row_unit, 5, extent.row_unit):
            if extent.rows is None and rows > extent.row_unit:
                continue
            if extent.rows is not None and rows > max(extent.rows, extent.row_unit):
                continue
            for columns in _column_counts(extent, registers):
                block = RegisterBlock(rows, columns, vectors)
                # One for the operand, and one more: with none to spare LLVM spills an accumulator,
                # and each step waits for the store of the one before (43 against 75 GFLOP/s).
                if block.accumulators + vectors + 2 > registers:
                    break
                if extent.columns is not None and columns > extent.columns:
                    break
                if _is_short(extent) and block.accumulators > SHORT_ACCUMULATORS:
                    break
                yield block


def _column_counts(extent: Extent, registers: int) -> range:
    """Where the columns are a batch nobody knows yet, a size that small batches divide."""
    if extent.columns is None:
        size = max(1, batch_block(registers) // extent.column_unit) * extent.column_unit
        return range(size, size + 1)
    return range(extent.column_unit, 29, extent.column_unit)


def _is_narrow(machine: Host) -> bool:
    """Whether counters, pointers and prefetches take the place of multiply-adds."""
    return machine.issue_width <= 4


def _cycles(block: RegisterBlock, extent: Extent, engine: Fma) -> float:
    """Estimated cycles for one image of the extent."""
    machine, lanes = engine.machine, engine.lanes
    pixels = block.rows * block.columns
    loads = (pixels + block.vectors) / machine.load_ports
    step = max(
        block.accumulators / FMA_PER_CYCLE,
        loads + _reloaded(block, extent) / machine.load_ports,
        FMA_LATENCY,
        _micro_operations(block, extent, engine) / (STARTED * machine.issue_width),
    )
    step += LOOP_CYCLES
    # Broadcasts and multiply-adds share ports now and then: loads are not quite free.
    step += 0.15 * loads + ROW_CYCLES * (block.rows - 1)
    panel_bytes = extent.depth * block.vectors * lanes * 4
    if panel_bytes > PANEL_BYTES:
        step *= 1.15  # the panel is read from the shared cache for every block
    elif panel_bytes > NEAR_BYTES:
        step += FAR_CYCLES * block.vectors
    one = extent.depth * step + extent.sweeps * STEP_OVERHEAD + block.accumulators * STORE_CYCLES
    panels = -(-extent.channels // (block.vectors * lanes))
    if extent.channels % (block.vectors * lanes):
        one *= MASKED
    rows, columns = extent.rows or 56, extent.columns or 56
    if columns % block.columns:
        one *= OVERLAP
    return one * panels * -(-rows // block.rows) * -(-columns // block.columns)


def _micro_operations(block: RegisterBlock, extent: Extent, engine: Fma) -> float:
    """Those of one innermost step."""
    loads = block.rows * block.columns + block.vectors + _reloaded(block, extent)
    ahead = block.vectors if engine.prefetches else 0
    return block.accumulators + loads + ahead + LOOP_OPERATIONS / engine.unrolled


def _reloaded(block: RegisterBlock, extent: Extent) -> int:
    """Addresses of columns that no register is left for."""
    if extent.adjacent or _is_short(extent):
        return 0
    return max(0, block.rows * block.columns - POINTERS)
