"""Small mutations of guards, each of which some test must catch. Run by hand:

    python tests/mutations.py                  # all of them, half an hour on two cores
    python tests/mutations.py reverse border   # those whose names have one of these words

Each one is made in a copy of the checkout, in which the tests run that should fail. One that they
let pass is named at the end: a guard that nothing holds. They are listed in `mutations.diff`, and
`test_mutations.py` sees to it that the list keeps up with the source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("compiler", "runtime", "frontend")
KERNELS = Path(tempfile.gettempdir()) / f"keraunos-mutants-{os.getuid()}"
LIMIT = 600  # seconds for the tests of one mutation


@dataclass(frozen=True)
class Mutation:
    """``old`` stands once in the source; with ``new`` in its place, ``tests`` must fail.

    They are a file of the tests, and perhaps words after it for pytest's ``-k``.
    """

    name: str
    tests: str
    old: str
    new: str


def mutations() -> list[Mutation]:
    """Those of ``mutations.diff``: a name and tests, what goes (``-``), what comes (``+``)."""
    blocks = (ROOT / "tests" / "mutations.diff").read_text("utf-8").strip().split("\n\n")
    return [_mutation(block.split("\n")) for block in blocks]


def _mutation(lines: Sequence[str]) -> Mutation:
    name, tests = lines[0].removeprefix("# ").split(" | ")
    old, new = ("\n".join(line[1:] for line in lines[1:] if line[0] == sign) for sign in "-+")
    return Mutation(name, tests, old, new)


def texts(root: Path = ROOT) -> dict[Path, str]:
    """The source of the package, by file."""
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    return {path: path.read_text("utf-8") for path in files}


def places(old: str, source: Mapping[Path, str]) -> list[Path]:
    """The files that have a text, once for each time."""
    return [path for path, text in source.items() for _ in range(text.count(old))]


def pytest(checkout: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Runs them on ``checkout``. Kernels are found by content: those of mutants harm nobody."""
    file, *words = tests.split(" ", 1)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += [f"tests/{file}", *(["-k", words[0]] if words else [])]
    environment = os.environ | {
        "PYTHONPATH": str(checkout.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KERAUNOS_TEST_CACHE_DIR": os.environ.get("KERAUNOS_TEST_CACHE_DIR", str(KERNELS)),
    }
    return subprocess.run(
        command,
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def is_caught(checkout: Path, mutation: Mutation) -> bool:
    """Whether the tests fail, crash or do not end on the mutated checkout, and none are missing."""
    (path,) = places(mutation.old, texts(checkout))
    text = path.read_text("utf-8")
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    try:
        done = pytest(checkout, mutation.tests)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(text, "utf-8")
    assert done.returncode not in (2, 4, 5), f"{mutation.name}: {done.stdout}{done.stderr}"
    return done.returncode != 0


def check_sound(checkout: Path, tests: Iterable[str]) -> None:
    """The tests pass where nothing is mutated, or they would catch anything."""
    for each in dict.fromkeys(tests):
        done = pytest(checkout, each)
        assert done.returncode == 0, f"{each} fails as it is:\n{done.stdout[-3000:]}"


def run(chosen: Sequence[Mutation]) -> list[Mutation]:
    """Those that were not caught."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "keraunos"
        shutil.copytree(
            ROOT, checkout, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache")
        )
        KERNELS.mkdir(mode=0o700, exist_ok=True)
        check_sound(checkout, [mutation.tests for mutation in chosen])
        missed = []
        for mutation in chosen:
            caught = is_caught(checkout, mutation)
            print(f"{'caught' if caught else 'MISSED'}  {mutation.name}", flush=True)
            missed += [] if caught else [mutation]
    return missed


def main(words: Sequence[str]) -> int:
    chosen = [m for m in mutations() if not words or any(word in m.name for word in words)]
    missed = run(chosen)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
