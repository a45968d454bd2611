"""Layers that move elements around, against Keras."""

import pytest
from twins import Case, assert_twins_agree, case, sweep

IMAGE, SEQUENCE, VECTOR = (4, 5, 6), (9, 6), (5,)
FORMATS = ["channels_last", "channels_first"]


def flat() -> list[Case]:
    shapes = ((), VECTOR, SEQUENCE, IMAGE, (1, 1, 1), (2, 3, 4, 5), (None, 6), (None, None, 3))
    cases = [case("Flatten", shape, batches=(1, 3)) for shape in shapes]
    cases += [case("Flatten", shape, data_format="channels_first") for shape in shapes[:5]]
    return cases


def reshaped() -> list[Case]:
    targets = ((120,), (6, 20), (5, 4, 6), (-1,), (3, -1, 2), (2, 2, 30), (1, -1, 1), (2, 3, 4, 5))
    return [
        *sweep("Reshape", IMAGE, {"target_shape": list(targets)}),
        *sweep("Reshape", (), {"target_shape": [(1,), (1, 1)]}),
        *sweep("Reshape", (None, 6), {"target_shape": [(-1, 3), (-1, 2, 3), (-1,)]}),
        *sweep("Permute", IMAGE, {"dims": [(1, 2, 3), (2, 1, 3), (3, 1, 2), (3, 2, 1)]}),
        *sweep("Permute", SEQUENCE, {"dims": [(2, 1)]}),
        *sweep("Permute", (2, 3, 4, 5), {"dims": [(4, 1, 3, 2)]}),
        *sweep("Permute", (None, 6), {"dims": [(2, 1)]}),
        *sweep("RepeatVector", VECTOR, {"n": [1, 2, 7]}, batches=(1, 3)),
    ]


def borders() -> list[Case]:
    wide = [1, (1, 2), ((1, 2), (0, 1)), ((0, 0), (0, 0)), ((3, 0), (0, 2))]
    narrow = [0, 1, (1, 2), ((1, 2), (0, 1)), ((2, 1), (0, 3))]
    return [
        *sweep("ZeroPadding2D", IMAGE, {"padding": wide}),
        *sweep("ZeroPadding2D", IMAGE, {"padding": wide[1:3]}, data_format="channels_first"),
        *sweep("ZeroPadding1D", SEQUENCE, {"padding": [1, 3, (0, 2), (2, 0)]}),
        *sweep("ZeroPadding1D", SEQUENCE, {"data_format": FORMATS}, padding=(1, 2)),
        *sweep("ZeroPadding2D", (None, None, 3), {"padding": [1, ((1, 2), (0, 1))]}),
        *sweep("Cropping2D", IMAGE, {"cropping": narrow}),
        *sweep("Cropping2D", IMAGE, {"cropping": [1, (1, 2)]}, data_format="channels_first"),
        *sweep("Cropping1D", SEQUENCE, {"cropping": [0, 1, 4, (0, 2), (2, 0)]}),
        *sweep("Cropping2D", (None, None, 3), {"cropping": [1, ((1, 2), (0, 1))]}),
        case("ZeroPadding1D", SEQUENCE),
        case("ZeroPadding2D", IMAGE),
        case("Cropping1D", SEQUENCE),
        case("Cropping2D", IMAGE),
    ]


def enlarged() -> list[Case]:
    shapes = ((1, 1, 1), (1, 4, 3), (2, 1, 17), (3, 3, 3))
    axes = {"size": [1, 2, 3, (2, 3), (4, 1)], "interpolation": ["nearest", "bilinear"]}
    cases = sweep("UpSampling2D", IMAGE, axes)
    for shape in shapes:
        axes = {"size": [2, (1, 4)], "interpolation": ["nearest", "bilinear"]}
        cases += sweep("UpSampling2D", shape, axes, batches=(1, 2))
    axes = {"interpolation": ["nearest", "bilinear"]}
    cases += sweep("UpSampling2D", IMAGE, axes, data_format="channels_first", size=(2, 3))
    cases += sweep("UpSampling2D", (None, None, 3), axes)
    cases += sweep("UpSampling1D", SEQUENCE, {"size": [1, 2, 5]})
    cases += sweep("UpSampling1D", (None, 2), {"size": [3]})
    return cases


CASES = [*flat(), *reshaped(), *borders(), *enlarged()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reshaping_agrees_with_keras(case):
    assert_twins_agree(case)
