"""What the documents show runs: each file's python blocks, in order, in one namespace."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SHELL_FENCE = re.compile(FENCE.pattern.replace("python", "sh"), flags=FENCE.flags)


def python_blocks(text: str) -> str:
    """The blocks as one program, each line where it stands in the document, for tracebacks."""
    lines = [""] * (text.count("\n") + 1)
    for match in FENCE.finditer(text):
        start = text.count("\n", 0, match.start(1))
        block = match.group(1).splitlines()
        lines[start : start + len(block)] = block
    return "\n".join(lines) + "\n"


def test_blocks_keep_their_lines_and_others_are_left_out():
    text = "# T\n```python\na = 1\n```\n```sh\nrm x\n```\n```python\nb = a\n```"
    lines = dict(enumerate(python_blocks(text).splitlines(), start=1))
    assert {number: line for number, line in lines.items() if line} == {3: "a = 1", 9: "b = a"}


PROGRAMS = {
    path.name: program
    for path in sorted(ROOT.glob("*.md"))
    if (program := python_blocks(path.read_text("utf-8"))).strip()
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_python_blocks_run(name, tmp_path):
    script = tmp_path / f"{Path(name).stem}.py"
    script.write_text(PROGRAMS[name], "utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{name}, by line:\n{done.stdout}\n{done.stderr}"


@pytest.mark.smoke
def test_the_two_lines_are_there():
    shell = re.findall(SHELL_FENCE, (ROOT / "README.md").read_text("utf-8"))
    lines = "".join(shell).splitlines()
    assert [line for line in lines if "pytest" in line] == ['pip install -e ".[test]" && pytest']
    assert "pip install . && keraunos demo" in lines
