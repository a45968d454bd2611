"""Marks every test of this folder: they compare with libraries that a user need not have."""

import os
import zlib
from collections import Counter
from pathlib import Path

import pytest
import tiers

HERE = Path(__file__).parent
FEW = 6  # cases of a test that are always run

# All of these are read when Keras and JAX are imported, which test modules do at their top. JAX
# keeps what it compiled beside our kernels: that is most of the time of a second run.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(os.environ["KERAUNOS_CACHE_DIR"]) / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Keras copies JAX arrays in a way of which numpy 2 warns; nobody here can change that.
KERAS_COPIES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    own = [item for item in items if item.path.is_relative_to(HERE)]
    for item in own:
        item.add_marker(pytest.mark.peers)
        item.add_marker(KERAS_COPIES)
    if tiers.Session.is_deep:
        return
    cases = Counter(map(function_of, own))
    deep = [item for item in own if cases[function_of(item)] > FEW and is_deep(item)]
    config.hook.pytest_deselected(items=deep)
    dropped = set(deep)
    items[:] = [item for item in items if item not in dropped]


def function_of(item: pytest.Item) -> str:
    """The test that the item is a case of."""
    return item.nodeid.partition("[")[0]


def is_deep(item: pytest.Item) -> bool:
    """Whether only a session of the deep tier runs it: about half of the cases of a long table.

    Keras takes longer to compile a case than it takes to compute it. Which half it is hangs on
    names alone, so that it is the same everywhere and changes little when cases are added.
    """
    return zlib.crc32(item.nodeid.encode()) % 2 == 0
