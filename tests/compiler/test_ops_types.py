"""Type rules: symbolic sizes, and errors that say what was expected and what came."""

import numpy as np
import pytest

from keraunos.compiler import ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.windowing import resolve_padding, window_output
from keraunos.compiler.scheduling.conditions import conditions
from keraunos.runtime.dim import evaluate as evaluate_size
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke

N, H = symbol("N"), symbol("H")


def build(name, *types, **attrs):
    nodes = [ops.input_(f"x{i}", parse_type(text)) for i, text in enumerate(types)]
    return ops.get_op(name)(*nodes, **attrs)


IMAGE, KERNEL = "f32[N, 28, 28, 4]", "f32[3, 3, 4, 8]"

ERRORS = [
    # dtypes
    ("add", ("f32[2]", "i32[2]"), {}, "operands of one dtype, got f32[2], i32[2]"),
    ("add", ("bool[2]", "bool[2]"), {}, "expected numbers, got bool[2]"),
    ("exp", ("i32[2]",), {}, "expected floats, got i32[2]"),
    ("divide", ("i32[2]", "i32[2]"), {}, "expected floats, got i32[2]"),
    ("logical_and", ("f32[2]", "bool[2]"), {}, "expected booleans, got f32[2]"),
    ("select", ("f32[2]", "f32[2]", "f32[2]"), {}, "expected booleans, got f32[2]"),
    ("gather", ("f32[5]", "f32[2]"), {}, "expected integers, got f32[2]"),
    ("cast", ("f32[2]",), {"dtype": "int16"}, "expected a dtype out of float32"),
    ("conv2d", (IMAGE, "f64[3, 3, 4, 8]"), {}, "operands of one dtype"),
    # shapes
    ("add", ("f32[2, 3]", "f32[4]"), {}, "do not broadcast"),
    ("add", ("f32[N, 3]", "f32[2, 3]"), {}, "do not broadcast"),
    ("reshape", ("f32[N, 4]",), {"shape": (N, 5)}, "expected a shape of 4*N elements"),
    ("reshape", ("f32[4]",), {"shape": (-1, 4)}, "expected sizes of 0 or more"),
    ("broadcast_to", ("f32[3]",), {"shape": (2,)}, "do not broadcast"),
    ("broadcast_to", ("f32[3, 1]",), {"shape": (3,)}, "broadcasts to"),
    ("transpose", ("f32[2, 3]",), {"axes": (0,)}, "expected axes with 2 entries"),
    ("transpose", ("f32[2, 3]",), {"axes": (0, 0)}, "each axis once"),
    ("flip", ("f32[2, 3]",), {"axes": (2,)}, "expected an axis in [-2, 1] for rank 2, got 2"),
    ("repeat", ("f32[2]",), {"factors": (0,)}, "factors of 1 or more"),
    ("pad", ("f32[2]",), {"low": (1, 1), "high": (0,)}, "expected low with 1 entries"),
    ("pad", ("f32[2]",), {"low": (-3,), "high": (0,)}, "takes more than f32[2] has"),
    ("concatenate", ("f32[2, 3]", "f32[3, 4]"), {"axis": 0}, "differ along axis 0 only"),
    ("concatenate", (), {"axis": 0}, "at least one operand"),
    ("interleave", ("f32[2, 2, 2, 1]",), {"steps": (2, 1), "size": (4, 2)}, "expected 2 x 1"),
    (
        "interleave",
        ("f32[2, 2, 2, 1]", "f32[2, 2, 2, 1]"),
        {"steps": (2, 1), "size": (5, 2)},
        "equal images of (3, 2) or more",
    ),
    ("interleave", ("f32[2, 2, 2, 1]",), {"steps": (1,), "size": (2, 2)}, "as steps"),
    ("glu", ("f32[2, 3]",), {}, "expected an even size on axis -1, got f32[2, 3]"),
    ("clip", ("f32[2]",), {"low": 2.0, "high": 1.0}, "expected low <= high"),
    ("matmul", ("f32[2, 3]", "f32[4, 5]"), {}, "expected 3 rows on the right"),
    ("matmul", ("f32[]", "f32[4, 5]"), {}, "rank 1 or more"),
    ("matmul", ("f32[2, 3, 4]", "f32[3, 4, 5]"), {}, "do not broadcast"),
    ("iota", (), {"shape": (2,), "axis": 1}, "expected an axis in [-1, 0]"),
    # reductions
    ("sum", ("f32[2, 3]",), {"axes": (2,)}, "expected an axis in [-2, 1] for rank 2, got 2"),
    ("sum", ("f32[2, 3]",), {"axes": (0, -2)}, "each axis once"),
    ("sum", ("f32[2, 3]",), {"axes": 1}, "expected axes as a tuple such as (1, 2), got 1"),
    ("any", ("f32[2]",), {"axes": (0,)}, "expected booleans"),
    ("argmax", ("f32[2]",), {"axis": 1}, "expected an axis in [-1, 0]"),
    ("softmax", ("f32[2]",), {"axis": 1}, "expected an axis in [-1, 0]"),
    # slices
    (
        "slice",
        ("f32[4]",),
        {"start": (3,), "stop": (2,), "step": (1,)},
        "expected 0 <= start <= stop <= 4 on axis 0, got 3 and 2",
    ),
    ("slice", ("f32[4]",), {"start": (0,), "stop": (5,), "step": (1,)}, "stop <= 4"),
    ("slice", ("f32[4]",), {"start": (0,), "stop": (4,), "step": (-1,)}, "flip instead"),
    # convolutions
    ("conv2d", ("f32[28, 28, 4]", KERNEL), {}, "images (N, H, W, C) of rank 4"),
    ("conv2d", (IMAGE, "f32[3, 3, 4]"), {}, "channels / groups, filters) of rank 4"),
    ("conv2d", (IMAGE, "f32[3, 3, 3, 8]"), {}, "takes 3 channels, the input has 4"),
    ("conv2d", (IMAGE, KERNEL), {"groups": 2}, "takes 8 channels in 2 groups, the input has 4"),
    ("conv2d", (IMAGE, "f32[3, 3, 2, 9]"), {"groups": 2}, "filters in 2 equal groups"),
    ("conv2d", (IMAGE, KERNEL), {"groups": 0}, "groups of 1 or more"),
    ("conv2d", ("f32[N, 2, 2, 4]", KERNEL), {}, "a window of 3 does not fit into an image of 2"),
    ("conv2d", (IMAGE, KERNEL), {"dilation": (14, 1)}, "3 with dilation 14 does not fit"),
    ("conv2d", (IMAGE, KERNEL), {"strides": (0, 1)}, "2 positive integers as strides"),
    ("conv2d", (IMAGE, KERNEL), {"strides": (1,)}, "2 positive integers as strides"),
    ("conv2d", (IMAGE, KERNEL), {"padding": "full"}, 'expected padding "valid", "same" or pairs'),
    ("conv2d", (IMAGE, KERNEL), {"padding": ((1, 1),)}, "expected 2 padding pairs"),
    ("conv2d", (IMAGE, KERNEL), {"padding": ((1, -1), (0, 0))}, "padding of 0 or more"),
    ("conv2d", (IMAGE, "f32[H, 3, 4, 8]"), {}, "a kernel of known sizes"),
    ("conv2d", (IMAGE, "f32[3, 3, 4, F]"), {}, "a kernel of known sizes"),
    ("conv2d", ("f32[N, 28, 28, C]", "f32[3, 3, C, 8]"), {}, "a kernel of known sizes"),
    ("conv2d_transpose", (IMAGE, "f32[3, 3, F, 4]"), {}, "a kernel of known sizes"),
    (
        "winograd_kernel",
        ("f32[16, 16, 16]", "f32[2, 6, 8, 16]", "f32[2, H, 6, 16]"),
        {},
        "a gradient of images of known sizes",
    ),
    (
        "conv2d_kernel_gradient",
        ("f32[2, 5, 5, C]", "f32[2, 5, 5, 4]"),
        {"window": (1, 1)},
        "images of channels of known sizes",
    ),
    (
        "conv2d_kernel_gradient",
        ("f32[2, 5, 5, 4]", "f32[2, 5, 5, F]"),
        {"window": (1, 1)},
        "a gradient of channels of known sizes",
    ),
    ("conv1d", ("f32[2, 7]", "f32[3, 3, 4]"), {}, "sequences (N, T, C) of rank 3"),
    ("conv1d", ("f32[2, 7, 4]", "f32[3, 3, 4]"), {}, "takes 3 channels, the input has 4"),
    ("depthwise_conv2d", (IMAGE, "f32[3, 3, 3, 1]"), {}, "takes 3 channels, the input has 4"),
    ("conv2d_transpose", (IMAGE, KERNEL), {}, "takes 8 channels, the input has 4"),
    (
        "conv2d_transpose",
        (IMAGE, "f32[3, 3, 8, 4]"),
        {"strides": (2, 2), "output_padding": (2, 0)},
        "below the strides (2, 2), got (2, 0)",
    ),
    ("max_pool2d", (IMAGE,), {"window": (29, 1), "strides": (1, 1)}, "does not fit"),
    ("max_pool2d", (IMAGE,), {"window": (2, 2)}, "missing ['strides']"),
    (
        "avg_pool2d",
        (IMAGE,),
        {"window": (2, 2), "strides": (2, 2), "padding": ((2, 0), (0, 0))},
        "outside the image",
    ),
    # normalisation
    ("batch_norm", ("f32[2, 4]", *["f32[3]"] * 4), {}, "expected vectors of 4"),
    ("batch_norm", ("f32[2, 4]", "f32[4]"), {}, "expected x, gamma, beta, mean, variance; got 2"),
    ("layer_norm", ("f32[2, 4]", "f32[2]", "f32[2]"), {}, "expected weights of f32[4], got f32[2]"),
]


