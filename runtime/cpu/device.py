"""The CPU as a device: its memory is the host's, and a program is a table that threads walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..device import HostDevice, Memory
from ..kernels import LoadedKernel
from ..program import HostRow, Program
from .binding import Binding
from .host import host
from .host_calls import CallingBinding
from .parallel_compilation import load_kernels
from .toolchain import KERNELS


class Cpu(HostDevice):
    """This machine's processor."""

    name = "cpu"

    @property
    def model(self) -> str:
        return host().cpu_name

    @property
    def targets(self) -> tuple[str, ...]:
        return (f"{self.name}:{host().vectors}",)

    def load(self, sources: Sequence[str]) -> tuple[LoadedKernel, ...]:
        return load_kernels(sources)

    def assembly(self, source: str) -> str:
        return KERNELS.assembly(source)

    def prepare(
        self,
        program: Program,
        kernels: Sequence[LoadedKernel],
        memory: Mapping[int, Memory],
        sizes: Mapping[str, int],
        threads: int,
        profile: bool = False,
    ) -> Binding:
        calls = any(isinstance(row, HostRow) for row in program.rows)
        return (CallingBinding if calls else Binding)(
            program,
            [kernel.address for kernel in kernels],
            {slot: each.address for slot, each in memory.items()},
            sizes,
            threads,
            profile,
        )


DEVICE = Cpu()
