"""Files of weights against Keras's: the same contents, and what one writes, the other loads."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from twins import assert_close, draw, keras, set_same_weights, twins

import keraunos


def sequential(package: ModuleType) -> Any:
    layers = package.layers
    return package.Sequential(
        [
            package.Input((6,)),
            layers.Dense(5, name="z"),
            layers.BatchNormalization(),
            layers.PReLU(),
            layers.Dropout(0.5),
            layers.LayerNormalization(),
            layers.Dense(3, use_bias=False, name="a"),
            layers.Normalization(),
        ]
    )


def convolutions(package: ModuleType) -> Any:
    layers = package.layers
    return package.Sequential(
        [
            package.Input((8, 8, 2)),
            layers.Conv2D(4, 3, groups=2, activation="relu"),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.SeparableConv2D(3, 2, padding="same"),
            layers.Conv2DTranspose(2, 2),
            layers.Conv2D(2, 1),
            layers.Flatten(),
        ]
    )


def shared(package: ModuleType) -> Any:
    """Branches of different depths, a layer called three times, functions between layers."""
    layers = package.layers
    first, second = package.Input((4,)), package.Input((4,))
    both = layers.Dense(4)
    left = layers.Dense(4)(both(both(first)))
    right = layers.Dense(2)(both(second)) * 2.0
    joined = layers.Concatenate()([left, right, second])
    return package.Model([first, second], [layers.Dense(1)(joined), left])


def nested(package: ModuleType) -> Any:
    layers = package.layers
    encoder = package.Sequential([package.Input((4,)), layers.Dense(3), layers.Dense(2)])
    x = package.Input((2,))
    inner = package.Model(x, layers.Dense(4)(layers.LayerNormalization()(x)), name="inner")
    y = package.Input((4,))
    twice = encoder(inner(encoder(y)))
    outer = package.Model(y, layers.Dense(2)(twice))
    return package.Sequential([package.Input((4,)), layers.Dense(4), outer, layers.Dense(1)])


def attributes(package: ModuleType) -> Any:
    """Layers in attributes, lists, dicts and lists of lists; private ones; one under two names."""
    layers = package.layers

    class Cell(layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")
            self.count = self.add_weight(shape=(2,), trainable=False, name="count")
            self.bias = self.add_weight(shape=(3,), name="bias")
            self.built = True

        def call(self, x: Any) -> Any:
            return package.ops.matmul(x, self.kernel) + self.bias

    class Stack(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.cells = [Cell(), Cell()]

        def call(self, x: Any) -> Any:
            return self.cells[1](self.cells[0](x))

    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.zeta = layers.Dense(3)
            self.again = self.zeta
            self.Upper = layers.Dense(4)
            self._private = layers.Dense(5)
            self.cell = Stack()
            self.named = {"z": layers.Dense(2), "a": [layers.Dense(3)]}
            self.rows = [[layers.Dense(2)], (layers.Dense(3), layers.Dense(4))]
            self.some = [None, layers.Dense(2), "text", layers.LayerNormalization()]

        @property
        def alias(self) -> Any:
            return self._private

        @property
        def unknown(self) -> Any:
            raise AttributeError("not yet")

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(1,), name="scale")
            self.built = True

        def call(self, x: Any) -> Any:
            rows = [self.rows[0][0], *self.rows[1], self.named["z"], self.named["a"][0]]
            for layer in [self.zeta, self.Upper, self._private, self.cell, *rows, *self.some[1::2]]:
                x = layer(x)
            return x * self.scale

    class Whole(package.Model):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()
            self.outer = layers.Dense(2)
            self.last = package.Sequential([layers.Dense(3)])
            self.middle = Block()

        def call(self, x: Any) -> Any:
            return self.last(self.outer(self.middle(self.block(x))))

    model = Whole()
    model(np.zeros((1, 4), "float32"))
    return model


MODELS = {build.__name__: build for build in (sequential, convolutions, shared, nested, attributes)}
Build = Callable[[ModuleType], Any]


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


def contents(path: Path) -> dict[str, Any]:
    """Groups with their attributes, and arrays."""
    found: dict[str, Any] = {}

    def visit(name: str, member: Any) -> None:
        value = np.asarray(member) if isinstance(member, h5py.Dataset) else None
        found[name] = (sorted(member.attrs), value)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def assert_same_contents(path: Path, reference: Path) -> None:
    ours, theirs = contents(path), contents(reference)
    assert ours.keys() == theirs.keys()
    for name, (attributes_, array) in theirs.items():
        assert ours[name][0] == attributes_
        assert (ours[name][1] is None) == (array is None)
        if array is not None:
            assert ours[name][1].dtype == array.dtype
            np.testing.assert_array_equal(ours[name][1], array)


def test_contents_are_those_of_keras(build, tmp_path):
    theirs, ours = build(keras), build(keraunos)
    set_all_weights(theirs, 1)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert_same_contents(tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5")


def test_keras_loads_ours(build, tmp_path):
    theirs, ours = build(keras), build(keraunos)
    set_all_weights(ours, 2)
    set_all_weights(theirs, 3)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    assert_same_contents(tmp_path / "theirs.weights.h5", tmp_path / "ours.weights.h5")


def set_all_weights(model: Any, seed: int) -> None:
    model.set_weights([draw(w.shape, w.dtype, seed + i) for i, w in enumerate(model.weights)])


def test_the_same_predictions(tmp_path):
    theirs, ours = twins(nested)
    set_same_weights(theirs, ours)
    x = draw((3, 4))
    expected = theirs.predict(x, verbose=0)
    theirs.save_weights(tmp_path / "n.weights.h5")
    set_all_weights(ours, 5)
    ours.load_weights(tmp_path / "n.weights.h5")
    assert_close(ours.predict(x, verbose=0), expected)


def test_the_layout_of_recurrent_and_attention_layers(tmp_path):
    """Layers whose parts have the names that Keras gives them have Keras's paths."""

    def parts_of(package: ModuleType) -> Any:
        layers = package.layers

        class Part(layers.Layer):
            def build(self, shape: Any) -> None:
                self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
                self.built = True

            def call(self, x: Any) -> Any:
                return package.ops.matmul(x, self.kernel)

        class RNN(Part):
            def __init__(self, cell: Any) -> None:
                super().__init__()
                self.cell = cell

            def call(self, x: Any) -> Any:
                return self.cell(super().call(x))

        class Bidirectional(Part):
            def __init__(self) -> None:
                super().__init__()
                self.forward_layer, self.backward_layer = RNN(Part()), RNN(Part())

            def call(self, x: Any) -> Any:
                return self.forward_layer(x) + self.backward_layer(x)

        inputs = package.Input((3,))
        return package.Model(inputs, RNN(Part())(Bidirectional()(RNN(Part())(inputs))))

    theirs, ours = parts_of(keras), parts_of(keraunos)
    set_all_weights(theirs, 4)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert_same_contents(tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5")
    assert "layers/bidirectional/forward_layer/cell/vars/0" in contents(
        tmp_path / "ours.weights.h5"
    )


def test_weights_of_a_whole_model_load_from_its_archive(tmp_path):
    theirs, ours = sequential(keras), sequential(keraunos)
    theirs.save(tmp_path / "whole.keras")
    ours.load_weights(tmp_path / "whole.keras")
    for ours_, theirs_ in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(ours_, theirs_)


def test_half_precision_of_the_other_kind_is_read(tmp_path):
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])
    ours = keraunos.Sequential([keraunos.Input((3,)), keraunos.layers.Dense(2)])
    theirs.save_weights(tmp_path / "b.weights.h5")
    ours.load_weights(tmp_path / "b.weights.h5")
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(mine.value, np.asarray(other.value, "float32"))