@pytest.mark.parametrize(("name", "types", "attrs", "message"), ERRORS)
def test_error(name, types, attrs, message):
    with pytest.raises((IRError, TypeError)) as caught:
        build(name, *types, **attrs)
    assert message in str(caught.value)


def test_errors_name_the_op_and_its_operands():
    with pytest.raises(IRError, match=r"conv2d\(f32\[N, 28, 28, 4\], f32\[3, 3, 3, 8\]"):
        build("conv2d", IMAGE, "f32[3, 3, 3, 8]")


RESULTS = [
    ("conv2d", ("f32[N, H, W, 4]", KERNEL), {}, "f32[N, H - 2, W - 2, 8]"),
    ("conv2d", ("f32[N, H, W, 4]", KERNEL), {"padding": "same"}, "f32[N, H, W, 8]"),
    (
        "conv2d",
        ("f32[N, H, 9, 4]", KERNEL),
        {"padding": "same", "strides": (2, 2)},
        "f32[N, (H + 1)//2, 5, 8]",
    ),
    ("conv2d", ("f32[N, 9, 9, 4]", KERNEL), {"strides": (2, 3)}, "f32[N, 4, 3, 8]"),
    (
        "max_pool2d",
        ("f32[N, H, 28, 4]",),
        {"window": (2, 2), "strides": (2, 2)},
        "f32[N, (H - 2)//2 + 1, 14, 4]",
    ),
    ("conv1d", ("f32[N, T, 4]", "f32[3, 4, 8]"), {"padding": "same"}, "f32[N, T, 8]"),
    ("depthwise_conv2d", (IMAGE, "f32[3, 3, 4, 2]"), {}, "f32[N, 26, 26, 8]"),
    (
        "conv2d_transpose",
        ("f32[N, H, 14, 8]", "f32[3, 3, 4, 8]"),
        {"strides": (2, 2), "padding": "same"},
        "f32[N, 2*H, 28, 4]",
    ),
    ("matmul", ("f32[N, T, 8]", "f32[8, 3]"), {}, "f32[N, T, 3]"),
    ("matmul", ("f32[N, T, 8]", "f32[N, 8, T]"), {}, "f32[N, T, T]"),
    ("reshape", ("f32[N, 4, 4, 2]",), {"shape": (N, 32)}, "f32[N, 32]"),
    ("concatenate", ("f32[N, 3]", "f32[N, H]"), {"axis": 1}, "f32[N, H + 3]"),
    ("slice", ("f32[N, H]",), {"start": (0, 1), "stop": (N, H), "step": (1, 1)}, "f32[N, H - 1]"),
    ("pad", ("f32[N, H]",), {"low": (0, 1), "high": (0, 2), "interior": (0, 1)}, "f32[N, 2*H + 2]"),
    ("repeat", ("f32[N, H]",), {"factors": (1, 3)}, "f32[N, 3*H]"),
    ("sum", ("f32[N, H]",), {"axes": (-1,), "keepdims": True}, "f32[N, 1]"),
    ("gather", ("f32[100, 8]", "i32[N, T]"), {}, "f32[N, T, 8]"),
    ("scatter_add", ("f32[N, T, 8]", "i32[N, T]"), {"size": 100}, "f32[100, 8]"),
    ("argmax", ("f32[N, 10]",), {}, "i32[N]"),
    ("one_hot", ("i32[N]",), {"depth": 10}, "f32[N, 10]"),
    ("glu", ("f32[N, 8]",), {}, "f32[N, 4]"),
]


