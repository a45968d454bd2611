"""The session's own settings reach keraunos: a test run must not write into the user's cache."""

import os
import tempfile
from pathlib import Path

import pytest
from tiers import Session, asks_for_deep, has_none, seeds

pytestmark = pytest.mark.smoke


def test_threads_and_cache_are_those_of_the_session():
    assert os.environ["KERAUNOS_THREADS"] == "2"
    folder = Path(os.environ["KERAUNOS_CACHE_DIR"])
    chosen = os.environ.get("KERAUNOS_TEST_CACHE_DIR")
    assert folder == Path(chosen) if chosen else folder.parent == Path(tempfile.gettempdir())


@pytest.mark.parametrize(
    ("markers", "deep"),
    [
        ("not slow", False),
        ("smoke", False),
        ("peers and not (slow or gpu)", False),
        ("slow", True),
        ("slow or smoke", True),
        ("not peers", True),
        ("", True),
    ],
)
def test_the_deep_tier_is_collected_where_it_may_run(markers, deep):
    assert asks_for_deep(markers) is deep
    assert len(seeds(2, 5)) == (5 if Session.is_deep else 2)


def test_the_smoke_tier_reads_only_files_that_have_some_of_it():
    tests = Path(__file__).parent
    with_some, without, no_test = (
        tests / name for name in ("test_conftest.py", "frontend/test_fit_loop.py", "tiers.py")
    )
    assert [has_none(path, "smoke") for path in (with_some, without, no_test)] == [
        False,
        True,
        False,
    ]
    assert not has_none(without, "smoke or slow")
