"""What is handed out does not change later: results, weights as arrays, states and histories."""

import copy

import numpy as np
import pytest

import keraunos as keras
from keraunos import layers, metrics, ops
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir

X, Y = np.ones((4, 2), "float32"), np.full((4, 1), 10.0, "float32")


def trained_model():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse", metrics=["mae"])
    return model


READINGS = {
    "asarray": np.asarray,
    "array": np.array,
    "asarray of a dtype": lambda v: np.asarray(v, "float64"),
    "value": lambda v: v.value,
    "numpy": lambda v: v.numpy(),
    "convert_to_tensor": ops.convert_to_tensor,
    "convert_to_numpy": lambda v: np.asarray(ops.convert_to_tensor(v)),
    "copy": ops.copy,
    "stop_gradient": ops.stop_gradient,
    "reshape": lambda v: ops.reshape(v, (-1,)),
    "transpose": ops.transpose,
    "broadcast": lambda v: ops.broadcast_to(v, (3, *v.shape)),
    "slice": lambda v: v[0],
    "cast": lambda v: ops.cast(v, v.dtype),
    "split": lambda v: ops.split(v, 1)[0],
    "iteration": lambda v: np.stack(list(np.asarray(v))),
}


@pytest.mark.parametrize("name", READINGS)
def test_arrays_made_of_a_variable_stay(name):
    model = trained_model()
    kernel = model.layers[0].kernel
    given = READINGS[name](kernel)
    before = np.array(given)
    model.train_on_batch(X, Y)
    kernel.assign(kernel + 1.0)
    np.testing.assert_array_equal(given, before)
    if name == "value":
        with pytest.raises(ValueError, match="read-only"):
            given[...] = 0
    else:
        given[...] = 0
    assert np.asarray(kernel).all()


def test_a_view_is_there_for_those_who_ask():
    variable = keras.Variable(np.ones(3))
    view = np.array(variable, copy=False)
    variable.assign([1, 2, 3])
    assert view.tolist() == variable.view.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5


def test_lists_of_weights_and_of_an_optimizers_variables_stay():
    model = trained_model()
    model.train_on_batch(X, Y)
    kept = [*model.get_weights(), *(v.value for v in model.optimizer.variables)]
    before = [array.copy() for array in kept]
    model.train_on_batch(X, Y)
    for array, value in zip(kept, before, strict=True):
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda name=name: getattr(metrics, name)(thresholds=[0.1, 0.5])
            for name in (
                "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives",
                "Precision", "Recall",
            )
        ),
        metrics.Mean,
        metrics.Sum,
        metrics.AUC,
        metrics.MeanSquaredError,
    ],
)  # fmt: skip
def test_results_of_metrics_stay(make):
    metric = make()
    y, p = np.array([0, 1, 1, 0.0]), np.array([0.2, 0.6, 0.4, 0.9])
    arguments = (p,) if make in (metrics.Mean, metrics.Sum) else (y, p)
    metric.update_state(*arguments)
    first = metric.result()
    before = np.array(first)
    metric.reset_state()
    metric.update_state(*(1 - each for each in arguments))
    np.testing.assert_array_equal(first, before)


def test_results_of_training_stay():
    model = trained_model()
    first = model.train_on_batch(X, Y, return_dict=True)
    results = model.get_metrics_result()
    before = {**first}, {name: np.array(value) for name, value in results.items()}
    model.fit(X, Y, epochs=2, verbose=0)
    history = {name: list(values) for name, values in model.history.history.items()}
    kept = model.history.history
    model.fit(X, Y, verbose=0)
    assert first == before[0] and kept == history
    for name, value in results.items():
        np.testing.assert_array_equal(value, before[1][name])


@pytest.mark.parametrize(
    "op",
    [
        ops.convert_to_tensor,
        ops.copy,
        lambda x: ops.cast(x, "float32"),
        lambda x: ops.reshape(x, (6,)),
        lambda x: ops.transpose(x),
        lambda x: ops.squeeze(ops.expand_dims(x, 0), 0),
    ],
)
def test_results_of_ops_are_not_the_callers_arrays(op):
    x = np.arange(6, dtype="float32").reshape(2, 3)
    made = op(x)
    assert not np.shares_memory(made, x)
    made[...] = -1
    assert x.ravel().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("way", ["call", "predict", "predict_on_batch", "compiled", "empty"])
