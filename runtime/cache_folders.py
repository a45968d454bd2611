"""Where kernels are kept: the folder that is set, where nobody else can write, or a private one.

- A folder of our own or of root's, to which nobody else can write, is read, and written to where
  we may. It is made where it is missing, for this user alone.
- In a folder as /tmp is, to which all may write, each user has a folder of his own.
- Any other folder is not even read, as others could have put code there.

What cannot be written there goes to a temporary folder of this process and the children that it
forks: whoever of them is the last to end removes it. Those of processes that were killed, or ended
without saying so, are removed when the next one is made.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .cache_files import write_file
from .config import config
from .forks import Lock, work
from .trust import check_parents, is_file, is_shared, make_folder, opened, read_file

log = logging.getLogger(__name__)

_PREFIX = "keraunos-private-"


@dataclass(frozen=True)
class Place:
    """A folder that somebody set, once it has been looked at.

    Attributes:
        folder: whose kernels may be loaded; None if nobody's there may.
        refusal: why no kernels can be written there; "" if they can.
    """

    folder: Path | None
    refusal: str


@dataclass(frozen=True)
class Private:
    """A temporary folder; a descriptor holds a lock on it in this process and its children."""

    folder: Path
    held: int | None


class _State:
    """What this process knows of folders. A process may change its user."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.places: dict[tuple[Path, int], Place] = {}
        self.private: dict[tuple[Path, int], Private] = {}
        self.warned: set[Path] = set()


_state = _State()


def reading() -> tuple[Path, ...]:
    """Folders whose kernels may be loaded, in the order in which to look."""
    private = _state.private.get(_key())
    folders = (_place().folder, None if private is None else private.folder)
    return tuple(folder for folder in folders if folder is not None)


def writing() -> Path:
    """The folder for new kernels."""
    place = _place()
    if place.folder is None or place.refusal:
        return _private(place.refusal)
    return place.folder


def cache_folder() -> Path:
    """The folder that kernels are mostly in."""
    return _place().folder or writing()


def stored(name: str, touch: bool = False) -> Iterator[tuple[Path, bytes]]:
    """What folders hold in a file of this name; with ``touch`` it counts as used now."""
    for folder in reading():
        try:
            with opened(folder) as descriptor:
                content = read_file(descriptor, name, touch)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("kernel cache: %s is passed over (%s)", folder / name, error)
            continue
        yield folder / name, content


def is_stored(name: str) -> bool:
    """Whether there is a file of this name; what is in it is another matter."""
    for folder in reading():
        with suppress(OSError), opened(folder) as descriptor:
            if is_file(descriptor, name):
                return True
    return False


def keep(name: str, content: bytes) -> Path:
    """Writes a file of a kernel where it can be written; the path at which it is, or would be."""
    with work:
        place = _place()
        reason = place.refusal
        if place.folder is not None and not reason:
            try:
                return _written(place.folder / name, content)
            except OSError as error:
                reason = str(error)
        try:
            return _written(_private(reason) / name, content)
        except OSError as error:
            log.warning("kernel cache: %s is not kept (%s)", name, error)
            return (place.folder or config.cache_dir) / name


def _written(path: Path, content: bytes) -> Path:
    make_folder(path.parent)  # it may have been removed since
    write_file(path, content)
    return path


def _place() -> Place:
    key = _key()
    place = _state.places.get(key)
    if place is None:
        place = _state.places[key] = _looked_at(config.cache_dir)
    return place


def _looked_at(folder: Path) -> Place:
    try:
        folder = folder.resolve()
        make_folder(folder)
        if is_shared(folder):
            folder /= f"keraunos-{os.geteuid()}"
            make_folder(folder)
        check_parents(folder)
        with opened(folder):
            pass
    except (OSError, RuntimeError) as error:  # the latter where links lead in a circle
        return Place(None, str(error))
    may_write = os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
    return Place(folder, "" if may_write else "no permission to write")


def _key() -> tuple[Path, int]:
    return config.cache_dir, os.geteuid()


def _private(reason: str) -> Path:
    """A folder of this process; says once for each folder that is set why it is used."""
    with _state.lock:
        if _key() not in _state.private:
            _remove_unused(*Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            _state.private[_key()] = Private(folder, _locked(folder, fcntl.LOCK_SH))
        if config.cache_dir not in _state.warned:
            _state.warned.add(config.cache_dir)
            warnings.warn(
                f"the kernel cache {config.cache_dir} cannot be used for new kernels ({reason}); "
                "they are compiled again in every process. Mend that, or set KERAUNOS_CACHE_DIR to "
                "a folder of your own.",
                RuntimeWarning,
                stacklevel=2,
            )
        return _state.private[_key()].folder


def _locked(folder: Path, kind: int) -> int | None:
    """A descriptor that holds a lock on a folder until it is closed, here and where we fork to.

    None where others hold it, or where there are no locks.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_unused(*folders: Path) -> None:
    """Removes those of temporary folders that are ours and that no process holds."""
    for folder in folders:
        with suppress(OSError):
            mine = os.lstat(folder).st_uid == os.geteuid()
            held = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) if mine else None
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


@atexit.register
def _remove_private() -> None:
    """Unless a child of a fork still needs it, or the parent does."""
    for private in _state.private.values():
        if private.held is not None:
            os.close(private.held)
        _remove_unused(private.folder)
    _state.private.clear()
