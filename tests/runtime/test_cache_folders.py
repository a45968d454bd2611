"""Whose kernels are loaded, where new ones go, and folders that hold other things than kernels."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kernel_texts import fresh, result

from keraunos.runtime import cache_files, cache_folders, trust
from keraunos.runtime.cache import _symbol, cache_info, clear_cache
from keraunos.runtime.cache_files import evict, seal, unseal
from keraunos.runtime.config import config
from keraunos.runtime.cpu import parallel_compilation
from keraunos.runtime.cpu.kernel_compiler import compile_text
from keraunos.runtime.cpu.parallel_compilation import FEWEST, load_kernels
from keraunos.runtime.cpu.toolchain import KERNELS
from keraunos.runtime.kernels import KernelError
from keraunos.runtime.native import machine_code
from keraunos.runtime.native.machine_code import load_object

Disown = Callable[[Path], None]

CHILD = """
import json, sys
from kernel_texts import result
from keraunos.runtime.cpu.toolchain import KERNELS
kernel = KERNELS.load(json.load(sys.stdin))
print(json.dumps([kernel.cached, result(kernel)]))
"""


def in_child(folder: Path, source: str) -> list[object]:
    """Whether another process has to compile a kernel, and what the kernel writes there."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"KERAUNOS_CACHE_DIR": str(folder), "PYTHONPATH": path},
        input=json.dumps(source),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def planted(folder: Path, source: str, instead: str) -> Path:
    """Puts well-formed machine code of another text where a kernel is looked for."""
    folder.mkdir(mode=0o700, exist_ok=True)
    key = KERNELS.key(source)
    code = compile_text(instead, folder / "planted.py", _symbol(key))
    path = folder / f"{key}.o"
    path.write_bytes(seal(code, key))
    path.chmod(0o600)
    return path


@pytest.fixture
def disown(monkeypatch: pytest.MonkeyPatch) -> Disown:
    """Makes a file or folder seem to be of a user that is neither this one nor root."""
    foreign: set[tuple[int, int]] = set()

    def seen(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def status(*args: object, **kwargs: object) -> os.stat_result:
            found = look(*args, **kwargs)
            if (found.st_dev, found.st_ino) not in foreign:
                return found
            return os.stat_result((*found[:4], os.geteuid() + 1, *found[5:]))

        return status

    def disown(path: Path) -> None:
        found = path.lstat()
        foreign.add((found.st_dev, found.st_ino))

    for name in ("fstat", "lstat"):
        monkeypatch.setattr(trust.os, name, seen(getattr(os, name)))
    return disown


def refused(folder: Path, source: str, number: int, match: str) -> None:
    """The kernel is right, a line says what is wrong with the folder, and nothing is put there."""
    before = sorted(folder.iterdir())
    with config.update(cache_dir=folder):
        with pytest.warns(RuntimeWarning, match=match) as told:
            kernel = KERNELS.load(source)
        assert len(told) == 1
        assert "KERAUNOS_CACHE_DIR" in str(told[0].message)
        assert not kernel.cached
        assert result(kernel) == number
        assert kernel.path.parent not in (folder, *folder.iterdir())
        assert stat.S_IMODE(kernel.path.parent.stat().st_mode) == 0o700
    assert sorted(folder.iterdir()) == before


# Whose folders and files


def test_folders_are_made_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with config.update(cache_dir=tmp_path / "a" / "b"):
            kernel = KERNELS.load(fresh()[0])
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")]
    assert modes == [0o700, 0o700]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a/b").iterdir()} == {0o600}
    assert kernel.path.parent == tmp_path / "a" / "b"


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o720])
def test_a_folder_that_others_can_write_to_is_not_read(tmp_path: Path, mode: int) -> None:
    source, number = fresh()
    planted(tmp_path / "kernels", source, fresh()[0])
    (tmp_path / "kernels").chmod(mode)
    refused(tmp_path / "kernels", source, number, "others can write to.*chmod go-w")


