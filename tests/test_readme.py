"""What the documents show runs: each file's python blocks, in order, in one namespace."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keraunos.frontend.cli.main import app
from keraunos.runtime.config import SETTINGS

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SHELL_FENCE = re.compile(FENCE.pattern.replace("python", "sh"), flags=FENCE.flags)
TEXT_FENCE = re.compile(FENCE.pattern.replace("python", "text"), flags=FENCE.flags)


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
    printed = {without_comment(line) for line in done.stdout.splitlines()}
    missing = [line for line in ir_lines(name) if without_comment(line) not in printed]
    assert not missing, f"{name} shows lines that its blocks do not print: {missing}"


def ir_lines(name: str) -> list[str]:
    """The lines of IR that the document shows, `…` for those left out aside."""
    blocks: list[str] = re.findall(TEXT_FENCE, (ROOT / name).read_text("utf-8"))
    shown = [line for block in blocks if "%0" in block for line in block.splitlines()]
    return [line for line in shown if line.strip() not in ("…", "}")]


def without_comment(line: str) -> str:
    """The line without the layer and the place it comes from, which is another file's here."""
    return " ".join(line.partition("#")[0].split())


@pytest.mark.smoke
def test_the_two_lines_are_there():
    shell = re.findall(SHELL_FENCE, (ROOT / "README.md").read_text("utf-8"))
    lines = "".join(shell).splitlines()
    assert [line for line in lines if "pytest" in line] == ['pip install -e ".[test]" && pytest']
    assert "pip install . && keraunos demo" in lines


@pytest.mark.smoke
def test_every_setting_and_command_is_there():
    text = (ROOT / "README.md").read_text("utf-8")
    rows = [f"| `{name}` | `{setting.environment}` |" for name, setting in SETTINGS.items()]
    commands = [f"| `keraunos {command.callback.__name__}" for command in app.registered_commands]
    assert commands
    assert not [row for row in (*rows, *commands) if row not in text]
