"""Weights in files: round trips, files that do not fit or are damaged, and being killed."""

import itertools
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.frontend.errors import UsageError
from keraunos.frontend.saving.atomic import write_atomically
from keraunos.frontend.saving.checked import created, write_array


def dense(*units: int, inputs: int = 4) -> Any:
    return keraunos.Sequential([keraunos.Input((inputs,)), *(layers.Dense(n) for n in units)])


def filled(model: Any, start: float = 0.0) -> Any:
    """The model with weights that count up, so that each is another."""
    for index, weight in enumerate(model.weights):
        weight.assign(np.arange(weight.size).reshape(weight.shape) + start + 100 * index)
    return model


def assert_same(model: Any, arrays: list[np.ndarray]) -> None:
    for weight, array in zip(model.weights, arrays, strict=True):
        np.testing.assert_array_equal(weight.value, array)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.weights.h5"


def test_round_trip(path):
    model = filled(dense(3, 2))
    model.save_weights(path)
    other = filled(dense(3, 2), start=7.0)
    other.load_weights(path)
    assert_same(other, model.get_weights())


def test_loaded_weights_are_what_predicts(path):
    model, other = filled(dense(3)), filled(dense(3), start=7.0)
    x = np.ones((2, 4), "float32")
    assert not np.array_equal(other.predict_on_batch(x), model.predict_on_batch(x))
    model.save_weights(path)
    other.load_weights(path)
    np.testing.assert_array_equal(other.predict_on_batch(x), model.predict_on_batch(x))


def test_paths_and_order(path):
    model = keraunos.Sequential(
        [
            keraunos.Input((4,)),
            layers.Dense(3, name="first"),
            keraunos.Sequential([layers.BatchNormalization(name="norm")]),
            layers.Dense(2),
        ]
    )
    filled(model).save_weights(path)
    inner = "layers/sequential/layers/batch_normalization/vars"
    with h5py.File(path) as file:
        assert sorted(file["layers"]) == ["dense", "dense_1", "sequential"]
        assert file["layers/dense/vars"].attrs["name"] == "first"
        assert file["layers/dense_1/vars/0"].shape == (3, 2)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        kept = {w.name: w.value for w in model.layers[1].weights}
        for index, name in enumerate(names):
            np.testing.assert_array_equal(file[f"{inner}/{index}"], kept[name])


def test_a_shared_layer_is_saved_once(path):
    inputs, shared = keraunos.Input((4,)), layers.Dense(4)
    keraunos.Model(inputs, shared(shared(inputs))).save_weights(path)
    with h5py.File(path) as file:
        assert sorted(file["layers"]) == ["dense", "input_layer"]


def test_other_dtypes(path):
    def build() -> Any:
        return keraunos.Sequential(
            [keraunos.Input((4,)), layers.Dense(2, dtype="float64"), layers.Normalization()]
        )

    model, other = filled(build()), build()
    model.save_weights(path)
    other.load_weights(path)
    assert_same(other, model.get_weights())
    assert [weight.dtype for weight in other.weights] == [weight.dtype for weight in model.weights]


def test_a_subclass_of_model(path):
    class Two(keraunos.Model):
        def __init__(self) -> None:
            super().__init__()
            self.zeta, self.parts = layers.Dense(3), [layers.Dense(2), layers.Dense(1)]

        def call(self, x: Any) -> Any:
            return self.parts[1](self.parts[0](self.zeta(x)))

    model, other = Two(), Two()
    for each in (model, other):
        each(np.zeros((1, 4), "float32"))
    filled(model).save_weights(path)
    other.load_weights(path)
    assert_same(other, model.get_weights())
    with h5py.File(path) as file:
        # What comes after "layers" in the alphabet is found there first.
        assert sorted(file["layers"]) == ["dense", "dense_1", "dense_2"]


# What does not fit


def test_an_unbuilt_model(path):
    model = keraunos.Sequential([layers.Dense(3)])
    with pytest.raises(ValueError, match="expected a built model"):
        model.save_weights(path)
    with pytest.raises(ValueError, match="expected a built model"):
        model.load_weights(path)


