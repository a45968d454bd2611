"""Every activation that Keras knows by name, as a function and as a layer."""

import inspect

import numpy as np
import pytest
from twins import Case, assert_close, assert_twins_agree, case, keras, sweep, twins

import keraunos

IMAGE, SEQUENCE = (4, 5, 6), (9, 6)
# Those that need more than a name, and one that sorts, which Keraunos has not.
OTHERS = ("get", "serialize", "deserialize", "threshold", "sparsemax")
NAMES = sorted(
    name
    for name, function in vars(keras.activations).items()
    if inspect.isfunction(function) and name not in OTHERS
)
NAMES += ["swish", "hard_swish"]
ALONG_AN_AXIS = {"softmax", "log_softmax", "glu"}
SHRINKS = {"hard_shrink", "soft_shrink"}

TINY = np.finfo("float32").tiny
EDGES = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 6.0, -6.0, 2.9999998, 6.0000005, 20.0, -20.0,
     88.0, -88.0, 90.0, -90.0, 104.0, -104.0, 1e4, -1e4, 1e18, -1e18, 1e30, -1e30, 3e38, -3e38,
     1e-4, -1e-4, 1e-8, -1e-8, 1e-20, -1e-20, 1e-37, -1e-37, 4.0, -4.0, 10.0, -10.0],
    "float32",
)  # fmt: skip
EXTREMES = np.array([np.inf, -np.inf, np.nan, -np.nan], "float32")


def activated(name, data, **options):
    """What a model of one activation gives in Keras and in Keraunos."""

    def build(package):
        function = getattr(package.activations, name, None) or package.activations.get(name)
        x = package.Input(data.shape[1:])
        return package.Model(x, package.layers.Lambda(lambda v: function(v, **options))(x))

    theirs, ours = twins(build)
    return theirs.predict_on_batch(data), ours.predict_on_batch(data)


def test_every_name_of_keras_is_known():
    missing = [name for name in NAMES if not callable(keraunos.activations.get(name))]
    assert not missing


# Keras's Activation layer says of glu that it keeps the shape, which it halves.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "glu"])
def test_activations_by_name(name):
    assert_twins_agree(case("Activation", SEQUENCE, activation=name))


@pytest.mark.parametrize("name", [*NAMES, "threshold"])
def test_ordinary_values(name):
    """On a grid, where each function bends, to the last few bits."""
    data = np.linspace(-12, 12, 1200, dtype="float32").reshape(2, 600)
    options = {"threshold": 0.5, "default_value": -1.0} if name == "threshold" else {}
    theirs, ours = activated(name, data, **options)
    assert_close(ours, theirs, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(NAMES) - ALONG_AN_AXIS))
def test_edge_values(name):
    theirs, ours = activated(name, EDGES[None])
    assert_close(ours, theirs, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(NAMES) - ALONG_AN_AXIS - SHRINKS))
def test_infinities_and_nan(name):
    theirs, ours = activated(name, EXTREMES[None])
    assert_close(ours, theirs)


@pytest.mark.parametrize("name", sorted(SHRINKS))
def test_shrinks_let_nan_through(name):
    """Keras gives 0 for it with JAX and NaN with PyTorch; a 0 would hide that something failed."""
    theirs, ours = activated(name, EXTREMES[None])
    assert_close(ours[:, :2], theirs[:, :2])
    assert np.isnan(ours[:, 2:]).all()


