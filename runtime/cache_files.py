"""Files of the kernel cache: written whole, sealed by a checksum, evicted by last use."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"keraunos kernel 1\n"
TEMPORARY_SECONDS = 3600.0


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file or none: readers never see half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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


@dataclass(frozen=True)
class Entry:
    """The files of one kernel."""

    key: str
    used: float
    bytes: int
    files: tuple[Path, ...]


def entries(folder: Path) -> list[Entry]:
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


def _entry(key: str, paths: list[Path]) -> Entry:
    size, used = 0, 0.0
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # another process evicts too
            continue
        size += status.st_size
        used = max(used, status.st_mtime)
    return Entry(key, used, size, tuple(paths))


def evict(folder: Path, limit: int, keep: str) -> None:
    """Remove kernels, least recently used first, until the rest fit in `limit` bytes."""
    _sweep(folder)
    found = entries(folder)
    excess = sum(entry.bytes for entry in found) - limit
    for entry in found:
        if excess <= 0:
            return
        if entry.key != keep:
            remove(entry)
            excess -= entry.bytes


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    oldest = time.time() - TEMPORARY_SECONDS
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def remove(entry: Entry) -> None:
    """Delete a kernel's files; another process may have been faster."""
    for path in entry.files:
        path.unlink(missing_ok=True)
