"""The emulator of GPUs as a device: its memory is the host's."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache

from ..device import HostDevice, Memory
from ..kernels import LoadedKernel
from ..program import Program
from .emulated import EmulatedProgram
from .emulator import Emulator
from .toolchain import KERNELS, NEWEST, ptx


class EmulatedGpu(HostDevice):
    """A GPU that is not there: kernels run thread by thread, and mistakes are reported.

    It is for reading, testing and developing kernels where there is no card; it is slow.
    """

    name = "cuda-emulated"
    suffix, comment = ".ptx", "//"

    @property
    def model(self) -> str:
        return f"an emulated GPU ({NEWEST})"

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.name,) if platform.machine() == "x86_64" else ()  # stacks are its own

    def load(self, sources: Sequence[str]) -> tuple[LoadedKernel, ...]:
        return tuple(map(KERNELS.load, sources))

    def assembly(self, source: str) -> str:
        """PTX, which is what a card would be given."""
        return ptx(source)

    def prepare(
        self,
        program: Program,
        kernels: Sequence[LoadedKernel],
        memory: Mapping[int, Memory],
        sizes: Mapping[str, int],
        threads: int,
        profile: bool = False,
    ) -> EmulatedProgram:
        return EmulatedProgram(emulator(), program, kernels, memory, sizes)


@cache
def emulator() -> Emulator:
    """The machine of this process, made when the first program is ready for it."""
    return Emulator()


DEVICE = EmulatedGpu()
