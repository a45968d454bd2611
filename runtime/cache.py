"""Kernels from text, once per machine: `<cache_dir>/<key>.py` and `<key>.o` beside it.

The key covers the text, the CPU, the versions and the SIMD layer. Files are written to a temporary
name and renamed, so any number of processes may share a folder. Machine code carries a checksum:
a damaged file is rebuilt. A kernel that is on disk loads without starting Numba's compiler.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from numba.core.errors import NumbaError

from .config import config
from .host import host
from .kernel_compiler import KernelError, KernelFunction, compile_kernel, load_object

log = logging.getLogger(__name__)

MAGIC = b"keraunos kernel 1\n"
TEMPORARY_SECONDS = 3600.0
RUNTIME = Path(__file__).parent
LAYER = ("simd*.py", "vecmath*.py", "atomics.py", "walker.py", "kernel_compiler.py")


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
        self.lock = threading.Lock()
        self.loaded: dict[str, LoadedKernel] = {}
        self.loading: dict[str, threading.Lock] = {}
        self.hits = 0
        self.misses = 0
        self.fallbacks: dict[Path, tempfile.TemporaryDirectory[str]] = {}


_state = _State()


@cache
def _fingerprint() -> bytes:
    """Everything but a kernel's text that decides its machine code."""
    machine = host()
    digest = hashlib.sha256()
    parts = (machine.cpu_name, *sorted(machine.features), str(machine.lanes), machine.versions)
    for part in parts:
        digest.update(part.encode() + b"\0")
    for path in sorted({path for pattern in LAYER for path in RUNTIME.glob(pattern)}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
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
        turn = _state.loading.setdefault(key, threading.Lock())
    with turn:
        with _state.lock:
            known = _known(key)
        return known if known is not None else _load_first(source, key)


def _known(key: str) -> LoadedKernel | None:
    known = _state.loaded.get(key)
    _state.hits += known is not None
    return known


def _load_first(source: str, key: str) -> LoadedKernel:
    start = time.perf_counter()
    path = _keep_text(key, source)
    address = _from_disk(path.with_suffix(".o"), key)
    cached = address is not None
    if address is None:
        address = _build(source, key, path)
    kernel = LoadedKernel(address, path, key, cached, time.perf_counter() - start)
    with _state.lock:
        _state.loaded[key] = replace(kernel, cached=True, seconds=0.0)
        _state.loading.pop(key, None)
        _state.hits += cached
        _state.misses += not cached
    if not cached:
        _evict(path.parent, keep=key)
    return kernel


def _symbol(key: str) -> str:
    return f"keraunos_{key[:40]}"


def _keep_text(key: str, source: str) -> Path:
    """The file that holds the text, in the cache or, where that is full, in a temporary folder."""
    path = cache_folder() / f"{key}.py"
    if _reads_as(path, source):
        return path
    try:
        _write(path, source.encode())
    except OSError as error:
        path = _fall_back(path.parent, str(error)) / path.name
        _write(path, source.encode())
    return path


def _reads_as(path: Path, source: str) -> bool:
    try:
        if path.read_text() == source:
            return True
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        log.warning("kernel cache: %s cannot be read (%s)", path, error)
    log.warning("kernel cache: %s was damaged and is written again", path)
    return False


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none: readers never see half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _from_disk(path: Path, key: str) -> int | None:
    try:
        content = path.read_bytes()
        os.utime(path)  # eviction goes by last use
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("kernel cache: %s cannot be read (%s) and is rebuilt", path, error)
        return None
    machine_code = unseal(content)
    if machine_code is None:
        log.warning("kernel cache: %s was damaged and is rebuilt", path)
        return None
    return load_object(machine_code, _symbol(key))


def seal(machine_code: bytes) -> bytes:
    """Machine code with a checksum in front."""
    return MAGIC + hashlib.sha256(machine_code).digest() + machine_code


def unseal(content: bytes) -> bytes | None:
    """The machine code, or None where the checksum does not fit."""
    head = len(MAGIC) + 32
    machine_code = content[head:]
    if content[:head] != MAGIC + hashlib.sha256(machine_code).digest():
        return None
    return machine_code


def _build(source: str, key: str, path: Path) -> int:
    """Compile, keep the machine code, load it."""
    kernel = _execute(source, key, path)
    try:
        machine_code = compile_kernel(kernel, _symbol(key))
    except NumbaError as error:
        error.add_note(f"while compiling the kernel {path}")
        raise
    try:
        _write(path.with_suffix(".o"), seal(machine_code))
    except OSError as error:
        log.warning("kernel cache: %s is not kept (%s)", path.with_suffix(".o"), error)
    return load_object(machine_code, _symbol(key))


def _execute(source: str, key: str, path: Path) -> KernelFunction:
    module = types.ModuleType(f"keraunos_kernel_{key}")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), module.__dict__)
    kernel = getattr(module, "kernel", None)
    if not isinstance(kernel, KernelFunction):
        raise KernelError(
            f"{path}: expected a function named `kernel` marked by @kernel_jit, got {kernel!r}"
        )
    return kernel


