"""Every layer with its options: shapes, graphs, configuration; values are in test_layer_values."""

import numpy as np
import pytest
from layer_cases import CASES, OF_DATA, RECURRENT, Case

from keraunos import layers, models, ops, trace
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.frontend.tracing import Spec, Traced, trace_call


def traced(case: Case) -> tuple[object, Traced]:
    layer = case.make()
    specs = [Spec((None, *shape), case.dtype) for shape in case.shapes]
    return layer, trace_call(layer, (specs if len(specs) > 1 else specs[0],))


def results(trace: Traced, inputs: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    weights = {name: variable.value for name, variable in trace.variables.items()}
    return evaluate(trace.graph, inputs, weights)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_inferred_shape_is_the_evaluated_one(case):
    layer, trace = traced(case)
    symbolic = [layers.Input(shape, dtype=case.dtype) for shape in case.shapes]
    output = layer(symbolic if len(symbolic) > 1 else symbolic[0])
    for batch in (1, 3):
        (result,) = results(trace, case.inputs(batch))
        assert output.shape == (None, *result.shape[1:])
        assert result.shape[0] == batch
        assert output.dtype == result.dtype.name
        assert result.dtype == "float32"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_sample_is_computed_by_itself(case):
    _, trace = traced(case)
    inputs = case.inputs(3)
    (whole,) = results(trace, inputs)
    (last,) = results(trace, [array[2:] for array in inputs])
    np.testing.assert_allclose(whole[2:], last, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graph_is_sound_and_prints_as_what_it_is(case):
    layer, trace = traced(case)
    verify(trace.graph)
    assert str(parse_ir(str(trace.graph))) == str(trace.graph)
    constants = set()  # what is made of numbers alone is the same node wherever it is made
    for node in trace.graph.nodes:
        if node.op.name == "constant" or (node.inputs and constants.issuperset(node.inputs)):
            constants.add(node)
        elif node.inputs:
            (origin,) = node.origins
            assert (origin.layer, origin.file) == (layer.name, "layer_cases.py")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_comes_back_from_its_configuration(case):
    layer, trace = traced(case)
    if isinstance(layer, layers.Lambda):
        pytest.skip("a function has no configuration")
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    specs = [Spec((None, *shape), case.dtype) for shape in case.shapes]
    copied = trace_call(again, (specs if len(specs) > 1 else specs[0],))
    again.set_weights(layer.get_weights())
    expected, received = (results(t, case.inputs(2)) for t in (trace, copied))
    np.testing.assert_array_equal(expected, received)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_have_names_paths_and_an_order(case):
    layer, trace = traced(case)
    assert [w.path for w in layer.weights] == [f"{layer.name}/{w.name}" for w in layer.weights]
    states = [weight.is_state for weight in layer.weights]
    assert states == sorted(states)
    used = {id(variable) for variable in trace.variables.values()}
    read = [weight for weight in layer.weights if weight.name != "count"]
    assert used == {id(weight) for weight in read}
    assert set(trace.variables) == {f"{layer.name}.{weight.name}" for weight in read}


def test_every_layer_has_a_case():
    tried = {type(case.make()) for case in CASES}
    made = {
        value
        for value in vars(layers).values()
        if isinstance(value, type) and issubclass(value, layers.Layer)
    }
    assert made - tried - RECURRENT - OF_DATA == {layers.Layer, layers.InputLayer}


def test_aliases_are_the_same_layers():
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.Convolution2D is layers.Conv2D
    assert models.Input is layers.Input


def test_a_layer_built_by_hand_keeps_its_weights():
    class Scale(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight((shape[-1],))

        def call(self, x):
            return x * self.scale

    for layer in (layers.Dense(3), Scale()):
        layer.build((None, 4))
        assert layer.built
        made = [id(weight) for weight in layer.weights]
        layer(np.ones((2, 4), "float32"))
        assert [id(weight) for weight in layer.weights] == made


@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
def test_channels_may_be_known_by_the_data_alone(kind):
    x = layers.Input((6, 6, None))
    model = models.Model(x, getattr(layers, kind)(2)(x))
    for channels in (3, 5):
        data = np.random.default_rng(channels).standard_normal((2, 6, 6, channels))
        windows = data.astype("float32").reshape(2, 3, 2, 3, 2, channels)
        expected = windows.max((2, 4)) if kind == "MaxPooling2D" else windows.mean((2, 4))
        np.testing.assert_allclose(model(data.astype("float32")), expected, atol=1e-6)


def test_a_kernel_that_is_an_argument_has_known_sizes():
    def convolved(x, kernel):
        return ops.conv(x, kernel, padding="causal")

    with pytest.raises(ValueError, match=r"conv: .* are made for the sizes of the data"):
        trace(convolved, (None, 8, 3), (None, 3, 4))
    with pytest.raises(ValueError, match="a kernel of known sizes; received shape"):
        convolved(layers.Input((8, 3)), layers.Input((3, 4)))
    assert trace(convolved, (None, 8, 3), (2, 3, 4)).outputs[0].shape[1:] == (8, 4)
