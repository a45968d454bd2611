"""Programs in files: they run as before, and a file that is not as it was saved is refused."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from here import HERE

import keraunos as keras
from keraunos import layers
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.program_file import OF_KERNELS, load_program, save_program
from keraunos.compiler.targets import NAMES
from keraunos.runtime import host_functions
from keraunos.runtime.devices import targets_here
from keraunos.runtime.executor import Executor
from keraunos.runtime.program import HostRow
from keraunos.runtime.program_file import ProgramFileError, read_program, write_program
from keraunos.runtime.records import Records

RNG = np.random.default_rng(0)
UPDATE = """graph step(%x: f32[N, 4]) -> f32[4] {
  $w : f32[4]
  %0 = sum(%x, axes=(0,))
  %1 = add($w, %0)
  update $w = %1
  return %1
}"""


def networks() -> dict[str, tuple[Any, np.ndarray]]:
    images = RNG.normal(size=(5, 12, 12, 3)).astype("float32")
    words = RNG.integers(0, 20, (3, 7)).astype("int32")
    return {
        "convolutions": (
            keras.Sequential(
                [
                    keras.Input((12, 12, 3)),
                    layers.Conv2D(8, 3, padding="same", activation="relu"),
                    layers.DepthwiseConv2D(3),
                    layers.BatchNormalization(),
                    layers.MaxPooling2D(),
                    layers.Flatten(),
                    layers.Dense(4, activation="softmax"),
                ]
            ),
            images,
        ),
        "words": (
            keras.Sequential(
                [
                    keras.Input((None,), dtype="int32"),
                    layers.Embedding(20, 6),
                    layers.LayerNormalization(),
                    layers.Dense(8, activation="gelu"),
                    layers.GlobalAveragePooling1D(),
                ]
            ),
            words,
        ),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Executable, np.ndarray]:
    """A file, what was saved in it, and an argument."""
    model, x = networks()["convolutions"]
    run = keras.compile(model)
    path = tmp_path_factory.mktemp("programs") / "model.keraunos"
    run.save(path)
    return path, run, x


def changed(
    source: Path, path: Path, change: Callable[[Any], object], weights: bytes | None = None
) -> Path:
    """The file with a description that is changed in place, and a checksum that is right."""
    description, rest = read_program(source, trusted=False)
    change(description)
    write_program(path, description, [np.frombuffer(rest if weights is None else weights, "u1")])
    return path


# They run as before.


@pytest.mark.parametrize("name", networks())
def test_a_program_from_a_file_is_the_program(name: str, tmp_path: Path) -> None:
    model, x = networks()[name]
    run = keras.compile(model)
    run.save(tmp_path / "p")
    loaded = keras.load_program(tmp_path / "p")
    assert loaded.program == run.program
    for n in (1, len(x)):
        np.testing.assert_array_equal(loaded(x[:n])[0], run(x[:n]))


def test_arguments_are_checked_at_the_one_door(
    saved: tuple[Path, Executable, np.ndarray],
) -> None:
    loaded, x = load_program(saved[0]), saved[2]
    for given, match in (
        (x.astype("float64"), "expected a contiguous array of float32, got float64"),
        (x[:, ::2], "got strides"),
        (x[:, :8].copy(), "expected"),
        (x[0], "expected"),
    ):
        with pytest.raises(ValueError, match=match):
            loaded(given)
    with pytest.raises(TypeError, match="got list"):
        loaded(x.tolist())


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64", "i32", "bool"])
def test_every_dtype_is_saved(dtype: str, tmp_path: Path) -> None:
    shape = f"{dtype}[N]"
    text = f"graph g(%x: {shape}, %y: bool[N]) -> {shape} {{\n  %0 = select(%y, %x, %x)\n"
    run = compile_graph(parse_ir(f"{text}  return %0\n}}"))
    run.save(tmp_path / "p")
    x = np.array([0, 1, 0], np.dtype(run.program.slots[run.program.inputs[0]].dtype))
    np.testing.assert_array_equal(load_program(tmp_path / "p")(x, np.ones(3, bool))[0], x)


def test_the_weights_are_those_of_the_time_of_saving(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    run, x = keras.compile(model), np.ones((2, 4), "float32")
    model.layers[0].kernel.assign(np.full((4, 3), 2.0))
    run.save(tmp_path / "p")
    before = run(x).copy()
    model.layers[0].kernel.assign(np.zeros((4, 3)))
    np.testing.assert_array_equal(keras.load_program(tmp_path / "p")(x)[0], before)


def test_state_goes_on_where_it_was_and_is_the_loaded_programs_own(tmp_path: Path) -> None:
    run, x = compile_graph(parse_ir(UPDATE)), np.ones((2, 4), "float32")
    run.set_parameters({"w": np.arange(4, dtype="float32")})
    run(x)
    run.save(tmp_path / "p")
    loaded = load_program(tmp_path / "p")
    np.testing.assert_array_equal(loaded(x)[0], np.arange(4) + 4)
    np.testing.assert_array_equal(loaded.state["w"], np.arange(4) + 4)
    np.testing.assert_array_equal(run.state["w"], np.arange(4) + 2)


def test_a_training_step_is_saved_too(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu")])
    model.compile("adam", "mse", metrics=["mae"])
    x, y = np.ones((2, 4), "float32"), np.zeros((2, 3), "float32")
    step = keras.compile(model.training_step(x, y))
    step.save(tmp_path / "p")
    assert load_program(tmp_path / "p").program == step.program


def test_empty_arguments_give_empty_results_or_an_error(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    path, _, x = saved
    assert load_program(path)(x[:0])[0].shape == (0, 4)
    run = compile_graph(parse_ir(UPDATE))
    run.set_parameters({"w": np.zeros(4, "float32")})
    run.save(tmp_path / "p")
    with pytest.raises(ValueError, match="step: expected arguments with elements"):
        load_program(tmp_path / "p")(np.zeros((0, 4), "float32"))


def test_calls_on_the_host_are_saved_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_functions, "_functions", {})
    seen = []
    host_functions.register("see", lambda label, reads, writes: seen.append(label))
    made = compile_graph(
        parse_ir("graph g(%x: f32[N]) -> f32[N] {\n  %0 = exp(%x)\n  return %0\n}")
    )
    (x,) = made.program.inputs
    program = replace(made.program, rows=(*made.program.rows, HostRow("see", (x,), (), "last")))
    save_program(tmp_path / "p", program, made.plan.kernels, Executor(program))
    loaded, one = load_program(tmp_path / "p"), np.ones(1, "float32")
    loaded(one)
    assert seen == ["last"] and loaded.program == program
    monkeypatch.setattr(host_functions, "_functions", {})
    with pytest.raises(ValueError, match="got 'see'"):
        load_program(tmp_path / "p")(one)


@pytest.mark.parametrize("name", NAMES)
def test_kernels_of_every_target_are_data(name: str) -> None:
    for model, _ in networks().values():
        kernels = keras.compile(model, target=name).plan.kernels
        read = OF_KERNELS.decode(tuple[type(kernels[0]), ...], OF_KERNELS.encode(kernels))
        assert read == kernels


def test_records_of_classes_that_are_defined_later_are_read() -> None:
    """A target's kernels have classes that are not there before somebody asks for it."""

    @dataclass(frozen=True)
    class Early:
        pass

    records = Records({})
    assert records.decode(Early, records.encode(Early())) == Early()

    @dataclass(frozen=True)
    class Late(Early):
        pass

    assert records.decode(Early, records.encode(Late())) == Late()


