"""The CPU's toolchain: Numba and LLVM, and what decides the machine code they make."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

from ..cache import Kernels
from ..kernels import Toolchain
from ..native.machine_code import load_object
from ..native.sources import NATIVE, fingerprint
from .host import host

# What the texts of kernels import, and what that imports; a test holds the list against them.
LAYER = (
    *NATIVE,
    "cpu/atomics.py",
    "cpu/kernel_compiler.py",
    "cpu/simd.py",
    "cpu/table_layout.py",
    "native/simd_operators.py",
)


class CpuToolchain(Toolchain):
    """What is on disk loads without Numba, which takes most of a second to import."""

    @property
    def fingerprint(self) -> bytes:
        return _fingerprint()

    def compile(self, source: str, path: Path, symbol: str) -> bytes:
        machine_code: bytes = _compiler().compile_text(source, path, symbol)
        return machine_code

    def load(self, machine_code: bytes, symbol: str) -> int:
        return load_object(machine_code, symbol)

    def assembly(self, source: str, path: Path) -> str:
        text: str = _compiler().assembly(source, path)
        return text


@cache
def _fingerprint() -> bytes:
    machine = host()
    parts = (machine.cpu_name, *sorted(machine.features), str(machine.lanes), machine.versions)
    return fingerprint(parts, LAYER)


def _compiler() -> Any:
    """The module that brings Numba."""
    return importlib.import_module(".kernel_compiler", __package__)


KERNELS = Kernels(CpuToolchain())
"""All kernels of this process's CPU: generated ones, and those of the runtime itself."""
