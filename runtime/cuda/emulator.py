"""A GPU in memory of this process: it runs the blocks of a launch, and says what is wrong in one.

Threads run one after another, on one core. What a launch may touch are the arrays that it is given;
see `machine_layout.MESSAGES` for what is found.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..arrays import aligned_array
from ..forks import Lock
from ..kernels import LoadedKernel
from . import machine_layout as layout
from .toolchain import KERNELS

STACK_BYTES = 64 * 1024
MOST_THREADS = 1024
INT64 = np.dtype(np.int64)


class EmulationError(RuntimeError):
    """A kernel does what on a GPU is wrong, or has no defined result."""


class Emulator:
    """Memory of a machine; launches come one after another, whoever makes them.

    Attributes:
        backwards: whether blocks, warps and lanes run in the opposite order. Kernels that depend on
            no order give the same bits.
    """

    def __init__(self) -> None:
        self.backwards = False
        self._lock = Lock()
        self._machine = np.zeros(layout.MACHINE_WORDS, INT64)
        self._threads = np.zeros((MOST_THREADS, layout.THREAD_WORDS), INT64)
        self._stacks = aligned_array((MOST_THREADS * STACK_BYTES,), np.dtype(np.uint8))
        self._shared = np.zeros((layout.MOST_SHARED + 1, layout.SHARED_WORDS), INT64)
        self._stamps = np.zeros(layout.MOST_STAMPS * layout.STAMP, INT64)
        own = (Path(__file__).with_name(name).read_text() for name in ("blocks.py", "accesses.py"))
        blocks, accesses = map(KERNELS.load, own)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(blocks.address)
        self._set(CONTEXTS=self._threads, STACKS=self._stacks)
        self._set(SHARED=self._shared, STAMPS=self._stamps)
        self._machine[layout.STACK_BYTES] = STACK_BYTES
        self._machine[layout.CHECK] = accesses.address

    def _set(self, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            self._machine[getattr(layout, name)] = array.ctypes.data

    def launch(
        self,
        kernel: LoadedKernel,
        words: np.ndarray,
        regions: Sequence[tuple[int, int]],
        blocks: int,
        threads: int,
    ) -> None:
        """Runs a kernel on ``words``, its arguments.

        Args:
            regions: first and last address of the memory that it may touch.

        Raises:
            EmulationError: what is wrong, and in which line, block and thread.
            ValueError: blocks have more threads than on any GPU.
        """
        if threads > MOST_THREADS:
            raise ValueError(f"expected up to {MOST_THREADS} threads a block; got {threads}")
        machine = self._machine
        with self._lock:
            ends = np.array(regions, INT64)
            self._set(REGIONS=ends)
            # Stamps of earlier launches are before its first epoch.
            for name, value in (
                *(("ARGS", words.ctypes.data), ("ENTRY", kernel.address), ("BLOCKS", blocks)),
                *(("THREADS", threads), ("BACKWARDS", self.backwards), ("SHARED_COUNT", 0)),
                *(("REGION_COUNT", len(regions)), ("LOW", 0), ("HIGH", 0), ("ERROR", 0)),
            ):
                machine[getattr(layout, name)] = value
            self._run(machine.ctypes.data)
            if machine[layout.ERROR]:
                raise EmulationError(self._complaint(kernel))

    def _complaint(self, kernel: LoadedKernel) -> str:
        machine = self._machine
        error, block = int(machine[layout.ERROR]), int(machine[layout.BLOCK])
        current = (int(machine[layout.CURRENT]) - self._threads.ctypes.data) // 8
        thread = self._threads[current // layout.THREAD_WORDS]
        line = int(thread[layout.LINE])
        text = kernel.path.read_text().splitlines()[line - 1].strip() if line else ""
        where = f"block {block}, thread {thread[layout.INDEX]}, {kernel.path}:{line}: {text}"
        return f"{layout.MESSAGES[error]}{self._detail(error)}; {where}"

    def _detail(self, error: int) -> str:
        machine = self._machine
        kind = "writes" if machine[layout.WRITES] else "reads"
        if error == layout.OUTSIDE:
            return f": it {kind} {machine[layout.BYTES]} bytes at {machine[layout.ADDRESS]:#x}"
        if error == layout.RACE:
            return f": it {kind} what thread {machine[layout.OTHER]} has touched"
        return ""
