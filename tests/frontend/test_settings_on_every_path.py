"""Settings hold on every path into a program, on its first call and its second, from when on they
are set."""

import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pytest
from tiers import deep

import keraunos as keras
from keraunos import config, layers, metrics, ops
from keraunos.compiler import pipeline
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import profile
from keraunos.runtime import cache
from keraunos.runtime.cache_files import unseal
from keraunos.runtime.cpu import kernel_compiler, parallel_compilation
from keraunos.runtime.cpu.binding import Binding
from keraunos.runtime.cpu.host import host
from keraunos.runtime.cpu.toolchain import KERNELS
from keraunos.runtime.native.features import LANE_CHOICES

GOOD = np.ones((4, 8), "float32")
BAD = GOOD.copy()
BAD[0, :2] = np.inf, -np.inf
Y = np.zeros((4, 4), "float32")


def small_model():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def through_model(run):
    def begin():
        model = small_model()
        return lambda x: run(model, x)

    return begin


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, x):
            return self.dense(x)

    return Own()


def bare_graph():
    graph = keras.trace(small_model())
    run = compile_graph(graph)
    run.set_parameters({node.attrs["name"]: np.ones(node.shape) for node in graph.parameters})
    return run


def from_a_file():
    with tempfile.TemporaryDirectory() as folder:
        keras.compile(small_model()).save(f"{folder}/program")
        return keras.load_program(f"{folder}/program")


def compiled_step():
    model = small_model()
    run = keras.compile(model.training_step(GOOD, Y))
    return lambda x: run(x, Y)


def update():
    weight, optimizer = keras.Variable(np.ones((4, 8))), keras.optimizers.Adam()
    return lambda x: optimizer.apply([x], [weight])


def update_by_a_function():
    weight, optimizer = keras.Variable(np.ones((4, 8))), keras.optimizers.SGD(lambda: 0.1)
    return lambda x: optimizer.apply([x], [weight])


def metric():
    mean = metrics.Mean()
    return lambda x: (mean.reset_state(), mean.update_state(x))


COMPILED = {
    "call": through_model(lambda m, x: m(x)),
    "call in training": through_model(lambda m, x: m(x, training=True)),
    "call of a layer": lambda: layers.Dense(4),
    "call of a subclass": subclassed,
    "predict": through_model(lambda m, x: m.predict(x, verbose=0)),
    "predict by batches": through_model(lambda m, x: m.predict(x, batch_size=3, verbose=0)),
    "predict a stream": through_model(lambda m, x: m.predict(iter([x, x]), steps=2, verbose=0)),
    "predict_on_batch": through_model(lambda m, x: m.predict_on_batch(x)),
    "predict_on_batch of a subclass": lambda: subclassed().predict_on_batch,
    "fit": through_model(lambda m, x: m.fit(x, Y, verbose=0)),
    "evaluate": through_model(lambda m, x: m.evaluate(x, Y, verbose=0)),
    "train_on_batch": through_model(lambda m, x: m.train_on_batch(x, Y)),
    "test_on_batch": through_model(lambda m, x: m.test_on_batch(x, Y)),
    "compile": lambda: keras.compile(small_model()),
    "from a file": from_a_file,
    "compile a step": compiled_step,
    "compile a graph": bare_graph,
    "profile": lambda: lambda x, run=bare_graph(): profile(run, x, repeats=1),  # noqa: B008
    "compare": through_model(lambda m, x: keras.compare(m, x, variants="default", repeats=1)),
    "grad": lambda: keras.grad(lambda x: ops.sum(ops.square(x))),
    "value_and_grad": lambda: keras.value_and_grad(lambda x: ops.sum(ops.square(x))),
    "update on arrays": update,
}
EAGER = {
    "op": lambda: lambda x: ops.square(x),
    "operator": lambda: lambda x, v=keras.Variable(1.0): v + x,  # noqa: B008
    "metric": metric,
    "loss": lambda: lambda x: keras.losses.mean_squared_error(x, GOOD),
    "update by a function": update_by_a_function,
}


@pytest.mark.parametrize("path", [*COMPILED, *EAGER])
def test_check_finite_holds_on_every_call(path):
    run = {**COMPILED, **EAGER}[path]()
    run(GOOD)
    with config.update(check_finite=True):
        for _ in range(3):
            run(GOOD)
            with pytest.raises(ValueError, match=r"expected finite results\. The first: "):
                run(BAD)
        run(GOOD)
    run(BAD)


@pytest.mark.parametrize("path", ["fit", "train_on_batch", "update on arrays"])
def test_steps_that_are_stopped_leave_the_weights(path):
    model = small_model()
    model.optimizer.learning_rate = 0.1
    run = {
        "fit": lambda x: model.fit(x, Y, verbose=0),
        "train_on_batch": lambda x: model.train_on_batch(x, Y),
        "update on arrays": lambda x: model.optimizer.apply(
            [x[0, 0] * np.ones((8, 4)), np.ones(4)], model.trainable_weights
        ),
    }[path]
    run(GOOD)
    before = model.get_weights()
    with config.update(check_finite=True), pytest.raises(ValueError, match="finite"):
        run(BAD)
    for array, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, value)


