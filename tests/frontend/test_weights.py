"""Weights: shapes and order by layer, getting, setting, counting, versions."""

import numpy as np
import pytest

from keraunos import Sequential, Variable, layers
from keraunos.frontend.variable import Generation

IMAGE = (None, 8, 8, 6)

# From Keras: the shapes in the order of get_weights().
SHAPES = [
    (layers.Dense(3), (None, 5), [(5, 3), (3,)]),
    (layers.Dense(3, use_bias=False), (None, 5), [(5, 3)]),
    (layers.Conv2D(4, (3, 2), groups=2), IMAGE, [(3, 2, 3, 4), (4,)]),
    (layers.Conv1D(4, 3), (None, 9, 6), [(3, 6, 4), (4,)]),
    (layers.DepthwiseConv2D(3, depth_multiplier=2), IMAGE, [(3, 3, 6, 2), (12,)]),
    (layers.DepthwiseConv1D(3), (None, 9, 6), [(3, 6, 1), (6,)]),
    (layers.SeparableConv2D(4, 3), IMAGE, [(3, 3, 6, 1), (1, 1, 6, 4), (4,)]),
    (layers.SeparableConv1D(4, 3), (None, 9, 6), [(3, 6, 1), (1, 6, 4), (4,)]),
    (layers.Conv2DTranspose(4, 3), IMAGE, [(3, 3, 4, 6), (4,)]),
    (layers.Conv1DTranspose(4, 3), (None, 9, 6), [(3, 4, 6), (4,)]),
    (layers.BatchNormalization(), IMAGE, [(6,)] * 4),
    (layers.LayerNormalization(axis=(1, 2)), IMAGE, [(8, 8), (8, 8)]),
    (layers.Embedding(10, 4), (None, 5), [(10, 4)]),
    (layers.PReLU(), IMAGE, [(8, 8, 6)]),
    (layers.Normalization(), (None, 5), [(5,), (5,), ()]),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), SHAPES, ids=lambda row: str(row)[:40])
def test_shapes_in_the_order_of_keras(layer, shape, expected):
    layer.build(shape)
    assert [weight.shape for weight in layer.get_weights()] == expected
    assert layer.count_params() == sum(int(np.prod(each)) for each in expected)


def test_batch_normalization_lists_what_it_learns_first():
    layer = layers.BatchNormalization()
    layer.build(IMAGE)
    assert [weight.name for weight in layer.weights] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]
    assert [weight.name for weight in layer.trainable_weights] == ["gamma", "beta"]
    assert [weight.name for weight in layer.non_trainable_weights] == [
        "moving_mean",
        "moving_variance",
    ]


def test_get_weights_gives_copies():
    layer = layers.Dense(3)
    layer.build((None, 2))
    layer.get_weights()[0][:] = 7
    assert not (layer.get_weights()[0] == 7).any()
    with pytest.raises(ValueError, match="read-only"):
        layer.kernel.value[:] = 7


def test_wrong_weights_are_refused_and_nothing_is_set():
    model = Sequential([layers.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2)])
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"expected 4 arrays \(.*first/kernel \(3, 4\).*received 2"
    ):
        model.set_weights(before[:2])
    swapped = [before[0] + 1, before[1], before[2].T, before[3]]
    with pytest.raises(ValueError, match=r"expected shape \(4, 2\).*received shape \(2, 4\)"):
        model.set_weights(swapped)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="it has no weights"):
        layers.Dense(2).set_weights([np.zeros((2, 2))])


def test_a_variable_counts_its_assignments():
    variable = Variable(np.zeros(3), name="v")
    seen = Generation.count
    variable.assign([1, 2, 3])
    variable.assign_add(1)
    variable.assign_sub(np.ones(3))
    assert (variable.version, Generation.count) == (3, seen + 3)
    np.testing.assert_array_equal(variable, [1, 2, 3])
    assert (variable.dtype, variable.shape, variable.size) == ("float32", (3,), 3)
    with pytest.raises(
        ValueError, match=r"expected a value of shape \(3,\); received shape \(2,\)"
    ):
        variable.assign([1, 2])
    with pytest.raises(TypeError, match="expected numbers"):
        variable.assign(["a", "b", "c"])
    with pytest.raises(ValueError, match="expected a shape"):
        Variable("zeros" and (lambda shape, dtype: np.zeros(shape)))


def test_a_variable_of_an_initializer():
    variable = Variable(lambda shape, dtype: np.ones(shape, dtype), shape=(2, 2), dtype="int32")
    np.testing.assert_array_equal(variable.numpy(), np.ones((2, 2), "int32"))
    assert float(Variable(2.5)) == 2.5
    assert int(Variable(2, dtype="int32")) == 2


def test_a_variable_of_an_initializer_by_its_name():
    for given in ("ones", {"class_name": "Ones", "config": {}}):
        variable = Variable(initializer=given, shape=(2,), dtype="int32")
        np.testing.assert_array_equal(variable.numpy(), np.ones(2, "int32"))
    with pytest.raises(ValueError, match="expected a shape together with an initializer"):
        Variable("ones")
    with pytest.raises(ValueError, match="Did you mean"):
        Variable("onez", shape=(2,))


def test_how_copies_of_a_variable_agree_is_one_of_keras_ways():
    for aggregation in (None, "none", "mean", "sum", "only_first_replica"):
        assert Variable(1.0, aggregation=aggregation, synchronization="on_read").name == "variable"
    with pytest.raises(ValueError, match="expected aggregation among None, 'none', 'mean'"):
        Variable(1.0, aggregation="average")
    with pytest.raises(ValueError, match=r"expected synchronization among .*received 'never'"):
        Variable(1.0, synchronization="never")
    with pytest.raises(ValueError, match="expected aggregation among"):
        layers.Layer().add_weight(shape=(), aggregation="average")


def test_weights_in_lists_and_dicts_are_found():
    class Holder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [layers.Dense(2), (layers.Dense(3),)]
            self.table = {"a": layers.Dense(4), "w": Variable(np.zeros(2), name="w")}

        def call(self, x):
            for layer in (self.parts[0], self.parts[1][0], self.table["a"]):
                x = layer(x)
            return x

    holder = Holder()
    holder(layers.Input((5,)))
    assert [weight.name for weight in holder.weights] == ["w"] + ["kernel", "bias"] * 3
