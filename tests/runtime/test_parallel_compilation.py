"""Kernels of a program, compiled with the help of a second process."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_texts import SOURCE, fresh, result

from keraunos.runtime.cpu import parallel_compilation
from keraunos.runtime.cpu.parallel_compilation import FEWEST, load_kernels
from keraunos.runtime.cpu.toolchain import KERNELS


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_compilation, "available_threads", lambda _: 2)


def fresh_kernels(count: int) -> tuple[list[str], list[int]]:
    sources, numbers = zip(*(fresh(SOURCE) for _ in range(count)), strict=True)
    return list(sources), list(numbers)


def test_kernels_come_in_order_and_count_as_compiled(folder: Path) -> None:
    sources, numbers = fresh_kernels(FEWEST + 4)
    kernels = load_kernels(sources)
    assert [result(kernel) for kernel in kernels] == numbers
    assert not any(kernel.cached for kernel in kernels)
    assert all((folder / f"{KERNELS.key(source)}.o").exists() for source in sources)
    assert all(kernel.cached for kernel in load_kernels(sources))


def test_one_of_them_twice(folder: Path) -> None:
    (source,), (number,) = fresh_kernels(1)
    kernels = load_kernels([source] * (FEWEST + 1))
    assert [result(kernel) for kernel in kernels] == [number] * (FEWEST + 1)


def test_the_helper_compiles_the_last_first(folder: Path) -> None:
    """Run to its end, it leaves nothing to compile."""
    sources, numbers = fresh_kernels(3)
    folder.mkdir()
    paths = [folder / f"{KERNELS.key(source)}.py" for source in sources]
    for path, source in zip(paths, sources, strict=True):
        path.write_text(source)
    subprocess.run(
        [sys.executable, "-P", "-m", parallel_compilation.__name__],
        env=os.environ | {"KERAUNOS_CACHE_DIR": str(folder)},
        input=json.dumps([str(path) for path in paths]),
        text=True,
        check=True,
        timeout=300,
    )
    written = [path.with_suffix(".o").stat().st_mtime_ns for path in paths]
    assert written == sorted(written, reverse=True)
    kernels = [KERNELS.load(source) for source in sources]
    assert all(kernel.cached for kernel in kernels)
    assert [result(kernel) for kernel in kernels] == numbers


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false", ""])
def test_without_help_nothing_is_missing(
    executable: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    sources, numbers = fresh_kernels(FEWEST)
    with caplog.at_level(logging.INFO, parallel_compilation.__name__):
        assert [result(kernel) for kernel in load_kernels(sources)] == numbers
    assert ("without a helper" in caplog.text) == (executable == "/nowhere/python")


@pytest.mark.parametrize("reason", ["few kernels", "one core", "frozen", "compiled before"])
def test_no_process_where_it_would_not_help(
    reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, numbers = fresh_kernels(FEWEST - 1 if reason == "few kernels" else FEWEST)
    if reason == "one core":
        monkeypatch.setattr(parallel_compilation, "available_threads", lambda _: 1)
    if reason == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    if reason == "compiled before":
        KERNELS.load(sources[0])

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert [result(kernel) for kernel in load_kernels(sources)] == numbers