def test_an_old_file_is_declined(tmp_path):
    theirs, ours = sequential(keras), sequential(keraunos)
    theirs.save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "old.weights.h5")
    with pytest.raises(ValueError, match="of Keras 2"):
        ours.load_weights(tmp_path / "old.weights.h5")


def small(package: ModuleType) -> Any:
    layers = package.layers
    return package.Sequential(
        [package.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(1)]
    )


OPTIMIZERS: dict[str, Callable[[ModuleType], Any]] = {
    "sgd": lambda package: package.optimizers.SGD(0.1),
    "momentum": lambda package: package.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda package: package.optimizers.Adam(0.1),
    "amsgrad": lambda package: package.optimizers.Adam(0.1, amsgrad=True),
    "rmsprop": lambda package: package.optimizers.RMSprop(0.1, momentum=0.5, centered=True),
    "averages": lambda package: package.optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.5),
    "schedule": lambda package: package.optimizers.Adam(
        package.optimizers.schedules.CosineDecay(0.1, 20)
    ),
    "adagrad": lambda package: package.optimizers.Adagrad(0.1),
    "nadam": lambda package: package.optimizers.Nadam(0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_trainings_go_on_in_the_other(optimizer, tmp_path):
    """Two epochs in one, then two in the other, are four in either."""
    x, y = draw((24, 4)), draw((24, 1), seed=1)
    for first, second in ((keras, keraunos), (keraunos, keras)):
        models = {package: small(package) for package in (first, second)}
        for package, model in models.items():
            model.compile(optimizer(package), "mse")
            set_all_weights(model, 3)
        _fit(models[first], x, y)
        path = tmp_path / f"{first.__name__}.weights.h5"
        models[first].save_weights(path)
        # Keras fits again after averages took the place of weights only if these are loaded.
        models[first].load_weights(path)
        going_on = models[second]
        going_on.optimizer.build(going_on.trainable_variables)
        going_on.load_weights(path)
        _fit(models[first], x, y)
        _fit(going_on, x, y)
        for ours, theirs in zip(going_on.get_weights(), models[first].get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def _fit(model: Any, x: Any, y: Any) -> None:
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_contents_of_a_trained_model_are_those_of_keras(optimizer, tmp_path):
    theirs, ours = small(keras), small(keraunos)
    x, y = draw((24, 4)), draw((24, 1), seed=1)
    for package, model in ((keras, theirs), (keraunos, ours)):
        model.compile(optimizer(package), "mse")
        _fit(model, x, y)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert_same_contents(tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5")


def test_an_optimizer_that_has_no_state_yet(tmp_path):
    """Both load the weights alone, and warn."""
    x, y = draw((24, 4)), draw((24, 1), seed=1)
    theirs = small(keras)
    theirs.compile("adam", "mse")
    _fit(theirs, x, y)
    theirs.save_weights(tmp_path / "a.weights.h5")
    for package in (keras, keraunos):
        model = small(package)
        model.compile("adam", "mse")
        with pytest.warns(UserWarning, match="optimizer"):
            model.load_weights(tmp_path / "a.weights.h5")
        for loaded, saved in zip(model.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(loaded, saved)
        assert int(model.optimizer.iterations) == 0
