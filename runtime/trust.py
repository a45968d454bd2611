"""Whose files may be run: our own and root's, where nobody else can write.

A kernel is machine code that is run as it was read, so its file is trusted as the program itself
is. Files are looked at once they are open: what was checked is what is read.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# No links are followed, and no pipe's other end is waited for.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Untrusted(OSError):
    """A file or folder that is not to be run from; the message says why, and how to mend it."""


def make_folder(folder: Path) -> None:
    """A folder for this user alone, and those it is in, where they are missing."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def is_shared(folder: Path) -> bool:
    """Whether it is a folder as /tmp is: all may write, and only to what is theirs."""
    mode = os.lstat(folder).st_mode
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX) and bool(mode & OTHERS_WRITE)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A descriptor of a folder, to open files by.

    Raises:
        Untrusted: others own it or may write to it.
        OSError: it is none, it is a link, or it may not be entered.
    """
    descriptor = os.open(folder, FOLDER)
    try:
        _check(os.fstat(descriptor), folder)
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(folder: int, name: str, touch: bool = False) -> bytes:
    """What is in a file of an opened folder; with ``touch`` it counts as used now.

    Raises:
        Untrusted: others own it or may write to it, or it is no regular file.
        OSError: there is none, it is a link, or it may not be read.
    """
    return _read(os.open(name, READ, dir_fd=folder), Path(name), touch)


def read_own(path: Path, trusted: bool = False) -> bytes:
    """What is in a file, wherever it lies; links must be followed before.

    Raises:
        Untrusted: others own it or may write to it, unless it is ``trusted``; or it is no regular
            file.
        OSError: there is none, it is a link, or it may not be read.
    """
    return _read(os.open(path, READ), path, trusted=trusted)


def _read(descriptor: int, path: Path, touch: bool = False, trusted: bool = False) -> bytes:
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Untrusted(f"{path} is no regular file")
        if not trusted:
            _check(status, path)
        if touch:
            with suppress(OSError):  # root's, or on a disk that is read-only
                os.utime(descriptor)
        return FileIO(descriptor, closefd=False).readall()
    finally:
        os.close(descriptor)


def is_file(folder: int, name: str) -> bool:
    """Whether an opened folder has a regular file of this name."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _check(status: os.stat_result, path: Path) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise Untrusted(f"{path} belongs to user {status.st_uid}, who could put code there")
    if status.st_mode & OTHERS_WRITE:
        raise Untrusted(f"others can write to {path}: chmod go-w {path}")


def check_parents(folder: Path) -> None:
    """Whether nobody else can put another folder in the place of this one; it has no links.

    Raises:
        Untrusted: others own one of those it is in, or may write there to what is not theirs.
    """
    # Whoever owns the root can do as he likes. In a container it may be nobody that is known.
    owners = {os.geteuid(), 0, os.stat("/").st_uid}
    for parent in folder.parents:
        status = os.lstat(parent)
        if status.st_uid not in owners:
            raise Untrusted(f"{parent} belongs to user {status.st_uid}, who could put code there")
        if _is_open_to_others(status):
            raise Untrusted(f"others can write to {parent}: chmod go-w {parent}")


def _is_open_to_others(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_ISVTX:
        return False
    return bool(status.st_mode & stat.S_IWOTH) or (
        bool(status.st_mode & stat.S_IWGRP) and not _is_alone_in(status.st_gid, status.st_uid)
    )


def _is_alone_in(group: int, user: int) -> bool:
    """Whether it is a group of this user's own, as many systems give each: named as he is."""
    try:
        found, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}
