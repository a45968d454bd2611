"""ARCHITECTURE.md is true to the tree: every file is there, and whatever it names exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import HERE

from keraunos.compiler.pipeline import passes_for

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
FOLDERS = ("frontend", "compiler", "runtime")
LINES = 140  # one page


def named_paths(text: str) -> Iterator[Path]:
    """Files and folders in backticks; those below a folder's heading are relative to it."""
    folder = ROOT
    for line in text.splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ").strip().rstrip("/")
            folder = ROOT / name if name in FOLDERS else ROOT
        for token in re.findall(r"`([\w./]+(?:\.py|/))`", line):
            yield folder / token


NAMED = set(named_paths(TEXT))


def test_names_are_read():
    text = "## runtime/\n`a.py`, `b/`\n`x + y`\n## Rules\n`c/d.py`"
    assert list(named_paths(text)) == [
        ROOT / "runtime" / "a.py",
        ROOT / "runtime" / "b",
        ROOT / "c" / "d.py",
    ]


def test_whatever_is_named_exists():
    missing = [path for path in NAMED if not path.exists()]
    assert not missing


def test_every_file_is_named_itself_or_by_its_folder():
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    unnamed = {
        path.relative_to(ROOT)
        for path in files
        if path not in NAMED and path.parent not in NAMED and path.name != "__init__.py"
    }
    assert not unnamed, f"give ARCHITECTURE.md a line for {sorted(map(str, unnamed))}"


def test_every_pass_is_named_in_order():
    listed = TEXT[TEXT.index("- `passes/`") :]
    places = [listed.index(run.__name__) for run in dict.fromkeys(passes_for(HERE))]
    assert places == sorted(places)


def test_it_is_one_page():
    assert len(TEXT.splitlines()) <= LINES
