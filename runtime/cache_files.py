"""Files of the kernel cache: written whole, sealed for a kernel, evicted by last use.

A folder may hold other things, and other processes write and remove files at the same time: what
is no regular file with a kernel's name is left alone, and what cannot be removed stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"keraunos kernel 2\n"
TEMPORARY = ".keraunos-", ".tmp"  # how names of files begin and end that are being written
TEMPORARY_SECONDS = 3600.0


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file or none: readers never see half of it."""
    prefix, suffix = TEMPORARY
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def seal(machine_code: bytes, key: str = "") -> bytes:
    """Machine code behind a checksum of it and of the kernel that it is for.

    It finds damage and files that were mixed up; without a key the code is for no kernel.
    """
    return MAGIC + _checksum(machine_code, key) + machine_code


def unseal(content: bytes, key: str) -> bytes | None:
    """The machine code, or None where it is damaged or another kernel's."""
    head = len(MAGIC) + 32
    machine_code = content[head:]
    if content[:head] != MAGIC + _checksum(machine_code, key):
        return None
    return machine_code


def _checksum(machine_code: bytes, key: str) -> bytes:
    digest = hashlib.sha256(key.encode() + b"\0")
    digest.update(machine_code)
    return digest.digest()


@dataclass(frozen=True)
class Entry:
    """The files of one kernel."""

    key: str
    used: float
    bytes: int
    files: tuple[Path, ...]


def entries(folder: Path) -> list[Entry]:
    """Kernels in the folder, least recently used first; none where it cannot be read."""
    files: dict[str, list[tuple[Path, os.stat_result]]] = {}
    for path, status in _regular_files(folder):
        if _is_kernel(path.name):
            files.setdefault(path.name[:64], []).append((path, status))
    found = (_entry(key, found) for key, found in files.items())
    return sorted(found, key=lambda entry: entry.used)


def _is_kernel(name: str) -> bool:
    return len(name) > 64 and name[64] == "." and set(name[:64]) <= set("0123456789abcdef")


def _regular_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for each in found:
            with contextlib.suppress(OSError):  # another process evicts too
                status = each.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield folder / each.name, status


def _entry(key: str, files: list[tuple[Path, os.stat_result]]) -> Entry:
    return Entry(
        key,
        max(status.st_mtime for _, status in files),
        sum(status.st_size for _, status in files),
        tuple(path for path, _ in files),
    )


def evict(folder: Path, limit: int, keep: str) -> None:
    """Remove kernels, least recently used first, until the rest fit in `limit` bytes."""
    _sweep(folder)
    found = entries(folder)
    excess = sum(entry.bytes for entry in found) - limit
    for entry in found:
        if excess <= 0:
            return
        if entry.key != keep and remove(entry):
            excess -= entry.bytes


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    oldest = time.time() - TEMPORARY_SECONDS
    prefix, suffix = TEMPORARY
    for path, status in _regular_files(folder):
        is_ours = path.name.startswith(prefix) and path.name.endswith(suffix)
        if is_ours and status.st_mtime < oldest:
            _remove(path)


def remove(entry: Entry) -> bool:
    """Delete a kernel's files; whether they are gone, as another process may have been faster."""
    gone = [_remove(path) for path in entry.files]
    return all(gone)


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # another user's, or on a disk that is read-only
        return False
    return True
