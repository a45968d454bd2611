"""Instructions of this machine that functions of kernels are made of, and lanes of a vector."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import version

import llvmlite
import llvmlite.binding as llvm

from ..config import ConfigError

LANE_CHOICES = (4, 8, 16)


@cache
def features() -> frozenset[str]:
    """Of the processor, by LLVM's names (looked at once)."""
    return frozenset(name for name, on in llvm.get_host_cpu_features().items() if on)


@cache
def lanes() -> int:
    """Of float32 in a vector."""
    return forced_lanes(_native_lanes(features()), os.environ.get("KERAUNOS_LANES"))


def _native_lanes(names: frozenset[str]) -> int:
    if "avx512f" in names:
        return 16
    if {"avx2", "fma"} <= names:
        return 8
    return 4


def forced_lanes(native: int, wanted: str | None) -> int:
    """Lanes after KERAUNOS_LANES, which may only lower what the machine has."""
    if not wanted:
        return native
    choices = [lanes for lanes in LANE_CHOICES if lanes <= native]
    if wanted not in map(str, choices):
        raise ConfigError(f"KERAUNOS_LANES: expected one of {choices} here, got {wanted!r}")
    return int(wanted)


def versions() -> str:
    """Of what makes machine code of kernels."""
    llvm_version = ".".join(map(str, llvm.llvm_version_info))
    return (
        f"python {platform.python_version()}, numba {version('numba')}, "
        f"llvmlite {llvmlite.__version__}, llvm {llvm_version}"
    )
