"""Parallel compilation: where many kernels of a program are missing, a second process helps.

Numba's front end holds Python's lock, so threads would not run in parallel. The helper compiles
from the other end of the list, and this process finds its kernels in the cache. If no process can
be started, or it dies, this process compiles all kernels itself.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..cache_folders import writing
from ..config import available_threads
from ..kernels import LoadedKernel
from .toolchain import KERNELS

log = logging.getLogger(__name__)

# A helper takes a second to import the compiler: what a few kernels take to compile.
FEWEST = 6
# Kernels that every first call needs, whatever the program.
ALWAYS = ("interpreter.py", "pool_leader.py", "pool_worker.py")


def load_kernels(sources: Sequence[str]) -> tuple[LoadedKernel, ...]:
    """Each text loaded. Those that had to be compiled are not `cached`, by whomever."""
    lacking = [source for source in dict.fromkeys(sources) if not KERNELS.is_compiled(source)]
    with _helper(lacking):
        kernels = tuple(map(KERNELS.load, sources))
    made = frozenset(lacking)
    pairs = zip(sources, kernels, strict=True)
    return tuple(replace(k, cached=k.cached and source not in made) for source, k in pairs)


@contextmanager
def _helper(sources: Sequence[str]) -> Iterator[None]:
    """A process that compiles these, the last first, until the end of the block."""
    process = _start(sources) if _is_worth_it(sources) else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.communicate()


def _is_worth_it(sources: Sequence[str]) -> bool:
    # In an application that brings its own Python, the executable is the application.
    can_start = bool(sys.executable) and not getattr(sys, "frozen", False)
    return can_start and len(sources) >= FEWEST and available_threads(os.environ) > 1


def _start(sources: Sequence[str]) -> subprocess.Popen[str] | None:
    own = [Path(__file__).with_name(name).read_text() for name in ALWAYS]
    wanted = [*sources, *(source for source in own if not KERNELS.is_compiled(source))]
    quiet = subprocess.DEVNULL
    try:
        paths = [KERNELS.keep_text(source) for source in wanted]
        environment = os.environ | {"KERAUNOS_CACHE_DIR": str(writing())}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            text=True,
        )
    except OSError as error:
        log.info("kernels are compiled without a helper: %s", error)
        return None
    assert process.stdin is not None
    # Few enough for the pipe to hold them all before the helper reads; it may have died by then.
    with suppress(OSError):
        process.stdin.write(json.dumps([str(path) for path in paths]))
        process.stdin.close()
    process.stdin = None
    return process


def main() -> None:
    """The helper: compiles the texts in the files that standard input lists, the last first."""
    parent = os.getppid()
    for path in reversed(json.load(sys.stdin)):
        source = Path(path).read_text()
        if os.getppid() != parent:
            return
        if not KERNELS.is_compiled(source):
            KERNELS.load(source)


if __name__ == "__main__":
    main()