def test_another_users_folder_is_not_read(tmp_path: Path, disown: Disown) -> None:
    source, number = fresh()
    planted(tmp_path / "kernels", source, fresh()[0])
    disown(tmp_path / "kernels")
    refused(tmp_path / "kernels", source, number, f"belongs to user {os.geteuid() + 1}")


def test_a_folder_that_others_can_replace_is_not_read(tmp_path: Path, disown: Disown) -> None:
    for name in ("open", "owned"):
        (tmp_path / name).mkdir()
        source, number = fresh()
        planted(tmp_path / name / "kernels", source, fresh()[0])
        if name == "open":
            (tmp_path / name).chmod(0o777)
        else:
            disown(tmp_path / name)
        match = "chmod go-w" if name == "open" else "belongs to user"
        refused(tmp_path / name / "kernels", source, number, match)


def test_a_folder_within_one_that_is_sticky_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    with config.update(cache_dir=tmp_path / "sticky" / "kernels"), warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = KERNELS.load(fresh()[0])
    assert kernel.path.parent == tmp_path / "sticky" / "kernels"


@pytest.mark.parametrize("alone", [True, False])
def test_a_parent_may_be_open_to_a_group_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """Where each user has such a group, his folders are often open to it."""
    monkeypatch.setattr(trust, "_is_alone_in", lambda group, user: alone)
    (tmp_path / "kernels").mkdir(mode=0o700)
    tmp_path.chmod(0o770)
    if alone:
        trust.check_parents(tmp_path / "kernels")
    else:
        with pytest.raises(trust.Untrusted, match="chmod go-w"):
            trust.check_parents(tmp_path / "kernels")


def test_groups_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    user = type("User", (), {"pw_name": "ada"})
    monkeypatch.setattr(trust.pwd, "getpwuid", lambda _: user)
    for name, members, alone in (
        ("ada", [], True),
        ("ada", ["ada"], True),
        ("ada", ["ada", "bob"], False),
        ("staff", [], False),
    ):
        group = type("Group", (), {"gr_name": name, "gr_mem": members})
        monkeypatch.setattr(trust.grp, "getgrgid", lambda _, group=group: group)
        assert trust._is_alone_in(5, 5) == alone
    monkeypatch.setattr(trust.grp, "getgrgid", lambda number: {}[number])
    assert not trust._is_alone_in(5, 5)


@pytest.mark.parametrize("whose", ["another user's", "writable by all", "writable by a group"])
def test_files_that_others_can_have_written_are_not_loaded(
    folder: Path, disown: Disown, whose: str
) -> None:
    source, number = fresh()
    path = planted(folder, source, fresh()[0])
    if whose == "another user's":
        disown(path)
    else:
        path.chmod(0o602 if whose == "writable by all" else 0o620)
    kernel = KERNELS.load(source)
    assert (kernel.cached, result(kernel)) == (False, number)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert in_child(folder, source) == [True, number]


def test_what_this_user_planted_is_loaded(folder: Path) -> None:
    """The plant of these tests is one that would be run, if it were not for its owner and mode."""
    source, _ = fresh()
    other, number = fresh()
    planted(folder, source, other)
    kernel = KERNELS.load(source)
    assert (kernel.cached, result(kernel)) == (True, number)


# Folders for all


def test_each_user_has_a_folder_in_one_for_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    source, number = fresh()
    planted(tmp_path, source, fresh()[0])
    own = tmp_path / f"keraunos-{os.geteuid()}"
    with config.update(cache_dir=tmp_path), warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = KERNELS.load(source)
        assert cache_info().dir == own
    assert (kernel.cached, result(kernel)) == (False, number)
    assert kernel.path.parent == own
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert in_child(tmp_path, source) == [True, number]


