"""The files that machine code of kernels is made of, and a digest of those: part of their keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

RUNTIME = Path(__file__).parent.parent
# What the texts of kernels for all devices import, and what that imports; a test holds the list
# against them. Each device's toolchain adds its own.
NATIVE = (
    "config.py",
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
    "native/simd_random.py",
    "native/simd_types.py",
    "native/stacks.py",
    "native/vecmath.py",
    "native/vecmath_division.py",
    "native/vecmath_emit.py",
    "threefry.py",
)


def fingerprint(parts: Iterable[str], files: Iterable[str]) -> bytes:
    """A digest of ``parts`` and of what is in ``files``, named from the runtime's folder."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name in files:
        with open(f"{RUNTIME}/{name}", "rb", buffering=0) as file:
            digest.update(name.encode() + b"\0" + file.read() + b"\0")
    return digest.digest()
