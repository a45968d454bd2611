"""The arguments of layers, functions and initializers: Keras's names, order and defaults."""

import inspect

import pytest
from twins import keras

import keraunos

# What only Keras has: low-rank adaptation, sparse and ragged tensors, rolling renormalization.
ABSENT = {
    "lora_rank", "lora_alpha", "quantization_config", "renorm", "renorm_clipping",
    "renorm_momentum", "sparse", "ragged", "custom_objects", "name", "dtype", "optional",
    "allow_last_axis_squeeze", "retstep", "format", "preferred_backend",
}  # fmt: skip
# What is the same said otherwise: sizes for each axis, or an argument that has a default here.
LAXER = {"pool_size", "strides", "dilation_rate", "padding", "cropping", "axes"}
# Functions of which the other tests show which arguments they take.
OTHERWISE = {
    "InputSpec", "Progbar", "elu", "celu", "leaky_relu", "hard_shrink", "soft_shrink", "squareplus",
    "linspace", "multi_hot", "where",
}  # fmt: skip


def arguments(function):
    """Names and defaults in order, without those taken by position only and the catch-alls."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind not in kinds}


def shared(part):
    theirs, ours = getattr(keras, part), getattr(keraunos, part)
    names = [name for name in getattr(ours, "__all__", dir(ours)) if not name.startswith("_")]
    return [
        (part, name)
        for name in names
        if callable(getattr(theirs, name, None)) and name not in OTHERWISE
    ]


def means_the_same(name, theirs, ours):
    """Sizes for all axes at once equal the same size for each; a default may replace none."""
    if isinstance(theirs, tuple) and len({str(each) for each in theirs}) == 1:
        theirs = theirs[0]
    return theirs == ours or (name in LAXER and theirs is inspect.Parameter.empty)


CALLABLES = [
    pair
    for part in (
        "layers",
        "ops",
        "activations",
        "initializers",
        "losses",
        "metrics",
        "models",
        "random",
        "utils",
    )
    for pair in shared(part)
]


@pytest.mark.parametrize(("part", "name"), CALLABLES, ids=lambda value: value)
def test_arguments(part, name):
    theirs, ours = (arguments(getattr(getattr(p, part), name)) for p in (keras, keraunos))
    wanted = [argument for argument in theirs if argument not in ABSENT]
    assert [argument for argument in ours if argument in wanted] == wanted
    for argument in wanted:
        if not means_the_same(argument, theirs[argument], ours[argument]):
            assert ours[argument] == theirs[argument], argument
