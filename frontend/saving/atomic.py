"""Files that are replaced at once or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from ...compiler.file_names import file_name
from ..errors import UsageError

_MARK = ".partial"


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Makes a file, or replaces it: ``write`` is given the path of a new file beside it.

    Until that is on the disk as a whole, ``path`` is what it was. A link stays one: the file it
    leads to is replaced.

    Raises:
        ValueError: ``path`` is a folder, or the folder it is in does not exist.
        OSError: the disk is full, or the folder is read-only.
    """
    target = Path(os.path.realpath(path))
    check_place("writing a file", target)
    _remove_leftovers(target)
    new = target.with_name(f"{_prefix(target)}{os.getpid()}.{secrets.token_hex(4)}{_MARK}")
    try:
        write(new)
        _to_disk(new)
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
    _to_disk(target.parent)


def check_place(what: str, path: Path) -> None:
    """Raises ``ValueError`` unless a file can be at a path: its folder exists, it is none."""
    if path.is_dir():
        raise UsageError(f"{what}: expected the path of a file; {str(path)!r} is a folder")
    if not path.parent.is_dir():
        raise UsageError(
            f"{what}: expected a folder that exists; received {str(path)!r}. Make "
            f"{str(path.parent)!r} first"
        )


def make_folder(what: str, folder: Path) -> None:
    """Makes a folder, and those it is in, unless it is there.

    Args:
        what: who needs it, for the message.

    Raises:
        ValueError: a file is in the way.
        OSError: the folder it would be in is read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"{what}: expected the path of a folder, or of one to make; {str(folder)!r} is, or is "
            f"in, a file ({error.strerror})"
        ) from None


def _prefix(target: Path) -> str:
    """Process ids are those of one machine. The name of the file may be as long as names can be."""
    return f".{file_name(target.name)}.{file_name(platform.node())}."


def _to_disk(path: Path) -> None:
    """A file's contents, or a folder's names, as they are to be found after a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """What processes of this machine left that were stopped while they wrote this file."""
    prefix = _prefix(target)
    for leftover in _entries(target.parent, prefix):
        process = leftover.name.removeprefix(prefix).partition(".")[0]
        if process.isdecimal() and not _is_running(int(process)):
            leftover.unlink(missing_ok=True)


def _entries(folder: Path, prefix: str) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith(prefix) and entry.name.endswith(_MARK):
            yield entry


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        return True
    return True
