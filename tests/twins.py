"""The same model in Keras and in Keraunos: built alike, with the same weights, on the same data.

What Keras computes with JAX is the reference; shapes, weights, names and configurations are
compared beside the values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiers import covering, deep

import keraunos

MISSING = "the `peers` extra is not installed"
pytest.importorskip("jax", reason=MISSING)
keras = pytest.importorskip("keras", reason=MISSING)

RTOL, ATOL = 1e-4, 1e-5
Shape = tuple[int | None, ...]
Build = Callable[[ModuleType], Any]


@dataclass(frozen=True)
class Case:
    """A layer with options, and the shapes of one sample of each of its inputs.

    Attributes:
        shapes: None stands for a size that only the data tell, which is then ``varying``.
        batches: numbers of samples to try.
        below: integer inputs are drawn from 0 to this, floats from a normal distribution.
    """

    layer: str
    shapes: tuple[Shape, ...]
    options: tuple[tuple[str, Any], ...]
    dtype: str = "float32"
    batches: tuple[int, ...] = (3,)
    below: int = 10
    varying: int = 7
    rtol: float = RTOL
    atol: float = ATOL

    def __str__(self) -> str:
        given = ",".join(f"{key}={value}" for key, value in self.options)
        shapes = "+".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes)
        return f"{self.layer}({given}) of {shapes}"

    def make(self, package: ModuleType) -> Any:
        return getattr(package.layers, self.layer)(**dict(self.options))

    def build(self, package: ModuleType) -> Any:
        """The model of this one layer."""
        inputs = [package.Input(shape, dtype=self.dtype) for shape in self.shapes]
        outputs = self.make(package)(inputs if len(inputs) > 1 else inputs[0])
        return package.Model(inputs if len(inputs) > 1 else inputs[0], outputs)

    def data(self, batch: int) -> Any:
        shapes = [[batch, *(s or self.varying for s in shape)] for shape in self.shapes]
        arrays = [draw(shape, self.dtype, seed, self.below) for seed, shape in enumerate(shapes)]
        return arrays if len(arrays) > 1 else arrays[0]


def case(layer: str, *shapes: Shape, **options: Any) -> Case:
    """A case; what is no field of ``Case`` is an option of the layer."""
    own = {
        name: options.pop(name)
        for name in ("batches", "below", "varying", "rtol", "atol")
        if name in options
    }
    dtype = options.pop("input_dtype", "float32")
    return Case(layer, shapes, tuple(options.items()), dtype, **own)


def sweep(layer: str, shape: Shape, axes: dict[str, list[Any]], **options: Any) -> list[Any]:
    """A parameter, a case, for each combination of the values in ``axes``.

    Those that show no two values together that another shows are of the deep tier.
    """
    chosen = covering([len(values) for values in axes.values()])
    return [
        each
        for row in product(*(range(len(values)) for values in axes.values()))
        for each in deep(
            case(
                layer,
                shape,
                **options,
                **{name: axes[name][i] for name, i in zip(axes, row, strict=True)},
            ),
            when=row not in chosen,
        )
    ]


def draw(shape: Sequence[int], dtype: str = "float32", seed: int = 0, below: int = 10) -> Any:
    """An array of random elements, the same for the same arguments."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.random(shape) < 0.5
    if "int" in dtype:
        return random.integers(0, below, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def drawn_weights(model: Any) -> list[np.ndarray]:
    """Values for every weight, none of them left at the zeros and ones that hide mistakes."""
    random = np.random.default_rng(1)
    values = []
    for weight in model.weights:
        size = tuple(weight.shape)
        value = random.standard_normal(size) * 0.4
        if weight.name in ("variance", "moving_variance"):
            value = 0.5 + random.random(size)
        values.append(value.astype(keras.backend.standardize_dtype(weight.dtype)))
    return values


def twins(build: Build) -> tuple[Any, Any]:
    """``build``'s model in Keras and in Keraunos, with the same weights, which are random."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage takes a while
    keraunos.utils.clear_session(free_memory=False)
    pair = build(keras), build(keraunos)
    set_same_weights(*pair)
    return pair


def set_same_weights(theirs: Any, ours: Any) -> None:
    values = drawn_weights(theirs)
    theirs.set_weights(values)
    for layer in getattr(theirs, "layers", [theirs]):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # which Keras does itself when it loads weights
    ours.set_weights(theirs.get_weights())


def assert_close(ours: Any, theirs: Any, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Equal nests of arrays: structure, shapes, kinds of elements, values, NaN where NaN."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict) and list(ours) == list(theirs)
        for name, value in theirs.items():
            assert_close(ours[name], value, rtol, atol)
    elif isinstance(theirs, (list, tuple)):
        assert isinstance(ours, (list, tuple)) and len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_close(mine, other, rtol, atol)
    else:
        mine, other = np.asarray(ours), np.asarray(theirs)
        assert mine.shape == other.shape
        assert mine.dtype.name == other.dtype.name
        np.testing.assert_allclose(mine, other, rtol, atol)


def assert_same_structure(theirs: Any, ours: Any) -> None:
    """Names, output shapes, and the weights' names, shapes, order and roles."""
    assert ours.output_shape == theirs.output_shape
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.name == theirs.name
    assert described_weights(ours.weights) == described_weights(theirs.weights)
    for kind in ("trainable_weights", "non_trainable_weights"):
        mine, other = getattr(ours, kind), getattr(theirs, kind)
        assert described_weights(mine) == described_weights(other)
    assert ours.count_params() == theirs.count_params()


def described_weights(weights: Sequence[Any]) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and dtype of each weight."""
    return [
        (weight.name, tuple(weight.shape), keras.backend.standardize_dtype(weight.dtype))
        for weight in weights
    ]


def assert_twins_agree(case: Case) -> None:
    """Everything that this file compares, for the model of one layer."""
    theirs, ours = twins(case.build)
    assert_same_structure(theirs, ours)
    for batch in case.batches:
        data = case.data(batch)
        expected = theirs.predict_on_batch(data)
        assert_close(ours.predict_on_batch(data), expected, case.rtol, case.atol)


# Where a configuration says the same in other words, or what only Keras has.
_OTHERS_OWN = {
    "name", "dtype", "quantization_config", "renorm", "renorm_clipping", "renorm_momentum",
}  # fmt: skip


def assert_same_config(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Every entry of Keras's is in ours, with the same meaning; one of None may be left out."""
    for key in theirs.keys() - _OTHERS_OWN:
        if key not in ours:
            assert theirs[key] is None, f"{key} is missing"
            continue
        assert plain(ours[key]) == plain(theirs[key]), key


def plain(value: Any) -> Any:
    """Tuples as lists, objects by class and configuration."""
    if isinstance(value, dict) and "class_name" in value:
        return value["class_name"], plain(value.get("config") or {})
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items() if key not in _OTHERS_OWN}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value
