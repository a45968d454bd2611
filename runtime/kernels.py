"""A kernel in this process, and what makes one of a text: a device's compiler and loader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


class KernelError(RuntimeError):
    """A kernel cannot be compiled or loaded."""


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel in this process.

    Attributes:
        address: what its device launches it by: on a CPU, of its C function
            `(args*, thread, threads)`. Valid as long as the process.
        path: the generated Python text.
        cached: nothing had to be compiled.
        seconds: what loading took the first time.
    """

    address: int
    path: Path
    key: str
    cached: bool
    seconds: float


class Toolchain(ABC):
    """Compiles and loads the kernels of one kind of device."""

    @property
    @abstractmethod
    def fingerprint(self) -> bytes:
        """Everything but a kernel's text that decides its machine code."""

    @abstractmethod
    def compile(self, source: str, path: Path, symbol: str) -> bytes:
        """Machine code that defines `symbol`.

        Args:
            source: the text of a module in which `kernel` is a function marked by `kernel_jit`.
            path: where the text is kept, for messages and debuggers.

        Raises:
            KernelError: the text defines no kernel, or one that needs the Python runtime.
        """

    @abstractmethod
    def load(self, machine_code: bytes, symbol: str) -> int:
        """The address of `symbol` after loading `machine_code`.

        Raises:
            KernelError: it is no machine code of this device, or does not define `symbol`.
        """

    @abstractmethod
    def assembly(self, source: str, path: Path) -> str:
        """The machine instructions of a kernel, for people who tune."""
