"""Forks at any moment.

The child of a fork has one thread, and the locks of all: those that other threads held are held for
ever. So our own locks are free in a child; and where a thread may hold those of others (Numba's,
LLVM's, those of imports), or has something half done, it is at work, which a fork waits for. It
takes a second or two. If it takes longer the child says so in place of hanging.
"""

from __future__ import annotations

import functools
import logging  # noqa: F401  (its hooks come first here, so that its lock is taken last)
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

PATIENCE = 20.0  # seconds
# Held by whoever compiles, us or others. Numba's comes first, as it does where both are taken.
FOREIGN = (
    ("numba.core.compiler_lock", attrgetter("global_compiler_lock._lock")),
    ("llvmlite.binding.ffi", attrgetter("lib._lock._lock")),
)


class ForkError(RuntimeError):
    """This process is the child of a fork that could not wait for its parent's other threads."""


if TYPE_CHECKING:
    from functools import cached_property as cached_property
else:

    class cached_property(functools.cached_property):
        """That of Python 3.12. That of 3.11 has a lock, which all objects of a class share."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.attrname] = self.func(instance)
            return value


class Lock:
    """A lock for `with`, which no thread that is gone holds in the child of a fork.

    Who is inside may enter once more: handlers of signals, too, may compile.
    """

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        _locks.add(self)

    def renew(self) -> None:
        """After a fork, in the child: free, unless the thread that forked is inside."""
        if not self._lock._is_owned():
            self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


_locks: WeakSet[Lock] = WeakSet()


class Work:
    """`with work:` around what a fork in another thread waits for; a fork within does not."""

    def __init__(self) -> None:
        self._sound = True
        self._begin({})

    def _begin(self, inside: dict[int, int]) -> None:
        self._changed = threading.Condition()
        self._inside = Counter(inside)  # how deep each thread is
        self._forks = 0
        self._finished = False
        self._foreign: list[Any] = []

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            if not self._sound:
                raise ForkError(
                    "expected a process that was forked while no other thread compiled; this one's "
                    f"parent went on for {PATIENCE:.0f} seconds, so nothing can be compiled here. "
                    'Start processes with multiprocessing.set_start_method("spawn"), or before '
                    "threads that compile"
                )
            while self._forks and me not in self._inside:
                self._changed.wait()
            self._inside[me] += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
                self._changed.notify_all()

    # Around a fork

    def stop(self) -> None:
        """Waits until no other thread is at work, and lets none begin."""
        me, end = threading.get_ident(), time.monotonic() + PATIENCE
        self._changed.acquire()
        self._forks += 1
        self._finished = False
        with _hdf5_set_free():
            alone = self._changed.wait_for(lambda: not self._inside.keys() - {me}, PATIENCE)
        wanted = _foreign_locks()
        self._foreign = [
            lock for lock in wanted if lock.acquire(timeout=max(0.0, end - time.monotonic()))
        ]
        self._finished = alone and len(self._foreign) == len(wanted)

    def go_on(self) -> None:
        """After a fork, in the parent."""
        self._release()
        self._forks -= 1
        self._changed.notify_all()
        self._changed.release()

    def start(self) -> None:
        """After a fork, in the child: nobody else is here."""
        me = threading.get_ident()
        self._sound = self._sound and self._finished
        self._release()
        self._begin({me: self._inside[me]} if me in self._inside else {})
        for lock in _locks:
            lock.renew()

    def _release(self) -> None:
        for lock in reversed(self._foreign):
            lock.release()
        self._foreign = []


def _foreign_locks() -> list[Any]:
    found = []
    for name, of in FOREIGN:
        with suppress(KeyError, AttributeError):  # not imported, or not to its end
            found.append(of(sys.modules[name]))
    return found


@contextmanager
def _hdf5_set_free() -> Iterator[None]:
    """Frees HDF5's lock meanwhile, which h5py's own hooks hold around a fork.

    They may have taken it already, while whoever is waited for needs it to import h5py; and when
    that has been imported meanwhile they will release what they have not taken.
    """
    before: Any = sys.modules.get("h5py._objects")
    held = hasattr(before, "_phil_after_fork") and before.phil._is_owned()
    if held:
        before._phil_after_fork()
    yield
    after: Any = sys.modules.get("h5py._objects")
    if hasattr(after, "_phil_before_fork") and (held or not after.phil._is_owned()):
        after._phil_before_fork()


work = Work()
os.register_at_fork(before=work.stop, after_in_parent=work.go_on, after_in_child=work.start)