@pytest.mark.parametrize("name", ["model.h5", "model.weights", "model"])
def test_names_of_files(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5"):
        dense(3).save_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5 or \.keras"):
        dense(3).load_weights(tmp_path / name)


def test_a_file_that_is_not_there(path):
    with pytest.raises(ValueError, match="there is none"):
        dense(3).load_weights(path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="expected a folder that exists"):
        dense(3).save_weights(tmp_path / "no" / "model.weights.h5")


def test_a_folder_in_the_way(path):
    path.mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        dense(3).save_weights(path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: dense(3, 5), r"expected shape \(3, 5\) of kernel; the file has \(3, 2\)"),
        (lambda: dense(3, 2, 1), r"expected 2 variables \(kernel, bias\); the file has 0"),
        (lambda: dense(3, 2, inputs=5), r"expected shape \(5, 3\) of kernel; the file has \(4, 3"),
    ],
)
def test_other_layers_load_nothing(path, other, message):
    filled(dense(3, 2)).save_weights(path)
    model = filled(other(), start=5.0)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(path)
    assert_same(model, before)


def test_skip_mismatch_loads_what_fits(path):
    saved = filled(dense(3, 2))
    saved.save_weights(path)
    model = filled(dense(3, 5), start=5.0)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="1 of 3 layers do not fit"):
        model.load_weights(path, skip_mismatch=True)
    assert_same(model, [*saved.get_weights()[:2], *before[2:]])


def test_layers_that_only_the_file_has_are_told(path):
    filled(dense(3, 2, 1)).save_weights(path)
    with pytest.warns(
        UserWarning, match="1 layers that the model does not: layers/dense_2"
    ) as told:
        dense(3, 2).load_weights(path)
    assert told[0].filename == __file__


def test_a_file_that_fits_brings_no_warning(path):
    filled(dense(3)).save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dense(3).load_weights(path)


