"""Convolutions against Keras: every option of every kind, on images of odd shapes."""

import pytest
from twins import Case, assert_twins_agree, case, sweep

IMAGE, SEQUENCE = (7, 8, 6), (9, 6)
NEEDED = {
    "Conv1D": {"filters": 4},
    "Conv2D": {"filters": 4},
    "DepthwiseConv1D": {},
    "DepthwiseConv2D": {},
    "SeparableConv1D": {"filters": 4},
    "SeparableConv2D": {"filters": 4},
    "Conv1DTranspose": {"filters": 4},
    "Conv2DTranspose": {"filters": 4},
}
PADDINGS = ["valid", "same"]


def windows() -> list[Case]:
    """Kernels, strides and paddings: larger and smaller than each other, odd and even."""
    cases = []
    for kind, needed in NEEDED.items():
        if "1D" in kind:
            axes = {"kernel_size": [1, 3, 4], "strides": [1, 2, 5], "padding": PADDINGS}
            cases += sweep(kind, SEQUENCE, axes, **needed)
        else:
            axes = {"kernel_size": [1, 2, 3], "strides": [1, 2, 4], "padding": PADDINGS}
            cases += sweep(kind, IMAGE, axes, **needed)
            axes = {"kernel_size": [(3, 2), (1, 5)], "strides": [(2, 1)], "padding": PADDINGS}
            cases += sweep(kind, IMAGE, axes, **needed)
    return cases


def dilated() -> list[Case]:
    cases = []
    for kind, needed in NEEDED.items():
        shape = SEQUENCE if "1D" in kind else IMAGE
        rates = [2, 3] if "1D" in kind else [2, (1, 3)]
        axes = {"dilation_rate": rates, "padding": PADDINGS}
        cases += sweep(kind, shape, axes, kernel_size=3, **needed)
    return cases


def plain_options() -> list[Case]:
    """Bias, activation, multiplier, layout: what does not depend on the windows."""
    cases = []
    for kind, needed in NEEDED.items():
        shape = SEQUENCE if "1D" in kind else IMAGE
        common = {"kernel_size": 3, **needed}
        cases += sweep(kind, shape, {"use_bias": [False]}, **common)
        cases += sweep(kind, shape, {"activation": ["relu", "gelu", "softmax"]}, **common)
        if kind.startswith(("Depthwise", "Separable")):
            cases += sweep(kind, shape, {"depth_multiplier": [2, 3]}, **common)
        axes = {"padding": PADDINGS, "strides": [1, 2]}
        cases += sweep(kind, shape, axes, **common, data_format="channels_first", activation="tanh")
    return cases


def groups() -> list[Case]:
    return [
        case("Conv2D", IMAGE, filters=4, kernel_size=3, groups=2),
        case("Conv2D", IMAGE, filters=6, kernel_size=3, groups=6, padding="same"),
        case("Conv2D", IMAGE, filters=12, kernel_size=(2, 1), groups=3, strides=2, use_bias=False),
        case("Conv2D", IMAGE, filters=14, kernel_size=3, groups=7, data_format="channels_first"),
        case("Conv1D", SEQUENCE, filters=4, kernel_size=3, groups=2, padding="causal"),
        case("Conv1D", SEQUENCE, filters=9, kernel_size=2, groups=3, dilation_rate=2),
    ]


def causal() -> list[Case]:
    axes = {"kernel_size": [1, 3, 4], "dilation_rate": [1, 2]}
    cases = sweep("Conv1D", SEQUENCE, axes, filters=4, padding="causal")
    cases += sweep(
        "Conv1D", SEQUENCE, {"strides": [2, 3]}, filters=4, kernel_size=4, padding="causal"
    )
    cases.append(case("Conv1D", (3, 2), filters=4, kernel_size=5, padding="causal"))
    return cases


def transposed() -> list[Case]:
    """Gaps between the windows' results, and what is left over at the far end."""
    axes = {"output_padding": [0, 1], "padding": PADDINGS, "strides": [2, 3]}
    deep = {"filters": 3, "kernel_size": 3}
    wide = {"filters": 3, "kernel_size": (4, 2), "strides": (3, 2), "output_padding": (2, 1)}
    return [
        *sweep("Conv2DTranspose", (4, 3, 2), axes, **deep),
        *sweep("Conv1DTranspose", (4, 2), axes, **deep),
        *sweep("Conv2DTranspose", (4, 3, 2), {"padding": PADDINGS}, **wide),
        *sweep("Conv2DTranspose", (4, 3, 2), {"padding": PADDINGS}, **wide | {"strides": (4, 5)}),
        case("Conv2DTranspose", (1, 1, 5), filters=2, kernel_size=5, strides=2, padding="same"),
        case("Conv2DTranspose", (1, 1, 5), filters=2, kernel_size=2, strides=5),
    ]


def odd_shapes() -> list[Case]:
    """Single pixels, lines, one channel, more channels than a register holds, other batches."""
    cases = []
    for shape in ((1, 1, 1), (1, 9, 3), (9, 1, 17), (2, 2, 3), (13, 5, 1), (5, 6, 33)):
        axes = {"filters": [1, 17], "strides": [1, 2]}
        cases += sweep("Conv2D", shape, axes, kernel_size=3, padding="same", batches=(1, 2, 5))
        cases.append(case("DepthwiseConv2D", shape, kernel_size=3, padding="same", batches=(1, 5)))
        cases.append(case("SeparableConv2D", shape, filters=3, kernel_size=2, padding="same"))
    for filters in (1, 3, 17, 40):
        cases.append(case("Conv2D", (6, 5, 3), filters=filters, kernel_size=(6, 5)))
        cases.append(case("Conv2D", (6, 5, 19), filters=filters, kernel_size=1))
    cases.append(case("Conv1D", (1, 1), filters=1, kernel_size=1, batches=(1, 2)))
    cases.append(case("Conv1D", (30, 17), filters=5, kernel_size=7, strides=4, batches=(1, 2)))
    return cases


def varying_sizes() -> list[Case]:
    """Images whose height and width only the data tell."""
    cases = []
    for kind, needed in NEEDED.items():
        shape = (None, 6) if "1D" in kind else (None, None, 6)
        axes = {"strides": [1, 2], "padding": PADDINGS}
        cases += sweep(kind, shape, axes, kernel_size=3, batches=(2,), **needed)
    return cases


CASES = [
    *windows(),
    *dilated(),
    *plain_options(),
    *groups(),
    *causal(),
    *transposed(),
    *odd_shapes(),
    *varying_sizes(),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolutions_agree_with_keras(case):
    assert_twins_agree(case)