def test_means_over_nothing_are_not_finite():
    run = compile_graph(
        parse_ir(
            "graph g(%x: f32[N]) -> f32[] {\n  %0 = mean(%x, axes=(0,)) : f32[]\n  return %0\n}"
        )
    )
    nothing = np.zeros(0, "float32")
    assert np.isnan(run(nothing)[0])
    with config.update(check_finite=True), pytest.raises(ValueError, match="finite"):
        run(nothing)


@pytest.mark.parametrize("path", COMPILED)
def test_threads_hold_from_the_next_call_on(path, monkeypatch):
    used = []
    begin = Binding.__init__

    def bound(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        used.append(self.threads)

    monkeypatch.setattr(Binding, "__init__", bound)
    run = COMPILED[path]()
    for threads in (2, 1, 3, 3):
        with config.update(threads=threads):
            used.clear()
            run(GOOD)
            assert set(used) <= {threads}
            if threads != 3:
                assert used


# The compiler's own functions keep their frames at any time.
NOT_THE_FRONTENDS = ("compile a graph", "profile", "from a file")
FRONTEND = [path for path in (*COMPILED, *EAGER) if path not in NOT_THE_FRONTENDS]


@pytest.mark.parametrize("path", FRONTEND)
@pytest.mark.parametrize("debug", [0, 1])
def test_debug_keeps_the_packages_own_frames_on_every_path(path, debug):
    run = {**COMPILED, **EAGER}[path]()
    run(GOOD)
    with config.update(check_finite=True, debug=debug):
        for _ in range(2):
            with pytest.raises(ValueError, match="finite") as caught:
                run(BAD)
            frames = {frame.name for frame in traceback.extract_tb(caught.tb)}
            assert bool(frames & {"_checked", "_evaluate_now"}) == bool(debug), frames


@pytest.mark.parametrize("path", COMPILED)
def test_verify_holds_for_whatever_is_compiled_next(path, monkeypatch):
    verified = []
    monkeypatch.setattr(pipeline, "verify", lambda graph, stage: verified.append(stage))
    for verify in (False, True):
        with config.update(verify=verify):
            verified.clear()
            COMPILED[path]()(GOOD)
            assert bool(verified) == verify


# The paths by which kernels are compiled; the others take one of them.
COMPILING = ("call", "fit", "compile", "from a file", "compile a graph", "grad", "update on arrays")
ALL_PATHS = [each for path in COMPILED for each in deep(path, when=path not in COMPILING)]


@pytest.fixture
def compiled_before(monkeypatch):
    """Forgets what is loaded; what would be compiled comes from the session's own folder."""
    compile_text, session = kernel_compiler.compile_text, cache.cache_folder()

    def compiled(source, path, symbol):
        key = KERNELS.key(source)
        known = session / f"{key}.o"
        found = unseal(known.read_bytes(), key) if known.exists() else None
        return compile_text(source, path, symbol) if found is None else found

    monkeypatch.setattr(kernel_compiler, "compile_text", compiled)
    monkeypatch.setattr(parallel_compilation, "_is_worth_it", lambda sources: False)
    return lambda: monkeypatch.setattr(cache, "_state", cache._State())


@pytest.mark.parametrize("path", ALL_PATHS)
def test_kernels_are_kept_in_the_folder_that_is_set(path, compiled_before, tmp_path):
    COMPILED[path]()(GOOD)
    kept = {}
    for name in ("one", "other"):
        compiled_before()
        with config.update(cache_dir=tmp_path / name):
            run = COMPILED[path]()
            run(GOOD)
            kept[name] = sorted(file.name for file in (tmp_path / name).glob("*.o"))
        run(GOOD)
        assert kept[name] == sorted(file.name for file in (tmp_path / name).glob("*.o"))
    assert kept["one"] == kept["other"] != []


@pytest.mark.parametrize("path", ALL_PATHS)
def test_as_many_bytes_are_kept_as_are_set(path, compiled_before, tmp_path):
    COMPILED[path]()(GOOD)
    left = {}
    for most in (0, 10**9):
        compiled_before()
        folder = tmp_path / str(most)
        with config.update(cache_dir=folder, cache_max_bytes=most):
            COMPILED[path]()(GOOD)
        left[most] = len(list(folder.glob("*.o")))
        assert cache.cache_info().misses >= left[most]
    assert left[0] == 1  # the last to be compiled
    assert left[10**9] >= 1


RESULTS = """
import sys
import numpy as np
from test_settings_on_every_path import COMPILED, results
from keraunos.runtime.native.simd_types import LANES
assert LANES == int(sys.argv[2])
np.savez(sys.argv[1], **results())
"""


def results():
    """What paths give that give numbers."""
    return {path: found for path in COMPILED if (found := numbers(path)) is not None}


def numbers(path):
    keras.utils.set_random_seed(1)
    found = COMPILED[path]()(GOOD)
    found = found.history["loss"] if isinstance(found, keras.callbacks.History) else found
    if isinstance(found, (list, tuple)):
        return np.concatenate([np.ravel(each) for each in found])
    return np.asarray(found) if isinstance(found, (float, np.ndarray)) else None


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [lanes for lanes in LANE_CHOICES if lanes < host().lanes])
def test_narrower_vectors_give_the_same(lanes, tmp_path):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", RESULTS, str(tmp_path / "found.npz"), str(lanes)],
        env=os.environ | {"KERAUNOS_LANES": str(lanes), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = results()
    found = np.load(tmp_path / "found.npz")
    assert set(found) == set(expected) and len(expected) > 15
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6, err_msg=name)
