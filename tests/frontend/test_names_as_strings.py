"""Wherever several names can be given, one string is one name and not its letters."""

import numpy as np
import pytest
from here import HERE

import keraunos as keras
from keraunos import layers
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.report.compare import compare_graph


def small_model():
    return keras.Sequential([keras.Input((8,)), layers.Dense(4, activation="relu")])


@pytest.mark.parametrize("one", ["fuse", ["fuse"], ("fuse",), {"fuse"}, iter(["fuse"])])
def test_one_pass_may_be_left_out_by_its_name(one):
    run = keras.compile(small_model(), disable=one)
    assert "fuse" not in run.stages and "simplify" in run.stages


@pytest.mark.parametrize("one", ["fuse", ["fuse"], iter(["fuse"])])
def test_one_pass_may_be_chosen_by_its_name(one):
    run = keras.compile(small_model(), passes=one)
    assert "fuse" in run.stages and "simplify" not in run.stages


def test_the_compiler_takes_names_as_the_frontend_does():
    graph = keras.trace(small_model())
    assert "fuse" not in compile_graph(graph, disable="fuse").stages
    assert "fuse" not in optimize(graph, HERE, disable="fuse")
    assert "simplify" not in optimize(graph, HERE, passes="fuse")
    assert compile_graph(graph, disable="tile").decisions is not None
    with pytest.raises(ValueError, match=r"got 'fus'; did you mean fuse\?"):
        compile_graph(graph, disable="fus")


def test_variants_of_a_comparison_may_be_one_name():
    graph = keras.trace(small_model())
    values = {n.attrs["name"]: np.ones(n.shape, "float32") for n in graph.parameters}
    x = [np.ones((2, 8), "float32")]
    found = compare_graph(graph, x, values, {"mine": {"disable": "fuse", "passes": "default"}}, 1)
    assert [variant.name for variant in found.variants] == ["mine"]
    assert [v.name for v in compare_graph(graph, x, values, "none", 1).variants] == ["none"]


def test_weights_are_kept_from_decay_by_one_pattern():
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names="bias")
    kernel = keras.Variable([1.0], name="kernel")
    bias = keras.Variable([1.0], name="bias")
    assert optimizer.decay_of(bias) is None and optimizer.decay_of(kernel)
    assert keras.optimizers.Muon(exclude_layers="head").exclude_layers == ["head"]


def test_metrics_shown_as_they_are_may_be_one_name():
    bar = keras.utils.Progbar(3, stateful_metrics="loss")
    assert bar._stateful == {"loss"}
    assert keras.utils.Progbar(3, stateless_metrics="loss")._stateless == {"loss"}


def test_one_callback_needs_no_list_and_one_metric_says_that_it_does():
    model = small_model()
    model.compile("sgd", "mse")
    heard = []
    one = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(epoch))

    x, y = np.ones((4, 8), "float32"), np.ones((4, 4), "float32")
    model.fit(x, y, verbose=0, callbacks=one)
    assert heard == [0]
    with pytest.raises(ValueError, match="expected a list or a dict of metrics; received 'mae'"):
        model.compile("sgd", "mse", metrics="mae")