def test_a_model_that_returns_its_input_returns_another_array(way):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [layers.Identity()(inputs), inputs])
    x = np.zeros((0, 3), "float32") if way == "empty" else np.ones((2, 3), "float32")
    ways = {
        "call": model,
        "predict": lambda x: model.predict(x, verbose=0),
        "predict_on_batch": model.predict_on_batch,
        "compiled": keras.compile(model),
        "empty": model,
    }
    first, second = ways[way](x)
    assert first is not second and first is not x and second is not x
    assert not np.shares_memory(first, x) and not np.shares_memory(second, x)
    assert not np.shares_memory(first, second)


def test_constants_of_a_program_are_handed_out_as_copies():
    run = keras.compile(lambda x: (x, ops.convert_to_tensor(np.arange(3.0))), (None, 2))
    x = np.ones((1, 2), "float32")
    run(x)[1][...] = 7
    assert run(x)[1].tolist() == [0, 1, 2]


def test_the_state_of_an_executable_is_shown_as_it_was():
    text = (
        "graph g(%x: f32[3]) {\n  $s : f32[3]\n  %0 = add($s, %x)\n  update $s = %0\n  return %x\n}"
    )
    run = compile_graph(parse_ir(text))
    run.set_parameters({"s": np.zeros(3, "float32")})
    shown = run.state["s"]
    run(np.ones(3, "float32"))
    assert shown.tolist() == [0, 0, 0] and run.state["s"].tolist() == [1, 1, 1]
    shown[...] = 9
    assert run.state["s"].tolist() == [1, 1, 1]


class Own(metrics.Metric):
    """Gives its own variable, alone or among others, and the one of a metric inside."""

    def __init__(self, shape="alone"):
        super().__init__(name="own")
        self.shape = shape
        self.total = self.add_variable((), name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(1.0)

    def result(self):
        return {"alone": self.total, "dict": {"a": self.total}, "list": [self.total]}[self.shape]


class Derived(Own):
    def result(self):
        return super().result()


@pytest.mark.parametrize("kind", [Own, Derived])
@pytest.mark.parametrize("shape", ["alone", "dict", "list"])
def test_results_of_own_metrics_are_values(kind, shape):
    metric = kind(shape)
    given = metric(Y, Y)
    metric.update_state(Y, Y)
    value = {"alone": lambda: given, "dict": lambda: given["a"], "list": lambda: given[0]}[shape]()
    assert not isinstance(value, keras.Variable)
    assert np.asarray(value) == 1.0


@pytest.mark.parametrize("shape", ["alone", "dict"])
def test_results_of_own_metrics_in_steps_are_values(shape):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Own(shape)])
    logs = model.train_on_batch(X, Y, return_dict=True)
    before = dict(logs)
    assert not any(isinstance(value, keras.Variable) for value in logs.values())
    given = model.get_metrics_result()
    held = str(given)
    assert "Variable" not in held
    model.fit(X, Y, batch_size=1, verbose=0)
    assert logs == before
    assert str(given) == held


# Copies


def test_a_copy_of_a_variable_has_a_value_of_its_own():
    variable = keras.Variable(np.ones(3))
    for twin in (copy.copy(variable), copy.deepcopy(variable)):
        twin.assign(np.zeros(3))
        assert (twin.numpy() == 0).all() and (twin.view == 0).all()
        assert (variable.numpy() == 1).all()


class Scaled(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.k = 1.0

    def call(self, x):
        return x * self.k


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_layer_runs_programs_of_its_own(make):
    one = np.ones((1, 2), "float32")
    layer = Scaled()
    layer(one)
    twin = make(layer)
    twin.k = 5.0
    assert (twin(one) == 5).all() and (layer(one) == 1).all()


def test_a_deep_copy_of_a_model_computes_and_trains_by_itself():
    one = np.ones((1, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.5, momentum=0.5), "mse")
    for run in (model, model.predict_on_batch):
        run(one)
    model.train_on_batch(one, one[:, :1])
    twin = copy.deepcopy(model)
    before = model.get_weights()[0]
    np.testing.assert_array_equal(twin.get_weights()[0], before)
    twin.set_weights([before * 0])
    assert (twin(one) == 0).all() and (twin.predict_on_batch(one) == 0).all()
    np.testing.assert_allclose(model.predict_on_batch(one)[0], before.sum(), rtol=1e-5)
    twin.train_on_batch(one, one[:, :1])
    assert (twin.get_weights()[0] != 0).all()
    np.testing.assert_array_equal(model.get_weights()[0], before)
