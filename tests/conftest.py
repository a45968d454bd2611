"""Settings of every test session: two threads, and a kernel cache away from the user's own.

The cache folder stays the same from session to session, so a kernel is compiled once.
KERAUNOS_TEST_CACHE_DIR names another one, an empty one for instance, to see that all compiles.
"""

import gc
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
import tiers

ROOT = Path(__file__).parent.parent
THREADS = "2"


def stable_cache_dir() -> Path:
    """One folder per user and checkout. The kernels in it are code, so it must be the user's own.

    Raises:
        RuntimeError: somebody else made the folder, and could have put code there.
    """
    checkout = hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"keraunos-tests-{os.getuid()}-{checkout}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise RuntimeError(
            f"expected {folder} to be a folder of user {os.getuid()}, which it is not; "
            "set KERAUNOS_TEST_CACHE_DIR to another one"
        )
    return folder


# Here and not in a fixture: settings are read when keraunos is imported, which test modules do at
# their top. Processes that tests start inherit them.
os.environ["KERAUNOS_CACHE_DIR"] = os.environ.get("KERAUNOS_TEST_CACHE_DIR") or str(
    stable_cache_dir()
)
os.environ["KERAUNOS_THREADS"] = THREADS
# Beside other workers there is no core left for a process that helps to compile.
os.environ["NUMBA_NUM_THREADS"] = "1" if "PYTEST_XDIST_WORKER" in os.environ else THREADS


def pytest_configure(config: pytest.Config) -> None:
    tiers.Session.is_deep = tiers.asks_for_deep(config.getoption("markexpr"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return tiers.has_none(collection_path, config.getoption("markexpr")) or None


def pytest_collection_finish() -> None:
    """What was collected stays to the end: it need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()