# --- the folder -----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where kernels are kept: `config.cache_dir`, or a temporary folder where that cannot be."""
    folder = config.cache_dir
    if folder in _state.fallbacks:
        return Path(_state.fallbacks[folder].name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        reason = "no permission to write"
    except OSError as error:
        reason = str(error)
    return _fall_back(folder, reason)


def _fall_back(folder: Path, reason: str) -> Path:
    with _state.lock:
        if folder not in _state.fallbacks:
            _state.fallbacks[folder] = tempfile.TemporaryDirectory(prefix="keraunos-")
            warnings.warn(
                f"the kernel cache {folder} cannot be used ({reason}); kernels are compiled again "
                "in every process. Set KERAUNOS_CACHE_DIR to a folder that can be written to.",
                RuntimeWarning,
                stacklevel=2,
            )
        return Path(_state.fallbacks[folder].name)


@dataclass(frozen=True)
class _Entry:
    key: str
    used: float
    bytes: int
    files: tuple[Path, ...]


def _entries(folder: Path) -> list[_Entry]:
    """Kernels in the folder, least recently used first."""
    files: dict[str, list[Path]] = {}
    for path in _kernel_files(folder):
        files.setdefault(path.name[:64], []).append(path)
    found = (_entry(key, paths) for key, paths in files.items())
    return sorted(found, key=lambda entry: entry.used)


def _kernel_files(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*"):
        name = path.name
        if len(name) > 64 and name[64] == "." and set(name[:64]) <= set("0123456789abcdef"):
            yield path


def _entry(key: str, paths: list[Path]) -> _Entry:
    size, used = 0, 0.0
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # another process evicts too
            continue
        size += status.st_size
        used = max(used, status.st_mtime)
    return _Entry(key, used, size, tuple(paths))


def _evict(folder: Path, keep: str) -> None:
    _sweep(folder)
    entries = _entries(folder)
    excess = sum(entry.bytes for entry in entries) - config.cache_max_bytes
    for entry in entries:
        if excess <= 0:
            return
        if entry.key != keep:
            _remove(entry)
            excess -= entry.bytes


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    oldest = time.time() - TEMPORARY_SECONDS
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _remove(entry: _Entry) -> None:
    for path in entry.files:
        path.unlink(missing_ok=True)


def cache_info() -> CacheInfo:
    """Kernels and bytes on disk, and how often this process found a kernel there."""
    folder = cache_folder()
    entries = _entries(folder)
    size = sum(entry.bytes for entry in entries)
    return CacheInfo(len(entries), size, folder, _state.hits, _state.misses)


def clear_cache() -> int:
    """Remove all kernels from the folder; those already loaded stay usable. Returns how many."""
    entries = _entries(cache_folder())
    for entry in entries:
        _remove(entry)
    return len(entries)