# Files.


def test_files_are_the_users_own_and_replaced_whole(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run, _ = saved
    assert path.stat().st_mode & 0o777 == 0o600
    copied, link = tmp_path / "p", tmp_path / "link"
    copied.write_bytes(b"as it was")
    link.symlink_to(copied)

    def fail(*paths: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            run.save(link)
    assert copied.read_bytes() == b"as it was" and len(list(tmp_path.iterdir())) == 2
    run.save(link)
    assert link.is_symlink() and load_program(link).program == run.program


def test_what_others_can_write_is_run_only_if_it_is_trusted(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    path, run, x = saved
    shared = tmp_path / "p"
    shared.write_bytes(path.read_bytes())
    shared.chmod(0o666)
    with pytest.raises(ProgramFileError, match=r"others can write .* pass trusted=True"):
        load_program(shared)
    np.testing.assert_array_equal(load_program(shared, trusted=True)(x)[0], run(x))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_program(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        for trusted in (False, True):
            with pytest.raises((ProgramFileError, IsADirectoryError)):
                load_program(path, trusted)


def test_what_users_get_wrong(tmp_path: Path) -> None:
    run = keras.compile(keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    with pytest.raises(ValueError, match=r"save: expected a folder that exists"):
        run.save(tmp_path / "none" / "p")
    with pytest.raises(ValueError, match="load_program: expected a file; there is none at"):
        keras.load_program(tmp_path / "p")
    (tmp_path / "p").write_text("other")
    with pytest.raises(ValueError, match=r"load_program: .*expected the file of a program"):
        keras.load_program(tmp_path / "p")


def test_parameters_have_to_be_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected values for \$w"):
        compile_graph(parse_ir(UPDATE)).save(tmp_path / "p")
    assert not list(tmp_path.iterdir())


# Damage.


def test_every_flipped_byte_and_every_cut_is_seen(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    content, path = saved[0].read_bytes(), tmp_path / "p"
    rng = random.Random(0)
    places = [*range(80), *(rng.randrange(len(content)) for _ in range(120))]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        for damaged in (bytes(flipped), content[:place]):
            path.write_bytes(damaged)
            path.chmod(0o600)
            with pytest.raises(ProgramFileError):
                load_program(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ProgramFileError, match="damaged"):
        load_program(path)


def test_another_format_target_or_emitter_is_said(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    source, path = saved[0], tmp_path / "p"
    path.write_bytes(source.read_bytes().replace(b"keraunos program 2", b"keraunos program 3", 1))
    path.chmod(0o600)
    with pytest.raises(ProgramFileError, match="expected format 2, got 3"):
        load_program(path)
    foreign = next(name for name in NAMES[1:] if name not in targets_here())

    def retarget(name: str) -> Callable[[Any], None]:
        return lambda description: description["program"].update(target=name)

    for name in (foreign, "cuda:sm_90", "cpu", "", "os.system"):
        with pytest.raises(
            ProgramFileError, match=f"expected a program for .* got one for '{name}'"
        ):
            load_program(changed(source, path, retarget(name)))
    with pytest.raises(ProgramFileError, match="expected the kernels of this installation"):
        load_program(changed(source, path, lambda description: description["texts"].reverse()))


# What was made up: the checksum is right.

BAD_NAMES = (
    "x); import os; os.system('true') #",
    "x\n    y",
    "x\n",
    '"""',
    "x y",
    "x.y",
    "x[0]",
    "print(1)",
    "\u00e9",
    "1e400e1",
    "--1",
    "x" * 10 + "\0",
)


def strings(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where strings stand that become parts of texts."""
    if isinstance(data, dict):
        return [p for key, each in data.items() for p in strings(each, (*path, key)) if key != "is"]
    if isinstance(data, list):
        return [p for index, each in enumerate(data) for p in strings(each, (*path, index))]
    return [path] if isinstance(data, str) else []


def put(data: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value


def test_arguments_that_are_missing_are_named(tmp_path):
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    keras.compile(keras.Model([a, b], a + b)).save(tmp_path / "sum")
    run = load_program(tmp_path / "sum")
    with pytest.raises(ValueError, match=r"2 arguments, a: float32\[N, 3\], b: .*; got 1"):
        run(np.ones((2, 3), "float32"))


def test_no_string_of_a_kernel_becomes_code(
    saved: tuple[Path, Executable, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, path = saved[0], tmp_path / "p"
    emitted = []
    monkeypatch.setattr(type(HERE), "emit", lambda self, kernel: emitted.append(kernel) or "")
    kernels = read_program(source, trusted=False)[0]["kernels"]
    places, rng = strings(kernels), random.Random(0)
    assert len(places) > 100
    for place in rng.sample(places, 60):
        for name in rng.sample(BAD_NAMES, 2):
            made = changed(source, path, lambda d, p=place, n=name: put(d["kernels"], p, n))
            with pytest.raises(ProgramFileError, match="expected"):
                load_program(made)
    assert not emitted


def test_texts_in_the_place_of_kernels_are_refused(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    text = {"is": "KernelText", "name": "k", "source": "import os"}
    for change in (
        lambda d: d["program"].update(kernels=[text]),
        lambda d: d.update(kernels=[text]),
        lambda d: d["kernels"][0].update(body=text),
        lambda d: d["kernels"][0].update(source="import os"),
    ):
        with pytest.raises(ProgramFileError, match="expected"):
            load_program(changed(saved[0], tmp_path / "p", change))


def test_parts_that_are_not_there_are_refused(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    def launch(description: Any) -> Any:
        return next(r for r in description["program"]["rows"] if r["is"] == "LaunchRow")

    changes: dict[str, Callable[[Any], Any]] = {
        "a kernel that there is": lambda d: launch(d).update(kernel=99),
        "the arguments of its kernel": lambda d: launch(d)["arguments"].pop(),
        "a slot that there is; got -1": lambda d: launch(d).update(reads=[-1]),
        "rows that it holds": lambda d: d["program"]["rows"][0].update(rows=10**6),
        "inputs among the slots": lambda d: d["program"].update(inputs=d["program"]["outputs"]),
        "a kind of slot": lambda d: d["program"]["slots"][0].update(kind="heap"),
        "a dtype of numbers; got 'object'": lambda d: d["program"]["slots"][0].update(
            dtype="object"
        ),
        "sizes of N; got 4\\*M": lambda d: d["program"]["slots"][0].update(bytes="4*M"),
        "bytes of its shape": lambda d: d["program"]["slots"][0].update(bytes="4*N"),
        "expected a size such as": lambda d: d["program"]["slots"][0].update(bytes="open('x')"),
        "expected int": lambda d: d["program"]["rows"][0].update(tile=1.5),
        "expected one of HostRow, got": lambda d: d["program"]["rows"][0].update({"is": "Popen"}),
        "a tile": lambda d: d["program"]["rows"][0].update(tile=0),
        "expected a program, its kernels": lambda d: d.pop("texts"),
    }
    assert read_program(saved[0], trusted=False)[0]["program"]["rows"][0]["is"] == "TileRow"
    for message, change in changes.items():
        made = changed(saved[0], tmp_path / "p", change)
        with pytest.raises(ProgramFileError, match=message):
            load_program(made)
    for weights in (b"", bytes(10**6)):
        with pytest.raises(ProgramFileError, match="as many bytes of weights"):
            load_program(changed(saved[0], tmp_path / "p", lambda d: d, weights))


def test_descriptions_changed_at_random_are_refused_or_the_same(
    saved: tuple[Path, Executable, np.ndarray], tmp_path: Path
) -> None:
    """Nothing but the one error, whatever stands where; nothing that is loaded is run."""
    source, rng = saved[0], random.Random(1)
    values = (None, True, -1, 10**30, 0.5, "", "N", "x", [], {}, [[]], {"is": "Slot"}, "9" * 5000)

    def mutate(data: Any) -> None:
        at, key, parent = data, None, None
        while isinstance(at, (dict, list)) and at and (parent is None or rng.random() < 0.85):
            parent, key = at, rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
            at = parent[key]
        parent[key] = rng.choice(values)

    refused = 0
    for _ in range(150):
        try:
            load_program(changed(source, tmp_path / "p", mutate))
        except ProgramFileError:
            refused += 1
    assert refused > 100


def test_deep_descriptions_are_refused(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    write_program(tmp_path / "p", deep, [])
    with pytest.raises(ProgramFileError):
        load_program(tmp_path / "p")
