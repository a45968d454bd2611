"""Kernels from a few lines of text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keraunos.runtime.config import config
from keraunos.runtime.cpu.toolchain import KERNELS

HEADER = """
from numba import float32, float64
from keraunos.runtime.cpu.simd import *
from keraunos.runtime.cpu.atomics import claim, claim_seat
from keraunos.runtime.native import vecmath
from keraunos.runtime.native.vecmath import *

@kernel_jit
def kernel(args, thread, threads):
"""


def kernel_source(body: str) -> str:
    return HEADER + "\n".join("    " + line for line in body.strip("\n").split("\n")) + "\n"


@pytest.fixture(scope="session")
def run_kernel() -> Callable[..., None]:
    """`run(body, *arguments)`: a kernel of these lines on arrays (as addresses) and integers."""

    def run(body: str, *arguments: Any) -> None:
        words = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
        args = np.array(words, np.int64)
        kernel = KERNELS.load(kernel_source(body))
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        prototype(kernel.address)(args.ctypes.data, 0, 1)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for kernels that nothing is in, not even the folder itself."""
    with config.update(cache_dir=tmp_path / "kernels"):
        yield tmp_path / "kernels"
