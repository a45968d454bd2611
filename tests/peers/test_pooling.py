"""Pooling against Keras: windows of every kind, whole images, masked steps."""

import numpy as np
import pytest
from twins import Case, assert_close, assert_twins_agree, case, draw, sweep, twins

IMAGE, SEQUENCE = (7, 8, 6), (9, 6)
PADDINGS = ["valid", "same"]
KINDS = ("Max", "Average")


def windows() -> list[Case]:
    """Windows that overlap, that touch, and that leave gaps."""
    cases = []
    for kind in KINDS:
        axes = {"pool_size": [1, 2, 3, 7], "strides": [None, 1, 2, 4], "padding": PADDINGS}
        cases += sweep(f"{kind}Pooling2D", IMAGE, axes)
        axes = {"pool_size": [(2, 3), (1, 4)], "strides": [None, (3, 2)], "padding": PADDINGS}
        cases += sweep(f"{kind}Pooling2D", IMAGE, axes)
        axes = {"pool_size": [2, 3, 9], "strides": [None, 1, 5], "padding": PADDINGS}
        cases += sweep(f"{kind}Pooling1D", SEQUENCE, axes)
    return cases


def layouts_and_shapes() -> list[Case]:
    cases = []
    for kind in KINDS:
        axes = {"strides": [None, 1], "padding": PADDINGS}
        first = {"pool_size": 2, "data_format": "channels_first"}
        cases += sweep(f"{kind}Pooling2D", IMAGE, axes, **first)
        cases += sweep(f"{kind}Pooling1D", SEQUENCE, axes, **first)
        for shape in ((1, 1, 1), (1, 9, 3), (9, 1, 17), (2, 2, 3), (13, 5, 1), (5, 6, 33)):
            axes = {"pool_size": [3], "strides": [1, 2]}
            cases += sweep(f"{kind}Pooling2D", shape, axes, padding="same", batches=(1, 2, 5))
        for shape in ((None, None, 6), (None, 5, 3)):
            axes = {"pool_size": [2], "strides": [None, 1], "padding": PADDINGS}
            cases += sweep(f"{kind}Pooling2D", shape, axes)
        cases += sweep(f"{kind}Pooling1D", (None, 6), {"padding": PADDINGS}, pool_size=2)
    return cases


def whole_images() -> list[Case]:
    cases = []
    for kind in KINDS:
        axes = {"keepdims": [False, True], "data_format": ["channels_last", "channels_first"]}
        cases += sweep(f"Global{kind}Pooling2D", IMAGE, axes)
        cases += sweep(f"Global{kind}Pooling1D", SEQUENCE, axes)
        for shape in ((1, 1, 1), (1, 9, 3), (13, 5, 17), (None, None, 6), (40, 40, 2)):
            cases.append(case(f"Global{kind}Pooling2D", shape, batches=(1, 2, 5)))
        cases += sweep(f"Global{kind}Pooling1D", (None, 6), {})
    return cases


CASES = [*windows(), *layouts_and_shapes(), *whole_images()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooling_agrees_with_keras(case):
    assert_twins_agree(case)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_infinities_and_negatives_are_pooled_as_in_keras(kind, padding):
    """The padding of a maximum must lose to every element, and that of a mean must not count."""
    options = {"pool_size": 3, "strides": 2, "padding": padding}
    theirs, ours = twins(case(f"{kind}Pooling2D", IMAGE, **options).build)
    image = -10 - np.abs(draw((2, *IMAGE)))
    image[0, 0, 0, 0] = -np.inf
    image[0, 3, 3, 1] = np.inf
    image[1, 2, 2, 2] = np.nan
    image[1, :3, :3, 3] = -np.inf
    assert_close(ours.predict_on_batch(image), theirs.predict_on_batch(image))


@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_steps_do_not_count(keepdims):
    def build(package):
        tokens = package.Input((6,), dtype="int32")
        vectors = package.layers.Embedding(10, 4, mask_zero=True)(tokens)
        pooled = package.layers.GlobalAveragePooling1D(keepdims=keepdims)(vectors)
        return package.Model(tokens, pooled)

    theirs, ours = twins(build)
    tokens = np.array([[1, 2, 0, 0, 0, 0], [3, 0, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6]], "int32")
    assert_close(ours.predict_on_batch(tokens), theirs.predict_on_batch(tokens))