@pytest.mark.parametrize(("name", "types", "attrs", "expected"), RESULTS)
def test_result(name, types, attrs, expected):
    assert str(build(name, *types, **attrs).type) == expected


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize(
    ("window", "stride", "dilation"), [(3, 2, 1), (2, 2, 1), (3, 1, 2), (5, 3, 1)]
)
def test_symbolic_same_padding_agrees_with_the_known_one(size, window, stride, dilation):
    rest = (window,), (stride,), (dilation,), "same"
    ((before, after),) = resolve_padding((H,), *rest)
    bound = tuple(evaluate_size(side, {"H": size}) for side in (before, after))
    assert (bound,) == resolve_padding((size,), *rest)
    (positions,) = window_output((H,), *rest)
    assert evaluate_size(positions, {"H": size}) == -(-size // stride)


def test_same_padding_of_a_window_narrower_than_its_stride():
    with pytest.raises(ValueError, match="symbolic size H depends on its value"):
        resolve_padding((H,), (2,), (3,), (1,), "same")
    assert resolve_padding((H,), (1,), (2,), (1,), "same") == ((0, 0),)
    assert resolve_padding((7,), (2,), (3,), (1,), "same") == ((0, 1),)
    assert resolve_padding((6,), (2,), (4,), (1,), "same") == ((0, 0),)


@pytest.mark.parametrize("size", [6, 7])
def test_a_symbolic_image_runs_at_every_size(size):
    x, kernel = ops.input_("x", parse_type("f32[N, H, H, 2]")), np.ones((3, 3, 2, 4), "f4")
    node = ops.conv2d(x, ops.constant(kernel), strides=(2, 2), padding="same")
    array = np.random.default_rng(0).standard_normal((2, size, size, 2))
    (found,) = evaluate(Graph("g", (x,), (node,)), [array])
    fixed = ops.input_("x", parse_type(f"f32[2, {size}, {size}, 2]"))
    same = ops.conv2d(fixed, ops.constant(kernel), strides=(2, 2), padding="same")
    (expected,) = evaluate(Graph("g", (fixed,), (same,)), [array])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rank", [1, 3])
def test_windows_of_any_rank(rank):
    assert window_output((8,) * rank, (3,) * rank, (2,) * rank, (1,) * rank, "valid") == (3,) * rank


POOL = {"window": (2, 2), "strides": (2, 2)}
PLACES = ["0 <= H - 2", "N <= M", "M <= N", "H - 2 <= P", "P <= H - 2"]
ALIKE = ["N <= M", "M <= N"]

ORDERS = [
    ("add", ("f32[N]", "f32[N]"), {}, []),
    ("slice", ("f32[N]",), {"start": (2,), "stop": (N,), "step": (1,)}, ["0 <= N - 2", "2 <= N"]),
    ("matmul", ("f32[3, N]", "f32[M, 4]"), {}, ALIKE),
    ("matmul", ("f32[2, 3, N]", "f32[M]"), {}, ALIKE),
    ("transposed_matmul", ("f32[N, 3]", "f32[M, 4]"), {}, ALIKE),
    ("scatter_add", ("f32[2, N, 3]", "i32[M]"), {"axis": 1, "size": 4}, ALIKE),
    (
        "conv2d",
        ("f32[N, 8, 8, C]", "f32[3, 3, 4, 6]"),
        {"groups": 2},
        ["8 <= C", "C <= 8"],
    ),
    ("depthwise_conv2d", ("f32[N, H, 8, 4]", KERNEL), {}, ["0 <= H - 2", "3 <= H"]),
    ("max_pool2d", ("f32[N, H, 8, 3]",), POOL, ["0 <= (H - 2)//2 + 1", "2 <= H"]),
    (
        "avg_pool2d",
        ("f32[N, H, 8, 3]",),
        {**POOL, "padding": "same"},
        ["2 <= 2*((H + 1)//2)"],
    ),
    (
        "avg_pool2d_gradient",
        ("f32[N, H, 4, 3]",),
        {**POOL, "spatial": (8, 8)},
        ["H <= 4", "4 <= H"],
    ),
    (
        "conv2d_kernel_gradient",
        ("f32[N, H, 8, 3]", "f32[M, P, 6, 4]"),
        {"window": (3, 3)},
        PLACES,
    ),
    (
        "depthwise_kernel_gradient",
        ("f32[N, H, 8, 3]", "f32[M, P, 6, 3]"),
        {"window": (3, 3)},
        PLACES,
    ),
    ("winograd_kernel_gradient", ("f32[N, 6, 8, 16]", "f32[M, 4, 6, 16]"), {}, ALIKE),
]


@pytest.mark.parametrize(("name", "types", "attrs", "expected"), ORDERS)
def test_what_must_hold_of_symbolic_sizes(name, types, attrs, expected):
    node = build(name, *types, **attrs)
    found = conditions(Graph("g", node.inputs, (node,)))
    assert [f"{each.low} <= {each.high}" for each in found] == expected
