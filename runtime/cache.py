"""Kernels from text, once per machine: `<cache_dir>/<key>.py` and `<key>.o` beside it.

The key covers the text, the CPU, the versions and the SIMD layer. Files are written to a temporary
name and renamed, so any number of processes may share a folder. Machine code carries a checksum
that names its kernel: a file that is damaged, or another's, is rebuilt. A kernel that is on disk
loads without Numba. Whose files are loaded is said in `trust.py`.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from .cache_files import entries, evict, remove, seal, unseal
from .cache_folders import cache_folder, is_stored, keep, reading, stored
from .config import config
from .cpu.host import host
from .cpu.machine_code import KernelError, load_object
from .forks import Lock, work

log = logging.getLogger(__name__)

RUNTIME = Path(__file__).parent
# What the texts of kernels import, and what that imports; a test holds the list against them.
LAYER = (
    "config.py",
    "cpu/atomics.py",
    "cpu/host.py",
    "cpu/kernel_compiler.py",
    "cpu/machine_code.py",
    "cpu/simd.py",
    "cpu/simd_arithmetic.py",
    "cpu/simd_halves.py",
    "cpu/simd_lanes.py",
    "cpu/simd_memory.py",
    "cpu/simd_operators.py",
    "cpu/simd_random.py",
    "cpu/simd_types.py",
    "cpu/stacks.py",
    "cpu/table_layout.py",
    "cpu/vecmath.py",
    "cpu/vecmath_division.py",
    "cpu/vecmath_emit.py",
    "erf_inverse.py",
    "forks.py",
    "threefry.py",
)


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel in this process.

    Attributes:
        address: of its C function `(args*, thread, threads)`; valid as long as the process.
        path: the generated Python text.
        cached: nothing had to be compiled.
        seconds: what loading took the first time.
    """

    address: int
    path: Path
    key: str
    cached: bool
    seconds: float


@dataclass(frozen=True)
class CacheInfo:
    """State of the kernel cache: kernels and bytes on disk, this process's hits and misses."""

    entries: int
    bytes: int
    dir: Path
    hits: int
    misses: int


class _State:
    """What this process has loaded."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.loaded: dict[str, LoadedKernel] = {}
        self.loading: dict[str, Lock] = {}
        self.hits = 0
        self.misses = 0


_state = _State()


@cache
def _fingerprint() -> bytes:
    """Everything but a kernel's text that decides its machine code."""
    machine = host()
    digest = hashlib.sha256()
    parts = (machine.cpu_name, *sorted(machine.features), str(machine.lanes), machine.versions)
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name in LAYER:
        with open(f"{RUNTIME}/{name}", "rb", buffering=0) as file:
            digest.update(name.encode() + b"\0" + file.read() + b"\0")
    return digest.digest()


def kernel_key(source: str) -> str:
    """The hexadecimal name of a kernel's files."""
    return hashlib.sha256(_fingerprint() + source.encode()).hexdigest()


def load_kernel(source: str) -> LoadedKernel:
    """Compile or fetch the kernel that `source` defines.

    Args:
        source: the text of a module in which `kernel` is a function marked by `kernel_jit`.

    Raises:
        KernelError: the text defines no kernel.
        numba.core.errors.NumbaError: the kernel does not compile.
    """
    key = kernel_key(source)
    with _state.lock:
        known = _known(key)
        if known is not None:
            return known
        turn = _state.loading.setdefault(key, Lock())
    with work, turn:
        with _state.lock:
            known = _known(key)
        return known if known is not None else _load_first(source, key)


def is_compiled(source: str) -> bool:
    """Whether `load_kernel` would find the kernel in this process or on disk."""
    key = kernel_key(source)
    return key in _state.loaded or is_stored(f"{key}.o")


def keep_text(source: str) -> Path:
    """The file with the text of a kernel, beside which its machine code will lie."""
    return _keep_text(kernel_key(source), source)


def _known(key: str) -> LoadedKernel | None:
    known = _state.loaded.get(key)
    _state.hits += known is not None
    return known


def _load_first(source: str, key: str) -> LoadedKernel:
    start = time.perf_counter()
    path = _keep_text(key, source)
    address = _from_disk(key)
    cached = address is not None
    if address is None:
        address = _build(source, key, path)
    kernel = LoadedKernel(address, path, key, cached, time.perf_counter() - start)
    with _state.lock:
        _state.loaded[key] = replace(kernel, cached=True, seconds=0.0)
        _state.loading.pop(key, None)
        _state.hits += cached
        _state.misses += not cached
    return kernel


def _compiler() -> Any:
    """The module `kernel_compiler`: it brings Numba, which what is on disk does not need."""
    return importlib.import_module(".cpu.kernel_compiler", __package__)


def kernel_assembly(source: str) -> str:
    """The machine instructions that `source` compiles to here, for people who tune kernels."""
    with work:
        text: str = _compiler().assembly(source, Path(f"{kernel_key(source)}.py"))
        return text


def _symbol(key: str) -> str:
    return f"keraunos_{key[:40]}"


def _keep_text(key: str, source: str) -> Path:
    """The file that holds the text."""
    text = source.encode()
    for path, content in stored(f"{key}.py"):
        if content == text:
            return path
        log.warning("kernel cache: %s was damaged and is written again", path)
    return keep(f"{key}.py", text)


def _from_disk(key: str) -> int | None:
    """The address of a kernel that some process has compiled, or None."""
    for path, content in stored(f"{key}.o", touch=True):  # eviction goes by last use
        machine_code = unseal(content, key)
        if machine_code is None:
            log.warning("kernel cache: %s was damaged and is rebuilt", path)
            continue
        try:
            return load_object(machine_code, _symbol(key))
        except KernelError as error:
            log.warning("kernel cache: %s cannot be loaded and is rebuilt (%s)", path, error)
    return None


def _build(source: str, key: str, path: Path) -> int:
    """Compile, keep the machine code, load it."""
    machine_code = _compiler().compile_text(source, path, _symbol(key))
    kept = keep(f"{key}.o", seal(machine_code, key))
    address = load_object(machine_code, _symbol(key))
    evict(kept.parent, config.cache_max_bytes, keep=key)
    return address


# --- the folder -----------------------------------------------------------------------------


def cache_info() -> CacheInfo:
    """Kernels and bytes on disk, and how often this process found a kernel there."""
    folder = cache_folder()
    found = [entry for each in reading() for entry in entries(each)]
    size = sum(entry.bytes for entry in found)
    return CacheInfo(len(found), size, folder, _state.hits, _state.misses)


def clear_cache() -> int:
    """Remove all kernels that can be; those already loaded stay usable. Returns how many."""
    found = [entry for folder in reading() for entry in entries(folder)]
    return sum([remove(entry) for entry in found])
