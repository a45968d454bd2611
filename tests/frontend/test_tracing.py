"""From models to graphs: names, lines, symbols, what is bound to which weight."""

import inspect

import numpy as np
import pytest

import keraunos
from keraunos import Model, Sequential, Variable, layers, ops
from keraunos.compiler.ir.verify import verify
from keraunos.frontend.naming import clear_session
from keraunos.frontend.tracing import Spec, trace_call


@pytest.fixture(autouse=True)
def fresh_names():
    clear_session(free_memory=False)


def line() -> int:
    """The line that this is called on."""
    return inspect.currentframe().f_back.f_lineno


def test_nodes_carry_the_layer_and_the_users_line():
    first = line() + 2
    layer_list = [
        layers.Dense(4, activation="relu"),
        layers.Dense(2),
    ]
    graph = keraunos.trace(Sequential([layers.Input((3,)), *layer_list]))
    places = [str(node.origins[0]) for node in graph.nodes if node.inputs]
    assert (
        places
        == [f"dense  test_tracing.py:{first}"] * 3 + [f"dense_1  test_tracing.py:{first + 1}"] * 2
    )
    assert [str(node.origins[0]) for node in graph.parameters[:1]] == places[:1]


def test_functions_between_layers_carry_their_line():
    x = layers.Input((3,))
    y, where = x * 2.0, line()
    graph = keraunos.trace(Model(x, y))
    assert [str(node.origins[0]) for node in graph.nodes if node.inputs] == [
        f"multiply  test_tracing.py:{where}"
    ]


def test_parameters_are_named_by_their_path_from_the_model():
    encoder = Sequential([layers.Input((3,)), layers.Dense(4)], name="encoder")
    x = layers.Input((3,), name="pixels")
    model = Model(x, layers.Dense(2, name="head")(encoder(x)), name="digits")
    traced = trace_call(model, (Spec((None, 3), name="pixels"),))
    assert traced.graph.name == "digits"
    assert [node.attrs["name"] for node in traced.graph.inputs] == ["pixels"]
    names = ["encoder.dense.kernel", "encoder.dense.bias", "head.kernel", "head.bias"]
    assert [node.attrs["name"] for node in traced.graph.parameters] == names
    assert list(traced.variables) == names
    assert traced.variables["head.kernel"] is model.get_layer("head").kernel
    lines = {origin.layer for node in traced.graph.nodes for origin in node.origins}
    assert lines == {"encoder.dense", "head"}


def test_inputs_without_a_name_are_called_x():
    a, b = layers.Input((3,)), layers.Input((3,))
    graph = keraunos.trace(Model([a, b], layers.Add()([a, b])))
    assert [node.attrs["name"] for node in graph.inputs] == ["x", "x_1"]


def test_a_layer_that_is_called_twice_reads_one_parameter():
    shared = layers.Dense(2)
    x = layers.Input((2,))
    graph = keraunos.trace(Model(x, shared(shared(x))))
    assert len(graph.parameters) == 2


def test_layers_of_one_name_keep_their_parameters_apart():
    class Twins(layers.Layer):
        def __init__(self):
            super().__init__(name="twins")
            self.left, self.right = layers.Dense(2, name="d"), layers.Dense(2, name="d")

        def call(self, x):
            return self.left(x) + self.right(x)

    graph = keraunos.trace(Twins(), (None, 3))
    assert sorted(node.attrs["name"] for node in graph.parameters) == [
        "twins.d.bias",
        "twins.d.bias_1",
        "twins.d.kernel",
        "twins.d.kernel_1",
    ]
    verify(graph)


def test_unknown_sizes_have_the_usual_names():
    image = keraunos.trace(layers.Identity(), (None, None, None, 3))
    assert [str(size) for size in image.inputs[0].shape] == ["N", "H", "W", "3"]
    tokens = keraunos.trace(layers.Identity(), (None, None))
    assert [str(size) for size in tokens.inputs[0].shape] == ["N", "T"]
    a, b = layers.Input((None, 4)), layers.Input((None, 4))
    pair = keraunos.trace(Model([a, b], [a * 2, b * 2]))
    assert pair.symbols == ("N", "T", "T_1")


def test_functions_can_be_traced():
    weight = Variable(np.ones((3, 2), "float32"), name="weight")

    def affine(x):
        return ops.matmul(x, weight) + 1.0

    graph = keraunos.trace(affine, (None, 3))
    assert graph.name == "affine"
    assert [node.attrs["name"] for node in graph.parameters] == ["weight"]
    assert str(graph.outputs[0].type) == "f32[N, 2]"
    both = keraunos.trace(lambda a, b: a + b, np.ones((2, 3), "float32"), (None, 3))
    assert len(both.inputs) == 2


def test_structures_of_results_are_kept():
    def several(x):
        return {"sum": x + 1, "none": None, "pair": (x, 2.0)}

    traced = trace_call(several, (Spec((None, 3)),))
    packed = traced.pack(["a", "b", "c"])
    assert packed == {"sum": "c", "none": None, "pair": ("a", "b")}


def test_equal_work_is_traced_once():
    def twice(x):
        return ops.exp(x) + ops.exp(x)

    graph = keraunos.trace(twice, (None, 3))
    assert [node.op.name for node in graph.nodes] == ["input", "exp", "add"]


def test_tracing_again_gives_the_same_graph():
    model = Sequential([layers.Input((3,)), layers.Dense(4, activation="gelu"), layers.Softmax()])
    assert keraunos.trace(model) == keraunos.trace(model)
    assert str(keraunos.trace(model)) == str(keraunos.trace(model))


def test_numbers_do_not_widen_the_graph():
    graph = keraunos.trace(lambda x: np.float64(2) * x / 3 + np.ones(4), (None, 4))
    assert {node.dtype.name for node in graph.nodes} == {"float32"}


def test_training_changes_what_differs_in_training():
    model = Sequential([layers.Input((3,)), layers.Dropout(0.5)])
    graph = keraunos.trace(model, training=True)
    assert "random_uniform" in {node.op.name for node in graph.nodes}
    assert [node.attrs["name"] for node in graph.updates] == ["dropout.seed_generator_state"]
    assert not keraunos.trace(model).updates
    plain = Sequential([layers.Input((3,)), layers.Dense(2)])
    assert keraunos.trace(plain, training=True) == keraunos.trace(plain)


@pytest.mark.parametrize("call", [
    lambda: keraunos.trace(Sequential([layers.Dense(2)])),
    lambda: keraunos.trace(layers.Dense(2), "image"),
    lambda: keraunos.trace(lambda x: "text", (None, 3)),
])  # fmt: skip
def test_what_cannot_be_traced(call):
    with pytest.raises(ValueError, match=r"expected|does not know its inputs"):
        call()
