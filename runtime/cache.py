"""Kernels from text, once per machine: `<cache_dir>/<key>.py` and `<key>.o` beside it.

The key covers the text and what the device's toolchain makes of it: the processor, the versions,
the functions that kernels call. Files are written to a temporary
name and renamed, so any number of processes may share a folder. Machine code carries a checksum
that names its kernel: a file that is damaged, or another's, is rebuilt. A kernel that is on disk
loads without Numba. Whose files are loaded is said in `trust.py`.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from .cache_files import entries, evict, remove, seal, unseal
from .cache_folders import cache_folder, is_stored, keep, reading, stored
from .config import config
from .forks import Lock, work
from .kernels import KernelError, LoadedKernel, Toolchain

log = logging.getLogger(__name__)


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


class Kernels:
    """The kernels that a toolchain makes: compiled once a machine, loaded once a process."""

    def __init__(self, toolchain: Toolchain) -> None:
        self.toolchain = toolchain

    def key(self, source: str) -> str:
        """The hexadecimal name of a kernel's files."""
        return hashlib.sha256(self.toolchain.fingerprint + source.encode()).hexdigest()

    def load(self, source: str) -> LoadedKernel:
        """Compile or fetch the kernel that `source` defines.

        Args:
            source: the text of a module in which `kernel` is a function marked by `kernel_jit`.

        Raises:
            KernelError: the text defines no kernel.
            numba.core.errors.NumbaError: the kernel does not compile.
        """
        key = self.key(source)
        with _state.lock:
            known = _known(key)
            if known is not None:
                return known
            turn = _state.loading.setdefault(key, Lock())
        with work, turn:
            with _state.lock:
                known = _known(key)
            return known if known is not None else self._load_first(source, key)

    def made(self, source: str) -> bytes:
        """What the toolchain makes of `source`, by whatever process; it is not loaded.

        Raises as `load`.
        """
        key = self.key(source)
        with work:
            for _, content in stored(f"{key}.o", touch=True):
                machine_code = unseal(content, key)
                if machine_code is not None:
                    return machine_code
            return self._make(source, key, _keep_text(key, source))

    def is_compiled(self, source: str) -> bool:
        """Whether `load` would find the kernel in this process or on disk."""
        key = self.key(source)
        return key in _state.loaded or is_stored(f"{key}.o")

    def keep_text(self, source: str) -> Path:
        """The file with the text of a kernel, beside which its machine code will lie."""
        return _keep_text(self.key(source), source)

    def assembly(self, source: str) -> str:
        """The machine instructions that `source` compiles to here, for people who tune kernels."""
        with work:
            return self.toolchain.assembly(source, Path(f"{self.key(source)}.py"))

    def _load_first(self, source: str, key: str) -> LoadedKernel:
        start = time.perf_counter()
        path = _keep_text(key, source)
        address = self._from_disk(key)
        cached = address is not None
        if address is None:
            address = self._build(source, key, path)
        kernel = LoadedKernel(address, path, key, cached, time.perf_counter() - start)
        with _state.lock:
            _state.loaded[key] = replace(kernel, cached=True, seconds=0.0)
            _state.loading.pop(key, None)
            _state.hits += cached
            _state.misses += not cached
        return kernel

    def _from_disk(self, key: str) -> int | None:
        """The address of a kernel that some process has compiled, or None."""
        for path, content in stored(f"{key}.o", touch=True):  # eviction goes by last use
            machine_code = unseal(content, key)
            if machine_code is None:
                log.warning("kernel cache: %s was damaged and is rebuilt", path)
                continue
            try:
                return self.toolchain.load(machine_code, _symbol(key))
            except KernelError as error:
                log.warning("kernel cache: %s cannot be loaded and is rebuilt (%s)", path, error)
        return None

    def _build(self, source: str, key: str, path: Path) -> int:
        """Compile, keep the machine code, load it."""
        return self.toolchain.load(self._make(source, key, path), _symbol(key))

    def _make(self, source: str, key: str, path: Path) -> bytes:
        """Compile, keep the machine code."""
        machine_code = self.toolchain.compile(source, path, _symbol(key))
        kept = keep(f"{key}.o", seal(machine_code, key))
        evict(kept.parent, config.cache_max_bytes, keep=key)
        return machine_code


def _known(key: str) -> LoadedKernel | None:
    known = _state.loaded.get(key)
    _state.hits += known is not None
    return known


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