@pytest.mark.parametrize("name", sorted(ALONG_AN_AXIS))
def test_extreme_rows(name):
    """Shares of very large, very small, equal and infinite elements."""
    rows = np.array(
        [[1e4, -1e4, 0, 3], [3e38, 3e38, -3e38, 1], [-1e30] * 4, [np.inf, 0, 1, 2],
         [-np.inf, 0, 1, 2], [np.nan, 0, 1, 2], [88, 89, 90, 91], [0, -0.0, 1e-30, -1e-30]],
        "float32",
    )  # fmt: skip
    theirs, ours = activated(name, rows)
    assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("relu", {"negative_slope": 0.1}),
        ("relu", {"max_value": 1.0}),
        ("relu", {"max_value": 6}),
        ("relu", {"threshold": 0.5}),
        ("relu", {"max_value": 1.0, "negative_slope": 0.1}),
        ("relu", {"threshold": 0.5, "negative_slope": 0.1}),
        ("relu", {"threshold": 0.5, "max_value": 2.0, "negative_slope": 0.1}),
        ("relu", {"threshold": -1.0}),
        ("leaky_relu", {"negative_slope": 0.5}),
        ("elu", {"alpha": 0.3}),
        ("celu", {"alpha": 0.3}),
        ("celu", {"alpha": 2.0}),
        ("gelu", {"approximate": True}),
        ("gelu", {"approximate": False}),
        ("hard_shrink", {"threshold": 1.5}),
        ("soft_shrink", {"threshold": 1.5}),
        ("squareplus", {"b": 1.0}),
        ("softmax", {"axis": 1}),
        ("softmax", {"axis": (1, 2)}),
        ("log_softmax", {"axis": 1}),
        ("log_softmax", {"axis": 2}),
        ("glu", {"axis": 1}),
        ("glu", {"axis": -2}),
        ("threshold", {"threshold": 0.1, "default_value": 20.0}),
    ],
    ids=str,
)
def test_options(name, options):
    data = np.random.default_rng(0).normal(0, 2, (2, 4, 6)).astype("float32")
    theirs, ours = activated(name, data, **options)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def layers() -> list[Case]:
    return [
        *sweep("ReLU", SEQUENCE, {"max_value": [None, 1.0, 6], "negative_slope": [0.0, 0.1]}),
        *sweep("ReLU", SEQUENCE, {"threshold": [0.5], "negative_slope": [0.0, 0.1]}, max_value=1.0),
        *sweep("LeakyReLU", SEQUENCE, {"negative_slope": [0.0, 0.3, 1.0]}),
        *sweep("ELU", SEQUENCE, {"alpha": [0.3, 1.0, 2.0]}),
        *sweep("PReLU", IMAGE, {"shared_axes": [None, [1], [1, 2], [2, 3], [1, 2, 3]]}),
        case("PReLU", (None, 6), shared_axes=[1]),
        *sweep("Softmax", IMAGE, {"axis": [-1, 1, 2, 3, (1, 2), (2, 3), (1, 2, 3)]}),
        *sweep("Softmax", (1,), {"axis": [-1]}),
        *sweep("Softmax", (17,), {"axis": [-1]}, batches=(1, 5)),
        *sweep("Softmax", (1000,), {"axis": [-1]}, batches=(1, 5)),
        *sweep("Softmax", (None, 5), {"axis": [-1, 1]}),
    ]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.parametrize("case", layers(), ids=str)
def test_activation_layers(case):
    assert_twins_agree(case)


@pytest.mark.parametrize("name", ["relu", "tanh", "softmax", "gelu", "mish"])
def test_activations_on_arrays_at_once(name):
    data = np.random.default_rng(0).normal(0, 2, (3, 7)).astype("float32")
    theirs, ours = (getattr(p.activations, name)(data) for p in (keras, keraunos))
    assert_close(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_written_and_read_alike(name):
    ours, theirs = keraunos.activations, keras.activations
    assert ours.serialize(ours.get(name)) == theirs.serialize(theirs.get(name))
    assert ours.deserialize(theirs.serialize(theirs.get(name))) is ours.get(name)


@pytest.mark.parametrize("wrong", ["reluu", 3, ["relu"]], ids=str)
def test_what_keras_refuses_is_refused(wrong):
    for package in (keras, keraunos):
        with pytest.raises(ValueError):
            package.activations.get(wrong)
