"""Regularizers and constraints: values, names, layers that take them, errors."""

import numpy as np
import pytest

import keraunos
from keraunos import constraints, ops, regularizers

X = np.float32([[3, -1], [4, 0.5]])


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        (regularizers.L1(0.1), 0.85),
        (regularizers.L2(0.1), 2.625),
        (regularizers.L1L2(0.1, 0.2), 0.85 + 5.25),
        (regularizers.L1L2(), 0.0),
        (regularizers.OrthogonalRegularizer(1.0, "columns"), 1 / (5 * np.sqrt(1.25))),
        (regularizers.OrthogonalRegularizer(1.0, "rows"), 11.5 / np.sqrt(10 * 16.25)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_regularizers(regularizer, expected):
    assert float(regularizer(X)) == pytest.approx(expected, rel=1e-5)
    assert float(regularizer(keraunos.Variable(X))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (constraints.MaxNorm(2.5), [[1.5, -1], [2, 0.5]]),
        (constraints.MaxNorm(1, axis=[0, 1]), X / np.sqrt(26.25)),
        (constraints.NonNeg(), [[3, 0], [4, 0.5]]),
        (constraints.UnitNorm(axis=1), X / np.sqrt([[10], [16.25]])),
        (constraints.MinMaxNorm(2.0, 10.0), X * [1, 2 / np.sqrt(1.25)]),
        (constraints.MinMaxNorm(0.0, 2.5, rate=0.5), X * [0.75, 1]),
        (constraints.Constraint(), X),
    ],
    ids=lambda value: type(value).__name__,
)
def test_constraints(constraint, expected):
    np.testing.assert_allclose(constraint(X), expected, rtol=1e-5)
    np.testing.assert_allclose(constraint(keraunos.Variable(X)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (regularizers, ["l1", "L1", "l2", "l1_l2", "l1l2", "L1L2", "orthogonal_regularizer"]),
        (constraints, ["max_norm", "MaxNorm", "non_neg", "unit_norm", "min_max_norm"]),
    ],
    ids=["regularizers", "constraints"],
)
def test_names_classes_and_configurations(part, names):
    for name in names:
        made = part.get(name)
        assert part.get(made) is made
        again = part.get(part.serialize(made))
        assert type(again) is type(part.get(type(made))) is type(made)
        assert again.get_config() == made.get_config()
    assert part.get(None) is None
    assert part.get(len) is len


def test_what_is_none_of_them():
    with pytest.raises(ValueError, match=r"unknown regularizer: received 'l3'. .*l2"):
        regularizers.get("l3")
    with pytest.raises(ValueError, match=r"Did you mean 'max_norm'"):
        constraints.get("maxnorm")
    with pytest.raises(ValueError, match="expected a regularizer: a name such as 'l2'"):
        regularizers.get(0.01)
    with pytest.raises(ValueError, match="expected a constraint"):
        constraints.get([1])


def test_strengths_out_of_range():
    for wrong in (-0.1, np.nan, "strong", True, np.inf):
        with pytest.raises(ValueError, match="L2: expected l2 as a finite number of 0 or more"):
            regularizers.L2(wrong)
    assert regularizers.L2(None).l2 == 0.01
    with pytest.raises(ValueError, match="mode as one of 'rows', 'columns'; received 'both'"):
        regularizers.OrthogonalRegularizer(mode="both")
    with pytest.raises(ValueError, match=r"expected a matrix; received shape \(3,\)"):
        regularizers.OrthogonalRegularizer()(np.ones(3))


def test_layers_take_names_and_configurations():
    layer = keraunos.layers.Dense(
        2,
        kernel_regularizer="l2",
        bias_regularizer=regularizers.serialize(regularizers.L1(0.5)),
        kernel_constraint="unit_norm",
        bias_constraint=constraints.NonNeg,
        activity_regularizer="l1",
    )
    layer.build((None, 3))
    assert isinstance(layer.kernel.regularizer, regularizers.L2)
    assert isinstance(layer.bias.regularizer, regularizers.L1) and layer.bias.regularizer.l1 == 0.5
    assert isinstance(layer.kernel.constraint, constraints.UnitNorm)
    assert isinstance(layer.bias.constraint, constraints.NonNeg)
    assert isinstance(layer.activity_regularizer, regularizers.L1)
    config = layer.get_config()
    assert config["kernel_regularizer"] == regularizers.serialize(regularizers.L2())
    assert config["kernel_constraint"] == constraints.serialize(constraints.UnitNorm())
    assert keraunos.layers.Dense.from_config(config).get_config() == config


def test_a_layer_of_ones_own_takes_names():
    class Scale(keraunos.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight((), "ones", regularizer="l2", constraint="non_neg")

        def call(self, x):
            return x * self.scale

    layer = Scale()
    layer.build((None, 1))
    assert isinstance(layer.scale.regularizer, regularizers.L2)
    assert isinstance(layer.scale.constraint, constraints.NonNeg)
    with pytest.raises(ValueError, match="unknown regularizer"):
        keraunos.layers.Dense(1, kernel_regularizer="l7")


def test_training_minimizes_penalties_and_keeps_constraints():
    def squares(w):
        return 0.5 * ops.sum(ops.square(w))

    layer = keraunos.layers.Dense(
        1, kernel_initializer="ones", kernel_regularizer=squares, bias_constraint="non_neg"
    )
    model = keraunos.Sequential([keraunos.Input((2,)), layer])
    model.compile(keraunos.optimizers.SGD(0.1), "mse")
    x, y = np.zeros((4, 2), "float32"), np.full((4, 1), -1, "float32")
    # The penalty is half of 2, the error 1.
    assert model.train_on_batch(x, y) == pytest.approx(2.0)
    # Without inputs the kernel shrinks by the penalty alone; the bias may not go below 0.
    np.testing.assert_allclose(layer.kernel.value, [[0.9], [0.9]], rtol=1e-6)
    np.testing.assert_array_equal(layer.bias.value, [0])
