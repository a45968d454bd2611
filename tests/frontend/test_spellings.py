"""Keras's spellings import, and the small helpers around them work."""

import importlib
import operator
import subprocess
import sys

import numpy as np
import pytest

import keraunos
from keraunos import activations, utils
from keraunos.frontend import tree
from keraunos.frontend.naming import snake_case

SPELLINGS = [
    "import keraunos as keras; keras.Sequential; keras.layers.Dense; keras.Input; keras.Model",
    "from keraunos import layers, models, ops, initializers, activations, utils, datasets",
    "from keraunos.layers import Input, Embedding, Dense, Conv2D, MaxPooling2D, Flatten",
    "from keraunos.models import Sequential, Model",
    "from keraunos.activations import relu, softmax",
    "from keraunos.initializers import GlorotUniform, HeNormal, glorot_uniform",
    "from keraunos.utils import to_categorical, set_random_seed, Progbar",
    "from keraunos.datasets import digits",
    "from keraunos.random import SeedGenerator",
    "import keraunos.ops as kops; kops.relu",
    "from keraunos import backend; backend.floatx(); backend.clear_session()",
]


def test_spellings_import():
    code = "\n".join(SPELLINGS)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_alias_is_the_module_itself():
    layers = importlib.import_module("keraunos.layers")
    assert layers is importlib.import_module("keraunos.frontend.layers")


@pytest.mark.parametrize(
    ("module", "name", "hint"),
    [
        ("layers", "dense", "Did you mean 'Dense'?"),
        ("optimizers.schedules", "Cosine", "Did you mean 'CosineDecay'?"),
        ("initializers", "glorot", "Did you mean 'glorot_normal'?"),
        ("layers", "Zzz", "dir(keraunos.layers) lists what there is"),
    ],
)
def test_what_a_module_lacks_it_says_by_the_name_that_users_know(module, name, hint):
    with pytest.raises(AttributeError) as caught:
        operator.attrgetter(f"{module}.{name}")(keraunos)
    assert str(caught.value) == f"keraunos.{module} has no {name!r}. {hint}"
    assert not hasattr(operator.attrgetter(module)(keraunos), "__wrapped__")


def test_the_package_says_what_it_lacks():
    with pytest.raises(AttributeError, match=r"^keraunos has no 'Sequentia'\. Did"):
        _ = keraunos.Sequentia


@pytest.mark.parametrize(("name", "expected"), [
    ("Conv2D", "conv2d"), ("MaxPooling2D", "max_pooling2d"), ("PReLU", "p_re_lu"),
    ("BatchNormalization", "batch_normalization"), ("Conv2DTranspose", "conv2d_transpose"),
    ("LSTM", "lstm"), ("GlobalAveragePooling1D", "global_average_pooling1d"),
])  # fmt: skip
def test_snake_case(name, expected):
    assert snake_case(name) == expected


def test_to_categorical():
    np.testing.assert_array_equal(utils.to_categorical([0, 2]), [[1, 0, 0], [0, 0, 1]])
    assert utils.to_categorical([[1], [0]], 4).shape == (2, 4)
    with pytest.raises(ValueError, match="classes from 0 to 2"):
        utils.to_categorical([3], 3)


def test_normalize():
    np.testing.assert_allclose(utils.normalize([[3.0, 4.0], [0, 0]]), [[0.6, 0.8], [0, 0]])


def test_activations_by_name_and_back():
    assert activations.get(None) is activations.linear
    assert activations.get("relu") is activations.relu
    assert activations.get(np.tanh) is np.tanh
    assert activations.serialize(activations.gelu) == "gelu"
    assert activations.deserialize("gelu") is activations.gelu
    with pytest.raises(ValueError, match="expected an activation"):
        activations.get(3)


def test_structures():
    nested = {"b": [1, (2, 3)], "a": 4}
    assert tree.flatten(nested) == [4, 1, 2, 3]
    assert tree.map_structure(lambda value: value * 2, nested) == {"b": [2, (4, 6)], "a": 8}
    assert tree.pack_as(nested, [1, 2, 3, 4]) == {"b": [2, (3, 4)], "a": 1}
    assert list(tree.map_structure(str, nested)) == ["a", "b"]