@pytest.mark.parametrize("taken", ["by another user", "by a link", "by a file"])
def test_a_name_in_a_folder_for_all_that_is_taken(
    tmp_path: Path, disown: Disown, taken: str
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    own = shared / f"keraunos-{os.geteuid()}"
    source, number = fresh()
    if taken == "by another user":
        planted(own, source, fresh()[0])
        disown(own)
    elif taken == "by a link":
        planted(tmp_path / "elsewhere", source, fresh()[0])
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.touch()
    refused(shared, source, number, "cannot be used")


# Folders that are read alone


def test_a_cache_that_can_only_be_read_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, number = fresh()
    lacking, other = fresh()
    planted(folder, known, known)
    assert in_child(folder, known) == [True, number]  # and there is a text now
    before = sorted(folder.iterdir())
    monkeypatch.setattr(trust.os, "access", lambda path, *_, **__: Path(path) != folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = KERNELS.load(known)
    assert (kernel.cached, result(kernel), kernel.path.parent) == (True, number, folder)
    with pytest.warns(RuntimeWarning, match="no permission to write"):
        kernel = KERNELS.load(lacking)
    assert (kernel.cached, result(kernel)) == (False, other)
    assert KERNELS.is_compiled(lacking)
    assert kernel.path.parent != folder
    assert cache_info().dir == folder
    assert cache_info().entries == 2
    assert sorted(folder.iterdir()) == before


def test_a_helper_compiles_for_a_folder_that_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_compilation, "available_threads", lambda _: 2)
    tmp_path.chmod(0o777)
    pairs = [fresh() for _ in range(FEWEST)]
    with config.update(cache_dir=tmp_path), pytest.warns(RuntimeWarning):
        kernels = load_kernels([source for source, _ in pairs])
    assert [result(kernel) for kernel in kernels] == [number for _, number in pairs]
    assert not list(tmp_path.iterdir())


def test_a_link_to_a_folder_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "kernels")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with config.update(cache_dir=tmp_path / "link"):
        assert KERNELS.load(fresh()[0]).path.parent == tmp_path / "kernels"
    source, number = fresh()
    with config.update(cache_dir=tmp_path / "circle"), pytest.warns(RuntimeWarning):
        assert result(KERNELS.load(source)) == number


def test_a_folder_that_was_removed_is_made_again(folder: Path) -> None:
    KERNELS.load(fresh()[0])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    source, _ = fresh()
    assert not KERNELS.is_compiled(source)
    assert KERNELS.load(source).path.parent == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_place_to_write_to_stops_no_kernel(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_folders, "write_file", full)
    source, number = fresh()
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert result(KERNELS.load(source)) == number
    assert "is not kept" in caplog.text


FORKING = """
import os, sys, warnings
from kernel_texts import fresh, result
from keraunos.runtime.cpu.toolchain import KERNELS
warnings.simplefilter("ignore")

def folder():
    source, number = fresh()
    kernel = KERNELS.load(source)
    assert result(kernel) == number
    return str(kernel.path.parent)

def in_child(work):
    child = os.fork()
    if child == 0:
        work()
        sys.exit()
    return child
"""


def lines_of(code: str, folder: Path) -> list[str]:
    """What a process says that does this, and may not write to the cache; it has to end well."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    (folder / "kernels").mkdir(exist_ok=True)
    (folder / "kernels").chmod(0o777)
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    settings = {"KERAUNOS_CACHE_DIR": str(folder / "kernels"), "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", FORKING + code],
        env=os.environ | settings | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_temporary_folder_is_that_of_children_too_and_goes_with_the_last(tmp_path: Path) -> None:
    code = """
before = folder()
child = in_child(lambda: print(folder(), flush=True))
assert os.waitpid(child, 0)[1] == 0
print(before, folder(), flush=True)
waits, ends = os.pipe()
def on():
    os.close(ends)
    os.read(waits, 1)  # until the parent is gone
    print(folder(), os.path.isdir(before), flush=True)
