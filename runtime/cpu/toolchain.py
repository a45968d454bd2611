"""The CPU's toolchain: Numba and LLVM, and what decides the machine code they make."""

from __future__ import annotations

import hashlib
import importlib
from functools import cache
from pathlib import Path
from typing import Any

from ..cache import Kernels
from ..kernels import Toolchain
from ..native.machine_code import load_object
from .host import host

RUNTIME = Path(__file__).parent.parent
# What the texts of kernels import, and what that imports; a test holds the list against them.
LAYER = (
    "config.py",
    "cpu/atomics.py",
    "cpu/kernel_compiler.py",
    "cpu/simd.py",
    "cpu/table_layout.py",
    "erf_inverse.py",
    "forks.py",
    "kernels.py",
    "native/features.py",
    "native/front_end.py",
    "native/machine_code.py",
    "native/simd_arithmetic.py",
    "native/simd_halves.py",
    "native/simd_lanes.py",
    "native/simd_memory.py",
    "native/simd_operators.py",
    "native/simd_random.py",
    "native/simd_types.py",
    "native/stacks.py",
    "native/vecmath.py",
    "native/vecmath_division.py",
    "native/vecmath_emit.py",
    "threefry.py",
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
    digest = hashlib.sha256()
    parts = (machine.cpu_name, *sorted(machine.features), str(machine.lanes), machine.versions)
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name in LAYER:
        with open(f"{RUNTIME}/{name}", "rb", buffering=0) as file:
            digest.update(name.encode() + b"\0" + file.read() + b"\0")
    return digest.digest()


def _compiler() -> Any:
    """The module that brings Numba."""
    return importlib.import_module(".kernel_compiler", __package__)


KERNELS = Kernels(CpuToolchain())
"""All kernels of this process's CPU: generated ones, and those of the runtime itself."""
