"""Kernels on disk: hits, damage, folders that cannot be used, eviction, several processes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kernel_texts import fresh, result
from numba.core.errors import TypingError

from keraunos.runtime import cache_folders
from keraunos.runtime.cache import cache_info, clear_cache
from keraunos.runtime.cache_files import seal, unseal
from keraunos.runtime.config import config
from keraunos.runtime.cpu.toolchain import KERNELS
from keraunos.runtime.kernels import KernelError
from keraunos.runtime.native.machine_code import undefined_symbols

LIBM = """
from keraunos.runtime.cpu.simd import get, kernel_jit, pointer_f64, put
from keraunos.runtime.native.vecmath import sin
@kernel_jit
def kernel(args, thread, threads):
    x = pointer_f64(args[0])
    put(x, 0, sin(get(x, 0) + {number}))
"""
CHILD = """
import ctypes, json, sys
import numpy as np
from keraunos.runtime.cpu.toolchain import KERNELS
results = []
for source in json.load(sys.stdin):
    kernel = KERNELS.load(source)
    out = np.zeros(1, np.int64)
    args = np.array([out.ctypes.data])
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    prototype(kernel.address)(args.ctypes.data, 0, 1)
    results.append([kernel.cached, kernel.seconds, int(out[0])])
print(json.dumps(results))
"""


def start_child(folder: Path, sources: list[str]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"KERAUNOS_CACHE_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(sources))
    child.stdin.close()
    child.stdin = None
    return child


def in_child(folder: Path, sources: list[str]) -> list[tuple[bool, float, int]]:
    output, errors = (child := start_child(folder, sources)).communicate(timeout=300)
    assert child.returncode == 0, errors
    return [tuple(row) for row in json.loads(output)]


def test_what_is_on_disk_loads_without_numba(folder: Path) -> None:
    source, number = fresh()
    KERNELS.load(source)
    check = CHILD + "assert not any(name.startswith('numba') for name in sys.modules)"
    child = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"KERAUNOS_CACHE_DIR": str(folder)},
        input=json.dumps([source]),
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout)[0][0::2] == [True, number]


def test_a_miss_then_hits(folder: Path) -> None:
    source, number = fresh()
    before = cache_info()
    first = KERNELS.load(source)
    again = KERNELS.load(source)
    after = cache_info()
    assert (first.cached, again.cached) == (False, True)
    assert first.address == again.address
    assert result(first) == number
    assert first.path == folder / f"{first.key}.py"
    assert first.path.read_text() == source
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)
    assert (after.entries, after.dir) == (1, folder)
    assert after.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_another_process_compiles_nothing(folder: Path) -> None:
    sources = [fresh()[0] for _ in range(3)]
    numbers = [result(KERNELS.load(source)) for source in sources]
    rows = in_child(folder, sources)
    assert [row[0] for row in rows] == [True] * 3
    assert [row[2] for row in rows] == numbers
    assert min(row[1] for row in rows) < 0.015


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_damage_is_repaired(folder: Path, damage: str) -> None:
    source, number = fresh()
    kernel = KERNELS.load(source)
    code = kernel.path.with_suffix(".o")
    whole = code.read_bytes()
    if damage == "truncate":
        code.write_bytes(whole[: len(whole) // 2])
    elif damage == "flip":
        code.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif damage == "empty":
        code.write_bytes(b"")
    else:
        kernel.path.write_text("half a ker")
    ((cached, _, written),) = in_child(folder, [source])
    assert written == number
    assert cached == (damage == "text")
    assert kernel.path.read_text() == source
    assert unseal(code.read_bytes(), kernel.key) is not None
    assert in_child(folder, [source])[0][0]


def test_seal() -> None:
    assert unseal(seal(b"code", "key"), "key") == b"code"
    assert unseal(seal(b"code", "key")[:-1], "key") is None
    assert unseal(seal(b"code", "key"), "other") is None
    assert unseal(seal(b"code"), "key") is None
    assert unseal(b"", "key") is None


def test_damage_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, number = fresh()
    folder.mkdir()
    (folder / f"{KERNELS.key(source)}.o").write_bytes(b"junk")
    (folder / f"{KERNELS.key(source)}.py").write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.WARNING):
        assert result(KERNELS.load(source)) == number
    assert "damaged and is rebuilt" in caplog.text
    assert "damaged and is written again" in caplog.text


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with config.update(cache_dir=tmp_path / "file" / "kernels"):
        source, number = fresh()
        with pytest.warns(RuntimeWarning, match="KERAUNOS_CACHE_DIR"):
            kernel = KERNELS.load(source)
        assert result(kernel) == number
        other, number = fresh()  # no second warning: pytest makes it an error below
        assert result(KERNELS.load(other)) == number
        assert cache_info().dir == kernel.path.parent
        assert kernel.path.exists()


def test_a_full_disk_still_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = cache_folders.write_file

    def full(path: Path, content: bytes) -> None:
        if path.parent == folder:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(cache_folders, "write_file", full)
    source, number = fresh()
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert result(KERNELS.load(source)) == number


def test_least_recently_used_goes_first(folder: Path) -> None:
    kernels = [KERNELS.load(fresh()[0]) for _ in range(3)]
    size = cache_info().bytes // 3
    for age, kernel in zip((300, 100, 200), kernels, strict=True):
        for path in folder.glob(kernel.key + "*"):
            os.utime(path, (time.time() - age,) * 2)
    with config.update(cache_max_bytes=size * 2 + size // 2):
        newest = KERNELS.load(fresh()[0])
    left = {path.name[:64] for path in folder.iterdir()}
    assert left == {kernels[1].key, newest.key}
    assert result(kernels[0]) > 0  # loaded code stays


def test_the_kernel_just_built_stays_in_a_folder_too_small_for_it(folder: Path) -> None:
    older = KERNELS.load(fresh()[0])
    with config.update(cache_max_bytes=1):
        newest = KERNELS.load(fresh()[0])
    assert {path.name[:64] for path in folder.iterdir()} == {newest.key}
    assert older.key != newest.key


def test_use_makes_a_kernel_recent(folder: Path) -> None:
    source, _ = fresh()
    kernel = KERNELS.load(source)
    code = kernel.path.with_suffix(".o")
    os.utime(code, (1, 1))
    in_child(folder, [source])
    assert code.stat().st_mtime > 1000


def test_abandoned_temporary_files_go(folder: Path) -> None:
    folder.mkdir()
    old, young = folder / ".keraunos-a.tmp", folder / ".keraunos-b.tmp"
    foreign = folder / ".notes.tmp"
    foreign.touch()
    old.touch()
    young.touch()
    for path in (old, foreign):
        os.utime(path, (1, 1))
    KERNELS.load(fresh()[0])
    assert [path.exists() for path in (old, young, foreign)] == [False, True, True]


def test_clear_cache(folder: Path) -> None:
    KERNELS.load(fresh()[0])
    KERNELS.load(fresh()[0])
    (folder / "notes.txt").write_text("not a kernel")
    assert clear_cache() == 2
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert cache_info().entries == 0


def test_threads_compile_a_kernel_once(folder: Path) -> None:
    source, number = fresh()
    with ThreadPoolExecutor(4) as pool:
        kernels = list(pool.map(KERNELS.load, [source] * 8))
    assert [kernel.cached for kernel in kernels].count(False) == 1
    assert {kernel.address for kernel in kernels} == {kernels[0].address}
    assert result(kernels[0]) == number


def test_processes_share_a_folder(folder: Path) -> None:
    pairs = [fresh() for _ in range(4)]
    sources = [source for source, _ in pairs]
    children = [start_child(folder, sources) for _ in range(3)]
    for child in children:
        output, errors = child.communicate(timeout=300)
        assert child.returncode == 0, errors
        assert [row[2] for row in json.loads(output)] == [number for _, number in pairs]
    assert len(list(folder.iterdir())) == 8


def test_libm_is_reached_from_a_cached_kernel(folder: Path) -> None:
    source, number = fresh(LIBM)
    kernel = KERNELS.load(source)
    machine_code = unseal(kernel.path.with_suffix(".o").read_bytes(), kernel.key)
    assert machine_code is not None
    assert undefined_symbols(machine_code) == {"sin"}
    assert result(kernel, np.float64) == pytest.approx(np.sin(number), abs=1e-15)
    cached, _, bits = in_child(folder, [source])[0]
    assert cached
    assert np.int64(bits).view(np.float64) == result(kernel, np.float64)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("kernel = 3", KernelError, "expected a function named `kernel`"),
        ("", KernelError, "got None"),
        (
            "from keraunos.runtime.cpu.simd import kernel_jit\n@kernel_jit\n"
            "def kernel(args, thread, threads):\n    args[0] = len([thread] * threads)\n",
            KernelError,
            "needs .*NRT.*not available inside kernels",
        ),
        (
            "from keraunos.runtime.cpu.simd import kernel_jit\n@kernel_jit\n"
            "def kernel(args, thread, threads):\n    args[0] = nothing_of_that_name\n",
            TypingError,
            "nothing_of_that_name",
        ),
    ],
)
def test_bad_kernels(folder: Path, body: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        KERNELS.load(body)
    text = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert KERNELS.key(body)[:40] in text
    assert not list(folder.glob("*.o"))