in_child(on)
"""
    *folders, was_there = lines_of(code, tmp_path)
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert was_there == "True"
    assert not list((tmp_path / "temporary").iterdir())


def test_what_killed_processes_leave_behind_is_removed_by_others(tmp_path: Path) -> None:
    (left,) = lines_of("print(folder(), flush=True); os._exit(0)", tmp_path)
    assert Path(left).is_dir()
    other = tmp_path / "temporary" / "keraunos-0"
    other.mkdir()
    foreign = tmp_path / "temporary" / "keraunos-private-link"
    foreign.symlink_to(tmp_path / "kernels")
    code = f"""
child = in_child(lambda: print(folder(), flush=True))
assert os.waitpid(child, 0)[1] == 0
print(folder(), os.path.exists({left!r}))
"""
    *folders, is_left = lines_of(code, tmp_path)
    assert is_left == "False"
    assert left not in folders
    assert sorted((tmp_path / "temporary").iterdir()) == [other, foreign]
    assert (tmp_path / "kernels").is_dir()


# Wrong entries


def put_in_place(path: Path, kind: str, source: str) -> None:
    """Something wrong at the path of a kernel's file."""
    key = KERNELS.key(source)
    other = compile_text(fresh()[0], path, _symbol("0" * 64))
    content = {
        "empty": b"",
        "sealed noise": seal(bytes(range(256)), key),
        "a sealed half": seal(other[: len(other) // 2], key),
        "another's code": seal(other, "0" * 64),
        "code without its symbol": seal(other, key),
    }
    if kind in content:
        path.write_bytes(content[kind])
        path.chmod(0o600)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path, 0o600)
    elif kind == "a link":
        (path.parent / "target").write_bytes(b"")
        path.symlink_to(path.parent / "target")
    elif kind == "a link to itself":
        path.symlink_to(path)
    else:
        assert kind == "a socket"
        here = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
        path.chmod(0o600)


FILES = ["empty", "sealed noise", "a sealed half", "another's code", "code without its symbol"]
PLACES = ["a folder", "a pipe", "a link", "a link to itself", "a socket"]


@pytest.mark.parametrize("kind", [*FILES, *PLACES])
@pytest.mark.parametrize("ending", ["o", "py"])
@pytest.mark.timeout(120)
def test_what_is_wrong_is_built_again(folder: Path, kind: str, ending: str) -> None:
    folder.mkdir(mode=0o700)
    source, number = fresh()
    path = folder / f"{KERNELS.key(source)}.{ending}"
    put_in_place(path, kind, source)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kernel = KERNELS.load(source)
    assert (kernel.cached, result(kernel)) == (False, number)
    # Only a folder cannot be replaced, and so its kernel goes elsewhere.
    assert len(told) == (kind == "a folder")
    assert path.is_dir() if kind == "a folder" else path.is_file()
    if kind != "a folder":
        assert not path.is_symlink()
        assert path.read_bytes()
    clear_cache()


def test_exchanged_files_are_noticed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [fresh() for _ in range(2)]
    for source, _ in pairs:
        planted(folder, source, source)
    one, other = (folder / f"{KERNELS.key(source)}.o" for source, _ in pairs)
    both = one.read_bytes(), other.read_bytes()
    other.write_bytes(both[0])
    one.write_bytes(both[1])
    for source, number in pairs:
        assert result(KERNELS.load(source)) == number
    assert caplog.text.count("damaged and is rebuilt") == 2
    assert unseal(one.read_bytes(), KERNELS.key(pairs[0][0])) is not None


def test_objects_that_llvm_would_end_the_process_over() -> None:
    symbol = _symbol("1" * 64)
    code = compile_text(fresh()[0], Path("text.py"), symbol)
    assert load_object(code, symbol)
    for damaged, match in (
        (b"", "expected 64-bit"),
        (code[:64], "damaged"),
        (code[:-70], "damaged"),
        (code.replace(symbol.encode(), symbol.encode()[::-1]), "does not define"),
    ):
        with pytest.raises(KernelError, match=match):
            load_object(damaged, symbol)


def test_code_that_needs_what_kernels_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from keraunos.runtime.cpu.simd import kernel_jit, get, put, pointer_f64\n"
        "from keraunos.runtime.native.vecmath import sin\n@kernel_jit\n"
        "def kernel(args, thread, threads):\n"
        "    x = pointer_f64(args[0])\n    put(x, 0, sin(get(x, 0)))\n"
    )
    symbol = _symbol("2" * 64)
    code = compile_text(source, Path("text.py"), symbol).replace(b"\0sin\0", b"\0abc\0")
    with pytest.raises(KernelError, match="needs abc"):
        load_object(code, symbol)


