"""The key of a kernel: whatever its machine code is made of, and nothing else."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_texts import fresh

from keraunos.compiler.cpu.emit.writer import Writer
from keraunos.runtime.cpu import toolchain
from keraunos.runtime.cpu.toolchain import KERNELS, LAYER
from keraunos.runtime.cuda.toolchain import LAYER as CUDA_LAYER
from keraunos.runtime.native import sources

PACKAGE = "keraunos.runtime"


def imports(text: str, package: str = f"{PACKAGE}.cpu") -> Iterator[str]:
    """The files of runtime/ that a module of ``package`` imports; kernels name them in full."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                yield name.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"


def kernel_texts() -> list[str]:
    """Modules of the package that are compiled as kernels are."""
    texts = [path.read_text("utf-8") for path in sources.RUNTIME.rglob("*.py")]
    return [text for text in texts if "\n@kernel_jit\ndef kernel(" in text]


def closure(files: set[str]) -> set[str]:
    reached: set[str] = set()
    while files:
        name = files.pop()
        path = sources.RUNTIME / name
        if name not in reached and path.exists():  # a name that was imported may be a function's
            reached.add(name)
            package = ".".join([PACKAGE, *Path(name).parent.parts])
            files |= set(imports(path.read_text("utf-8"), package))
    return reached


def test_imports_are_seen() -> None:
    text = "from . import a as b, c\nfrom .d import e\nimport keraunos.runtime.f\nimport numpy.g\n"
    text += "from keraunos.runtime.h import i\nfrom keraunos.runtime import j\nfrom ..k import l\n"
    own = {f"cpu/{name}.py" for name in ("a", "c", "d", "d/e")}
    assert own | {"f.py", "h.py", "j.py", "k.py"} <= set(imports(text))


def test_it_covers_what_kernels_import_and_what_that_imports() -> None:
    texts = kernel_texts()
    assert len(texts) == 3  # the interpreter, and both sides of the pool
    generated = {name.replace(".", "/") + ".py" for name in Writer(8).imports}
    needed = closure(generated.union(*map(imports, texts)))
    assert set(LAYER) == needed


def test_for_gpus_it_covers_what_kernels_import_what_compiles_them_and_what_that_imports() -> None:
    imported = {f"cuda/{name}.py" for name in ("vocabulary", "tiles")}
    assert set(CUDA_LAYER) == closure({*imported, "cuda/kernel_modules.py"})


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of runtime/ whose files the key is made of."""
    shutil.copytree(sources.RUNTIME, tmp_path / "runtime")
    monkeypatch.setattr(sources, "RUNTIME", tmp_path / "runtime")
    toolchain._fingerprint.cache_clear()
    yield tmp_path / "runtime"
    monkeypatch.undo()
    toolchain._fingerprint.cache_clear()


def test_it_changes_with_each_file(copied: Path) -> None:
    source, _ = fresh()
    keys = [KERNELS.key(source)]
    for name in (*LAYER, "cpu/interpreter.py"):
        toolchain._fingerprint.cache_clear()
        assert KERNELS.key(source) == keys[-1]
        with (copied / name).open("a") as file:
            file.write("\n# changed\n")
        toolchain._fingerprint.cache_clear()
        keys.append(KERNELS.key(source))
    # The interpreter's text is a kernel itself, and no part of others.
    assert len(set(keys)) == len(LAYER) + 1 and keys[-1] == keys[-2]


def test_it_changes_with_the_text() -> None:
    source, _ = fresh()
    assert KERNELS.key(source) == KERNELS.key(source)
    assert KERNELS.key(source + " ") != KERNELS.key(source)
