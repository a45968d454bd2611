"""Chooses engine and register block of a contraction: what multiplies, and how much at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from ...runtime.cpu.host import Host
from ..decisions import Refusal
from ..engine import Engine, engines_for
from ..ir.types import FLOAT32, DType
from .bodies import RegisterBlock
from .packing import Panels


@dataclass(frozen=True)
class Extent:
    """The output a block has to cover; ``rows``/``columns`` None where unknown at compile time."""

    rows: int | None
    columns: int | None
    channels: int
    depth: int
    sweeps: int = 1
    row_unit: int = 1
    column_unit: int = 1
    adjacent: bool = False  # the columns of ``x`` lie side by side, at one address
    gates: int = 1  # equal stretches of the channels that a block has the same units of
    divided: bool = False  # blocks have to divide the columns: none may be computed twice
    in_place: bool = False  # the weights are read where they lie, not packed
    dtype: DType = FLOAT32  # of what is multiplied


@dataclass(frozen=True, kw_only=True)
class BlockEngine(Engine):
    """An engine of a CPU: a block of the output lies in vector registers while it is summed."""

    machine: Host

    def takes(self, extent: Extent) -> bool:
        """Whether it computes such a contraction at all: neighbours along sums are to lie so."""
        run = extent.depth // extent.sweeps
        return self.interleave == 1 or (not extent.in_place and run % self.interleave == 0)

    @abstractmethod
    def blocks(self, extent: Extent) -> Iterator[RegisterBlock]:
        """The blocks that its registers have room for: at least one."""

    @abstractmethod
    def gates_refusal(self, channels: int, depth: int, gates: int) -> Refusal | None:
        """Why blocks have no accumulator for each of so many gates, of all ``channels``."""

    @abstractmethod
    def cost(self, block: RegisterBlock, extent: Extent) -> float:
        """Cycles of one image, estimated; comparable among all engines of a machine."""

    def is_short(self, extent: Extent) -> bool:
        """Whether the loops of so short a sum are written out."""
        return False

    @property
    def unrolled(self) -> int:
        """Steps of a sum written out in its loop."""
        return 1

    @property
    def prefetches(self) -> bool:
        """Whether packed weights are asked for ahead."""
        return False

    def prefetches_in(self, block: RegisterBlock, gates: int) -> bool:
        """The same, in a kernel of such blocks."""
        return self.prefetches

    @property
    def lanes(self) -> int:
        """Accumulators of a vector."""
        return self.machine.lanes * FLOAT32.itemsize // self.accumulator.itemsize

    def vectors(self, channels: int) -> int:
        """That so many channels take."""
        return -(-channels // self.lanes)


@dataclass(frozen=True)
class Choice:
    """What computes a contraction: an engine, and a block of its."""

    engine: BlockEngine
    block: RegisterBlock

    @property
    def width(self) -> int:
        """Channels of a block."""
        return self.block.vectors * self.engine.lanes

    def packing(self, groups: int = 1, batch_axes: int = 0, gates: int = 1) -> Panels:
        """Weights in the order in which the engine streams them."""
        return Panels(self.width, groups, batch_axes, gates, self.engine.interleave)


@cache
def choose(kind: str, extent: Extent, engines: tuple[BlockEngine, ...]) -> Choice | None:
    """The cheapest block of all engines; None where none computes such a contraction.

    ``kind`` is that of ``ir.kinds.Contraction``. Of equal cost are wide blocks better, and engines
    that come first.
    """
    able = [each for each in engines_for(kind, extent.dtype, engines) if each.takes(extent)]
    choices = [Choice(engine, block) for engine in able for block in engine.blocks(extent)]

    def cost(choice: Choice) -> tuple[float, int]:
        return choice.engine.cost(choice.block, extent), -choice.block.columns

    return min(choices, key=cost, default=None)


def batch_block(registers: int) -> int:
    """Columns a block where their number is a batch of unknown size."""
    return registers // 4
