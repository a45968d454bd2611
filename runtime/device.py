"""What a device is: memory, kernels, and programs made ready to run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .arrays import aligned_array
from .kernels import LoadedKernel
from .program import Program


class Memory(ABC):
    """Memory of a device that holds an array, whose shape and dtype stay.

    Attributes:
        address: where it lies, as the device's kernels see it; the same for life.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    address: int

    @abstractmethod
    def read(self) -> np.ndarray:
        """The value on the host, read-only: the memory itself if the host sees it, else a copy.

        Waits for runs that write it.
        """

    @abstractmethod
    def write(self, value: np.ndarray) -> None:
        """Copies a value in: of this shape, or one that is broadcast to it, cast to this dtype."""

    @abstractmethod
    def clear(self) -> None:
        """Sets every element to 0."""


class HostMemory(Memory):
    """An aligned array of NumPy, of zeros at first."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self._array = aligned_array(shape, dtype)
        self._seen = self._array.view()
        self._seen.setflags(write=False)
        self.address: int = self._array.ctypes.data

    def read(self) -> np.ndarray:
        return self._seen

    def write(self, value: np.ndarray) -> None:
        self._array[...] = value

    def clear(self) -> None:
        self._array.fill(0)


class Buffer:
    """A value that programs update in place: a weight under training, a seed, a metric's sum.

    It lies on the host until a program that updates it is loaded, then on that program's device,
    whose memory is the only copy: reading fetches it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._host = HostMemory(shape, dtype)
        self._memory: Memory = self._host
        self._device: Device | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._memory.shape

    @property
    def dtype(self) -> np.dtype:
        return self._memory.dtype

    def read(self) -> np.ndarray:
        """The value on the host, read-only: the memory itself if the host sees it, else a copy."""
        return self._memory.read()

    def write(self, value: np.ndarray) -> None:
        """Sets the value: of this shape, or one that is broadcast to it, cast to this dtype."""
        self._memory.write(value)

    def clear(self) -> None:
        """Sets every element to 0."""
        self._memory.clear()

    def place(self, device: Device) -> Memory:
        """Its memory on ``device``, where it stays from now on.

        Raises:
            ValueError: it is updated on another device already.
        """
        if self._device is None:
            self._memory, self._device = device.adopt(self._host), device
        if self._device is not device:
            raise ValueError(
                f"expected a value that programs on {device.name!r} alone update; it is updated on "
                f"{self._device.name!r} already. Compile all programs that update it for one device"
            )
        return self._memory


class Prepared(ABC):
    """A program bound to sizes, with memory of its own; runs must not overlap.

    Attributes:
        shapes: of the outputs.
        sizes: what the symbolic sizes are.
        rows: of each row that ``timed`` times, the row of the program.
    """

    shapes: tuple[tuple[int, ...], ...]
    sizes: Mapping[str, int]
    rows: Sequence[int]

    @abstractmethod
    def run(self, callers: Sequence[int]) -> None:
        """Runs the program; the outputs are written when it returns.

        ``callers`` are the addresses on the host of the inputs, then of the outputs: contiguous
        arrays of the dtypes and shapes that the program has for these sizes.
        """

    @abstractmethod
    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        """The same, where it was prepared to be profiled: the nanoseconds of each of ``rows``.

        That is what a row adds to the time of the run, whichever threads do it. Rows in a tile,
        through which threads go each at its own pace, have the mean of what threads spend on them.
        Tiles and loops include their bodies.
        """


class Assembler(Protocol):
    """What makes instructions of kernels' texts, for people who read them.

    Attributes:
        suffix: of files of such instructions.
        comment: what begins a comment in them.
    """

    suffix: str
    comment: str

    @property
    def model(self) -> str:
        """What the hardware calls itself that the instructions are for."""

    def assembly(self, source: str) -> str:
        """The instructions that a kernel's text compiles to."""


class Device(ABC):
    """What programs for some targets run on; one object a process.

    Attributes:
        name: the kind, with which the names of its targets begin: ``"cpu"``.
        suffix, comment: of instructions, see ``Assembler``.
    """

    name: str
    suffix = ".s"
    comment = "#"

    @property
    @abstractmethod
    def model(self) -> str:
        """What the hardware calls itself."""

    @property
    @abstractmethod
    def targets(self) -> tuple[str, ...]:
        """The targets whose programs it runs."""

    @abstractmethod
    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> Memory:
        """Zeros."""

    def adopt(self, memory: HostMemory) -> Memory:
        """Memory of this device with the value of what lies on the host; perhaps itself."""
        own = self.allocate(memory.shape, memory.dtype)
        own.write(memory.read())
        return own

    @abstractmethod
    def load(self, sources: Sequence[str]) -> tuple[LoadedKernel, ...]:
        """The kernels that these texts define, compiled where they were not yet.

        Raises:
            KernelError: a text defines no kernel.
        """

    @abstractmethod
    def assembly(self, source: str) -> str:
        """The machine instructions that a kernel's text compiles to, for people who tune."""

    @abstractmethod
    def prepare(
        self,
        program: Program,
        kernels: Sequence[LoadedKernel],
        memory: Mapping[int, Memory],
        sizes: Mapping[str, int],
        threads: int,
        profile: bool = False,
    ) -> Prepared:
        """The program made ready for these sizes.

        Args:
            kernels: of the program, in its order, as loaded.
            memory: of the slots that stay from call to call: prepared weights and state.
            threads: how many threads of the host may take part.
            profile: whether ``timed`` will be asked for.

        Raises:
            ValueError: the program makes no sense for these sizes.
        """


class HostDevice(Device):
    """A device whose memory is the host's."""

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> HostMemory:
        return HostMemory(shape, dtype)

    def adopt(self, memory: HostMemory) -> HostMemory:
        return memory
