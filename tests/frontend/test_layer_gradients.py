"""The gradients of every layer, activation and loss: by differences, and compiled."""

from __future__ import annotations

import inspect
import re
from functools import cache

import numpy as np
import pytest
from gradient_checks import GradientCheck, weighted_squares
from layer_cases import CASES, OF_DATA, RECURRENT, Case, case
from tiers import deep

from keraunos import activations, layers
from keraunos.compiler import ops as ir
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.ir.graph import Graph
from keraunos.frontend import losses
from keraunos.frontend.layers.call_arguments import call_parameters
from keraunos.frontend.tracing import Spec, Traced, trace_call

BATCH = 3


def traced(layer_case: Case, training: bool) -> Traced:
    layer = layer_case.make()
    specs = [Spec((None, *shape), layer_case.dtype) for shape in layer_case.shapes]
    return trace_call(layer, (specs if len(specs) > 1 else specs[0],), training=training)


def drawn_weights(trace: Traced) -> dict[str, np.ndarray]:
    """Values for the weights, away from zeros and ones; variances are positive."""
    rng = np.random.default_rng(5)
    found = {}
    for name, variable in trace.variables.items():
        floats = variable.value.dtype.kind == "f"
        noise = rng.standard_normal(variable.shape) * 0.5 if floats else 0
        drawn = variable.value + noise
        found[name] = np.abs(drawn) + 0.5 if "variance" in name else drawn
    return found


@cache
def gradient_check_of(layer_case: Case, training: bool) -> GradientCheck | None:
    """The gradients by all weights and inputs that are floats; None if there are none."""
    trace = traced(layer_case, training)
    graph = trace.graph
    wrt = [node for node in (*graph.inputs, *graph.parameters) if node.dtype.is_float]
    if isinstance(layer_case.make(), (layers.Embedding, layers.Discretization)):
        wrt = list(graph.parameters)
    if not wrt:
        return None
    loss = Graph("loss", graph.inputs, (weighted_squares(graph.returned),))
    arrays = layer_case.inputs(BATCH)
    arrays = [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays]
    return GradientCheck.of(loss, wrt, arrays, drawn_weights(trace))


def takes_training(layer_case: Case) -> bool:
    return "training" in call_parameters(type(layer_case.make()).call)


TRAINED = [each for each in CASES if takes_training(each)]
EVERY = [*((each, False) for each in CASES), *((each, True) for each in TRAINED)]


@pytest.mark.parametrize(("layer_case", "training"), EVERY, ids=str)
def test_gradients_of_layers(layer_case, training):
    slopes = gradient_check_of(layer_case, training)
    if slopes is not None:
        slopes.assert_right()


def is_like_others(layer_case: Case, training: bool) -> bool:
    """Whether kernels of other strides or padding, another function or in training show as much."""
    windows = re.search(r"strides=(\d),padding=(\w+)", layer_case.name)
    if windows is not None:
        return windows.groups() not in (("1", "same"), ("2", "valid"))
    if layer_case.name.startswith("Activation("):
        return CASES.index(layer_case) % 2 == 1
    return layer_case in TRAINED and not training


COMPILED = [
    each
    for layer_case, training in EVERY
    for each in deep(layer_case, training, when=is_like_others(layer_case, training))
]


@pytest.mark.parametrize(("layer_case", "training"), COMPILED, ids=str)
def test_gradients_of_layers_compiled(layer_case, training):
    slopes = gradient_check_of(layer_case, training)
    if slopes is not None:
        slopes.assert_compiled()


def test_only_integers_have_no_gradients():
    assert [str(each) for each in CASES if gradient_check_of(each, False) is None] == [
        "Rescaling(scale=0.5)",
        "CategoryEncoding(num_tokens=10,output_mode=count)",
        "Discretization(bin_boundaries=[-0.5, 0.25, 1.0],output_mode=one_hot)",
    ]


def test_every_layer_with_options_is_there():
    made = {type(each.make()) for each in CASES}
    found = {
        each
        for each in vars(layers).values()
        if inspect.isclass(each) and issubclass(each, layers.Layer) and each is not layers.Layer
    }
    missing = {each.__name__ for each in found - made - RECURRENT - OF_DATA}
    assert missing <= {"InputLayer", "Wrapper"}, "give them a case in layer_cases.py"


def test_every_activation_is_there():
    made = {each.make().activation for each in CASES if each.name.startswith("Activation(")}
    named = {n: each for n, each in vars(activations).items() if inspect.isfunction(each)}
    known = {each for n, each in named.items() if n not in NO_ACTIVATIONS}
    assert known <= made, "give them a name in layer_cases.ACTIVATIONS"


NO_ACTIVATIONS = {"__getattr__", "get", "serialize", "deserialize", "checked", "find", "threshold"}


def test_gradient_of_a_threshold():
    """It is no activation by name: it needs its numbers."""
    threshold = layers.Activation(lambda x: activations.threshold(x, 0.3, -1.0))
    gradient_check_of(Case("threshold", lambda: threshold, ((9, 6),)), False).assert_right()


