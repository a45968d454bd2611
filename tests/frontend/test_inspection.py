"""keraunos.compile, explain, compare and dump: a model's executable behaves as the model does."""

import subprocess
import sys

import numpy as np
import pytest

import keraunos
from keraunos import Input, Model, Sequential, layers
from keraunos.compiler.executable import Executable
from keraunos.frontend.tracing import specs_of, trace_call

X = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")


def two_ended() -> Model:
    first, second = Input((4,), name="first"), Input((4,), name="second")
    total = layers.Add(name="total")([first, layers.Dense(4)(second)])
    return Model([first, second], {"total": total, "second": layers.ReLU()(second)})


@pytest.fixture
def model() -> Model:
    return Sequential([Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)])


def test_an_executable_gives_what_the_model_gives(model):
    executable = keraunos.compile(model)
    assert isinstance(executable, Executable)
    np.testing.assert_array_equal(executable(X), model(X))
    np.testing.assert_array_equal(executable(X.astype("float64").tolist()), model(X))
    assert executable(X[:0]).shape == (0, 2)


def test_several_inputs_and_outputs_keep_their_nesting():
    model = two_ended()
    executable = keraunos.compile(model)
    expected = model([X, 2 * X])
    calls = (
        executable([X, 2 * X]),
        executable(X, 2 * X),
        executable({"first": X, "second": 2 * X}),
    )
    for found in calls:
        assert found.keys() == {"total", "second"}
        np.testing.assert_array_equal(found["total"], expected["total"])
        np.testing.assert_array_equal(found["second"], expected["second"])


def test_weights_follow_the_model_s(model):
    executable = keraunos.compile(model)
    executable(X)
    model.layers[1].bias.assign([5.0, 7.0])
    np.testing.assert_array_equal(executable(X), model(X))
    model.layers[1].bias.assign([1.0, 1.0])
    assert executable.profile(X, repeats=1).repeats == 1
    np.testing.assert_array_equal(executable(X), model(X))


def test_a_function_of_tensors_takes_shapes():
    executable = keraunos.compile(lambda x: keraunos.ops.relu(x) + 1, (None, 4))
    np.testing.assert_allclose(executable(X), np.maximum(X, 0) + 1)


def test_a_graph_runs_once_its_weights_are_set(model):
    traced = trace_call(model, specs_of(model, ()))
    executable = keraunos.compile(keraunos.parse_ir(str(traced.graph)))
    with pytest.raises(ValueError, match=r"expected values for \$dense.*set_parameters"):
        executable(X)
    executable.set_parameters({name: v.value for name, v in traced.variables.items()})
    np.testing.assert_array_equal(executable(X), model(X))


def test_a_graph_s_outputs_are_an_array_or_a_tuple():
    text = "graph g(%x: f32[N, 4]) -> (f32[N, 4], f32[N, 4]) {\n%0 = relu(%x)\n%1 = exp(%x)\n"
    both = keraunos.compile(keraunos.parse_ir(text + "return %0, %1\n}"))(X)
    assert isinstance(both, tuple)
    np.testing.assert_array_equal(both[0], np.maximum(X, 0))


def test_passes_and_targets_are_chosen_by_name(model):
    unfused = keraunos.compile(model, passes="none")
    assert unfused.report.launches > keraunos.compile(model).report.launches
    assert unfused.report.launches == keraunos.compile(model, disable=["fuse"]).report.launches
    np.testing.assert_allclose(unfused(X), model(X), rtol=1e-5)
    with pytest.raises(ValueError, match=r"expected a target among 'cpu', .*; received 'tpu'"):
        keraunos.compile(model, target="tpu")
    with pytest.raises(ValueError, match="got 'fusee'; did you mean fuse"):
        keraunos.compile(model, passes=("fusee",))
    with pytest.raises(ValueError, match="expected a model, a layer, a function"):
        keraunos.compile(3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X[0],), r"expected f32\[N, 4\]; received shape \(4,\). One sample"),
        ((X[:, :3],), r"expected f32\[N, 4\]; received shape \(3, 3\)"),
        ((X, X), r"expected inputs %x: f32\[N, 4\]; received 2 arrays"),
    ],
)
def test_inputs_that_do_not_fit(model, given, message):
    model(X)
    executable = keraunos.compile(lambda x: model(x), (None, 4))
    with pytest.raises(ValueError, match=message):
        executable(*given)


def test_inputs_of_another_kind(model):
    with pytest.raises(TypeError, match="expected numbers"):
        keraunos.compile(model)("text")
    lookup = Sequential([Input((2,), dtype="int32"), layers.Lambda(lambda x: x + 1)])
    with pytest.raises(ValueError, match=r"received float32\. Round it first"):
        keraunos.compile(lookup)(np.ones((1, 2), "float32"))


def test_explaining_a_model(model):
    assert "matmul+add+relu" in str(model.explain())
    assert str(keraunos.explain(model)) == str(model.explain())
    assert not model.explain(only="declined").decisions


def test_comparing_a_model(model):
    comparison = keraunos.compare(model, X, variants=["none", "default"], repeats=1)
    assert comparison["default"].launches < comparison["none"].launches
    assert comparison["default"].error < 1e-5
    several = keraunos.compare(two_ended(), [X, X], ["none"], repeats=1)
    assert several.sizes == {"N": 3}
    with pytest.raises(ValueError, match="graph without parameters"):
        keraunos.compare(keraunos.trace(model), X)


def test_dumping_a_model(model, tmp_path):
    paths = keraunos.dump(model, tmp_path / "of_model")
    again = keraunos.dump(keraunos.compile(model), tmp_path / "of_executable")
    assert [path.name for path in paths] == [path.name for path in again]
    graph = keraunos.parse_ir(paths[0].read_text("utf-8"))
    assert graph == keraunos.trace(model)


def test_the_names_cost_no_compiler():
    code = "import sys, keraunos; keraunos.compile, keraunos.compare; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
