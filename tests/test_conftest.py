"""The session's own settings reach keraunos: a test run must not write into the user's cache."""

import os
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke


def test_threads_and_cache_are_those_of_the_session():
    assert os.environ["KERAUNOS_THREADS"] == "2"
    folder = Path(os.environ["KERAUNOS_CACHE_DIR"])
    chosen = os.environ.get("KERAUNOS_TEST_CACHE_DIR")
    assert folder == Path(chosen) if chosen else folder.parent == Path(tempfile.gettempdir())