def test_numbers_that_pick_rows_have_no_gradients():
    trace = traced(case("Embedding", (5,), input_dim=10, output_dim=4), False)
    (x,), loss = trace.graph.inputs, weighted_squares(trace.graph.returned)
    (slope,) = Graph("g", (x,), gradients(loss, [x])).outputs
    assert slope.op is ir.broadcast_to
    assert slope.inputs[0].attrs["value"].array == 0


# Losses

RANDOM = np.random.default_rng(11)
REAL = RANDOM.standard_normal((6, 4)).astype("float32")
OTHER = RANDOM.standard_normal((6, 4)).astype("float32")
POSITIVE = RANDOM.uniform(0.2, 3, (2, 6, 4)).astype("float32")
SHARES = POSITIVE / POSITIVE.sum(-1, keepdims=True)
SIGNS = np.sign(REAL)
YES_OR_NO = (REAL > 0).astype("float32")
CLASSES = np.int32([0, 1, 2, 3, 1, 2])
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
LABELS = np.int32([[1, 2, 2], [3, 1, 0], [2, 0, 0], [1, 1, 1], [3, 2, 1], [2, 3, 0]])
STEPS = RANDOM.standard_normal((6, 7, 4)).astype("float32")
LENGTH_ONE = OTHER / np.linalg.norm(OTHER, axis=-1, keepdims=True)

LOSSES = [
    (losses.MeanSquaredError(), REAL, OTHER),
    (losses.MeanAbsoluteError(), REAL, OTHER),
    (losses.MeanAbsolutePercentageError(), REAL, OTHER),
    (losses.MeanSquaredLogarithmicError(), *POSITIVE),
    (losses.CosineSimilarity(), REAL, OTHER),
    (losses.Huber(delta=0.7), REAL, OTHER),
    (losses.LogCosh(), REAL, OTHER),
    (losses.Hinge(), SIGNS, OTHER),
    (losses.SquaredHinge(), SIGNS, OTHER),
    (losses.CategoricalHinge(), ONE_HOT, OTHER),
    (losses.KLDivergence(), *SHARES),
    (losses.Poisson(), *POSITIVE),
    (losses.BinaryCrossentropy(), YES_OR_NO, SHARES[0]),
    (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), YES_OR_NO, OTHER),
    (losses.BinaryFocalCrossentropy(), YES_OR_NO, SHARES[0]),
    (losses.BinaryFocalCrossentropy(True, from_logits=True), YES_OR_NO, OTHER),
    (losses.CategoricalCrossentropy(), *SHARES),
    (losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), ONE_HOT, OTHER),
    (losses.CategoricalFocalCrossentropy(), ONE_HOT, SHARES[0]),
    (losses.CategoricalFocalCrossentropy(from_logits=True), ONE_HOT, OTHER),
    (losses.CategoricalGeneralizedCrossEntropy(), CLASSES, SHARES[0]),
    (losses.SparseCategoricalCrossentropy(), CLASSES, SHARES[0]),
    (losses.SparseCategoricalCrossentropy(True, ignore_class=1), CLASSES, OTHER),
    (losses.Dice(), YES_OR_NO, SHARES[0]),
    (losses.Tversky(alpha=0.3, beta=0.6), YES_OR_NO, SHARES[0]),
    (losses.CTC(), LABELS, STEPS),
    (losses.Circle(gamma=2.0), np.int32([0, 1, 0, 1, 2, 2]), LENGTH_ONE),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "true", "pred"), LOSSES, ids=[f"{i}-{each[0].name}" for i, each in enumerate(LOSSES)]
)
def test_gradients_of_losses(loss, true, pred, weighted):
    per_sample = weighted and not isinstance(loss, (losses.Dice, losses.Tversky))
    weights = np.linspace(0.5, 2, 6, dtype="float32") if per_sample else None
    specs = (Spec(true.shape, true.dtype.name), Spec(pred.shape))
    trace = trace_call(lambda true, pred: loss(true, pred, sample_weight=weights), specs)
    wrt = [node for node in trace.graph.inputs if node.dtype.is_float]
    if isinstance(loss, (losses.BinaryFocalCrossentropy, losses.Hinge, losses.SquaredHinge)):
        wrt = wrt[1:]  # targets are compared with numbers there
    arrays = [a.astype("float64") if a.dtype.kind == "f" else a for a in (true, pred)]
    slopes = GradientCheck.of(trace.graph, wrt, arrays, {})
    slopes.assert_right(rtol=1e-4)
    if weighted:
        slopes.assert_compiled()


def test_every_loss_is_there():
    named = (each for each in vars(losses).values() if inspect.isclass(each))
    classes = {each for each in named if issubclass(each, losses.Loss)}
    made = {type(loss) for loss, _, _ in LOSSES}
    assert classes - made == {losses.Loss, losses.LossFunctionWrapper}