def test_an_engine_that_goes_leaves_the_compiler_its_machine() -> None:
    """LLVM's engines free the machine that they were made with."""
    source = (
        "from keraunos.runtime.cpu.simd import kernel_jit, get, put, pointer_f64\n"
        "from keraunos.runtime.native.vecmath import sin\n@kernel_jit\n"
        "def kernel(args, thread, threads):\n"
        "    x = pointer_f64(args[0])\n    put(x, 0, sin(get(x, 0)))\n"
    )
    machine_code._engine().close()
    assert compile_text(source, Path("text.py"), _symbol("3" * 64))


def test_threads_that_load_first_share_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    engine = machine_code._engine

    def slow() -> object:
        made.append(engine())
        return made[-1]

    monkeypatch.setattr(machine_code, "_engine", slow)
    monkeypatch.setattr(machine_code, "_loader", machine_code._Loader())
    codes = [compile_text(fresh()[0], Path("t.py"), _symbol(f"{k:064}")) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(load_object, codes, [_symbol(f"{k:064}") for k in range(4)]))
    assert len(set(addresses)) == 4
    assert len(made) == 1


# Cleaning up


def kernel_file(folder: Path, digit: str, size: int = 1000) -> Path:
    path = folder / f"{digit * 64}.o"
    path.write_bytes(b"x" * size)
    return path


def test_what_is_no_kernel_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    kernel = kernel_file(folder, "a")
    (folder / ("b" * 64 + ".d")).mkdir()
    os.mkfifo(folder / ("c" * 64 + ".o"))
    (folder / ("d" * 64 + ".o")).symlink_to(kernel)
    (folder / "notes.txt").touch()
    (folder / ".keraunos-folder.tmp").mkdir()
    os.utime(folder / ".keraunos-folder.tmp", (1, 1))
    before = sorted(folder.iterdir())
    assert (cache_info().entries, cache_info().bytes) == (1, 1000)
    evict(folder, 0, keep="a" * 64)
    assert sorted(folder.iterdir()) == before
    assert clear_cache() == 1
    assert sorted(folder.iterdir()) == [path for path in before if path != kernel]


def test_files_that_cannot_be_removed_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    foreign = kernel_file(folder, "a"), folder / ".keraunos-a.tmp"
    foreign[1].touch()
    for path in foreign:
        os.utime(path, (1, 1))
    own = kernel_file(folder, "b")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path in foreign:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    evict(folder, 1500, keep="")  # the foreign one is older, but cannot make room
    assert sorted(folder.iterdir()) == sorted(foreign)
    own = kernel_file(folder, "b")
    assert clear_cache() == 1
    assert not own.exists()


def test_files_that_vanish_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    kernel_file(folder, "a")
    found = cache_files.entries(folder)
    (folder / ("a" * 64 + ".o")).unlink()
    assert cache_files.remove(found[0])
    monkeypatch.setattr(cache_files, "entries", lambda _: found)
    evict(folder, 0, keep="")


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    evict(tmp_path / "nowhere", 0, keep="")
    assert cache_files.entries(tmp_path / "nowhere") == []