def test_overwrite(path, monkeypatch):
    filled(dense(3)).save_weights(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="a path that is free"):
        dense(3).save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    answers = iter(["what", "n"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    dense(3).save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    monkeypatch.setattr("builtins.input", lambda _: "y")
    filled(dense(3), start=3.0).save_weights(path, overwrite=False)
    assert path.read_bytes() != before


# Damaged files


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_no_hdf5(path, content):
    path.write_bytes(content)
    model = filled(dense(3))
    before = model.get_weights()
    with pytest.raises(ValueError, match="damaged or something else"):
        model.load_weights(path)
    assert_same(model, before)


def test_a_file_cut_off_anywhere_loads_nothing_or_all(path):
    filled(dense(3, 2)).save_weights(path)
    whole = path.read_bytes()
    model = dense(3, 2)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError):
            model.load_weights(path)


def test_a_changed_byte_is_seen_or_changes_nothing(path):
    """Arrays in chunks, small ones, scalars, and all that describes them: each has a checksum."""
    model = dense(40, 60)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    variables = [*model.weights, *model.optimizer.variables]
    saved = [draw(variable) for variable in variables]
    _assign(variables, saved)
    model.save_weights(path)
    whole = path.read_bytes()
    before = [np.zeros(array.shape, array.dtype) for array in saved]
    declined = 0
    for place, mask in zip(range(0, len(whole), len(whole) // 45), itertools.cycle((1, 128, 255))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        _assign(variables, before)
        declined += (expected := _loaded(model, path, saved, before)) is before
        for variable, array in zip(variables, expected, strict=True):
            np.testing.assert_array_equal(variable.value, array)
    assert declined > 20


def draw(variable: Any) -> np.ndarray:
    return np.random.default_rng(variable.size).integers(1, 9, variable.shape, dtype="int32")


def _assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _loaded(model: Any, path: Path, saved: Any, before: Any) -> Any:
    """What the variables have to be: all new, or as before where the file was declined."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.load_weights(path)
    except UsageError:
        return before
    return saved


@pytest.mark.parametrize(
    "shape", [(), (0, 3), (5,), (3000,), (2000, 300), (300, 2, 3, 400), (2, 300000)]
)
@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_arrays_of_any_shape_come_back_and_are_checked(path, shape, dtype):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    with created(path) as file:
        write_array(file, "a", array)
    with h5py.File(path) as file:
        found = file["a"]
        assert found.fletcher32 or found.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
        np.testing.assert_array_equal(found[()], array)
        assert found.dtype == array.dtype


def test_a_damaged_weight_is_named(path):
    saved = filled(dense(3000))
    saved.save_weights(path)
    whole = path.read_bytes()
    weights = saved.weights[0].value.tobytes()
    place = whole.index(weights) + 5000
    path.write_bytes(whole[:place] + b"?" + whole[place + 1 :])
    with pytest.raises(UsageError, match=r"kernel of 'dense.*model\.weights\.h5' is damaged there"):
        dense(3000).load_weights(path)


def test_bytes_in_disorder_never_load_in_part(path):
    saved = filled(dense(3, 2))
    saved.save_weights(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    marked = filled(dense(3, 2), start=-1000.0)
    before = marked.get_weights()
    declined = 0
    for _ in range(150):
        damaged = np.frombuffer(whole, "uint8").copy()
        places = random.integers(0, len(whole), 30)
        damaged[places] ^= random.integers(1, 256, 30).astype("uint8")
        path.write_bytes(damaged.tobytes())
        marked.set_weights(before)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                marked.load_weights(path)
        except ValueError:
            declined += 1
            assert_same(marked, before)
    assert declined > 20


@pytest.mark.parametrize("kind", ["soft", "external"])
def test_links_are_declined(path, tmp_path, kind):
    """They could lead to any file of whoever loads this one."""
    dense(3).save_weights(path)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["0"] = np.zeros((4, 3), "float32")
    with h5py.File(path, "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        group["0"] = h5py.ExternalLink(secret, "0") if kind == "external" else h5py.SoftLink("/x")
    with pytest.raises(ValueError, match="without links"):
        dense(3).load_weights(path)


def test_text_in_place_of_numbers(path):
    dense(3).save_weights(path)
    with h5py.File(path, "a") as file:
        group = file["layers/dense/vars"]
        del group["1"]
        group["1"] = np.array([b"a", b"b", b"c"])
    with pytest.raises(ValueError, match="expected numbers for bias"):
        dense(3).load_weights(path)


# Replaced at once


def test_a_writer_that_fails_leaves_the_old_file(path):
    path.write_text("old")

    def write(new: Path) -> None:
        new.write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_one(path, tmp_path):
    target = tmp_path / "target.weights.h5"
    target.write_text("old")
    path.symlink_to(target)
    dense(3).save_weights(path)
    assert path.is_symlink()
    dense(3).load_weights(target)


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / ("x" * (255 - len(".weights.h5")) + ".weights.h5")
    dense(3).save_weights(path)
    assert os.listdir(tmp_path) == [path.name]
    dense(3).load_weights(path)


def test_leftovers_of_the_dead_are_removed_and_no_others(path):
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    host = os.uname().nodename
    dead = path.with_name(f".{path.name}.{host}.{int(done.stdout)}.aa.partial")
    alive = path.with_name(f".{path.name}.{host}.{os.getpid()}.aa.partial")
    elsewhere = path.with_name(f".{path.name}.another.{int(done.stdout)}.aa.partial")
    for leftover in (dead, alive, elsewhere):
        leftover.write_text("half")
    dense(3).save_weights(path)
    assert not dead.exists()
    assert alive.exists()
    assert elsewhere.exists()


SAVE_FOREVER = """
import sys, itertools
import numpy as np
import keraunos
from keraunos import layers
model = keraunos.Sequential([keraunos.Input((64,)), layers.Dense(256), layers.Dense(64)])
for number in itertools.count():
    model.set_weights([np.full(weight.shape, number, "float32") for weight in model.weights])
    model.save_weights(sys.argv[1])
    print(number, flush=True)
"""


def test_killed_while_saving_the_last_good_file_loads(path):
    model = keraunos.Sequential([keraunos.Input((64,)), layers.Dense(256), layers.Dense(64)])
    random = np.random.default_rng(0)
    for _ in range(3):
        command = [sys.executable, "-c", SAVE_FOREVER, os.fspath(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.random() * 0.1)
            process.send_signal(signal.SIGKILL)
            told = [0, *map(int, process.stdout.read().split())]
        model.load_weights(path)
        values = {float(each) for weight in model.weights for each in np.unique(weight.value)}
        assert len(values) == 1  # of one save alone
        assert values.pop() in (told[-1], told[-1] + 1)
