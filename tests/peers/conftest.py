"""Marks every test of this folder: they compare with libraries that a user need not have."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# All of these are read when Keras and JAX are imported, which test modules do at their top. JAX
# keeps what it compiled beside our kernels: that is most of the time of a second run.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(os.environ["KERAUNOS_CACHE_DIR"]) / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Keras copies JAX arrays in a way of which numpy 2 warns; nobody here can change that.
KERAS_COPIES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.peers)
            item.add_marker(KERAS_COPIES)
