"""References against independent formulations, and what they do with NaN, ties and edges."""

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from keraunos.compiler import ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.types import TensorType, dtype_of
from keraunos.compiler.ops.einsum import einsum
from keraunos.runtime.dim import symbol as dim

pytestmark = pytest.mark.smoke


def run(op, *arrays, **attrs):
    """``op`` on arrays, in float64 where they are."""
    arrays = [np.asarray(array) for array in arrays]
    types = [TensorType(dtype_of(array.dtype), array.shape) for array in arrays]
    inputs = tuple(ops.input_(f"x{i}", type_) for i, type_ in enumerate(types))
    (result,) = evaluate(Graph("run", inputs, (op(*inputs, **attrs),)), arrays)
    return result


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Elementwise

SCALAR = {
    "erf": math.erf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "rsqrt": lambda x: x**-0.5,
    "expm1": math.expm1,
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "log_sigmoid": lambda x: math.log(1 / (1 + math.exp(-x))),
    "softsign": lambda x: x / (1 + abs(x)),
    "mish": lambda x: x * math.tanh(math.log(1 + math.exp(x))),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "celu": lambda x: x if x > 0 else math.expm1(x),
    "leaky_relu": lambda x: max(x, 0.2 * x),
    "relu6": lambda x: min(max(x, 0), 6),
    "hard_sigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "hard_silu": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "tanh_shrink": lambda x: x - math.tanh(x),
    "soft_shrink": lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    "hard_shrink": lambda x: x if abs(x) > 0.5 else 0,
    "squareplus": lambda x: (x + math.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: 0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: min(max((x + 1) / 2, 0), 1),
}


@pytest.mark.parametrize("name", SCALAR)
def test_function_of_one_value(name):
    points = np.array([0.25, 0.75, 1.5, 3.5, 7.0])
    points = points if name == "rsqrt" else np.concatenate([-points, [0.0], points])
    expected = [SCALAR[name](float(x)) for x in points]
    np.testing.assert_allclose(run(getattr(ops, name), points), expected, rtol=1e-12, atol=1e-14)


def test_gelu_by_tanh_is_near_the_exact_one(rng):
    x = rng.standard_normal(100)
    near, exact = run(ops.gelu, x, approximate=True), run(ops.gelu, x)
    assert 0 < np.abs(near - exact).max() < 1e-3


NAN_KEEPING = """abs negative square sqrt exp log tanh sigmoid erf relu floor round sin sign
softplus silu gelu elu mish relu6 hard_sigmoid leaky_relu soft_shrink hard_shrink sparse_plus"""


@pytest.mark.parametrize("name", NAN_KEEPING.split())
def test_a_nan_stays_one(name):
    result = run(getattr(ops, name), np.array([np.nan, 1.0], np.float32))
    assert np.isnan(result[0])
    assert np.isfinite(result[1])


@pytest.mark.parametrize("op", [ops.maximum, ops.minimum, ops.add])
def test_a_nan_on_either_side_wins(op):
    pair = np.array([np.nan, 1.0], np.float32)
    assert np.isnan(run(op, pair, pair[::-1].copy())).all()


def test_clip_keeps_a_nan():
    assert np.isnan(run(ops.clip, np.float32(np.nan), low=0.0, high=1.0))


@pytest.mark.parametrize("x", [-800.0, 800.0])
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu", "elu", "gelu", "mish"])
def test_no_overflow_far_out(name, x):
    node = ops.input_("x", TensorType(dtype_of("float64")))
    outputs = [getattr(ops, name)(node)]
    if callable(getattr(outputs[0].op.kind, "expand", None)):
        outputs.append(outputs[0].op.kind.expand(outputs[0]))
    for value in evaluate(Graph("far", (node,), tuple(outputs)), [np.float64(x)]):
        assert np.isfinite(value)


def test_mod_has_the_sign_of_the_divisor():
    found = run(ops.mod, np.array([5, -5, 5, -5], "i4"), np.array([3, 3, -3, -3], "i4"))
    np.testing.assert_array_equal(found, [2, 1, -1, -2])


def test_cast_drops_the_fraction():
    np.testing.assert_array_equal(
        run(ops.cast, np.array([-1.7, 1.7], "f4"), dtype="int32"), [-1, 1]
    )


def test_a_dtype_given_by_name_and_by_type_is_one_node():
    x = ops.input_("x", TensorType(dtype_of("int32"), (2,)))
    assert ops.cast(x, dtype="float32") is ops.cast(x, dtype=dtype_of("float32"))


# Reductions


def test_reductions_of_integers_keep_the_dtype():
    x = np.array([[100, 27], [3, 4]], np.int32)
    for op, expected in ((ops.sum, 134), (ops.prod, 32400), (ops.max, 100), (ops.min, 3)):
        assert run(op, x, axes=(0, 1)) == expected


@pytest.mark.parametrize("op", [ops.max, ops.min, ops.sum, ops.mean])
def test_reductions_keep_a_nan(op):
    assert np.isnan(run(op, np.array([1.0, np.nan], "f4"), axes=(0,)))


@pytest.mark.parametrize("op", [ops.argmax, ops.argmin])
def test_arg_reductions_take_the_first_and_find_nans(op):
    node = ops.input_("x", TensorType(dtype_of("float32"), (3, 4)))
    rows = np.array([[1, 1, 1, 1], [0, np.nan, 9, np.nan], [3, 5, 1, 5]], "f4")
    entry = op(node)
    graph = Graph("g", (node,), (entry, entry.op.kind.expand(entry)))
    found, expanded = evaluate(graph, [rows])
    np.testing.assert_array_equal(found, expanded)
    np.testing.assert_array_equal(found, [0, 1, 1] if op is ops.argmax else [0, 1, 2])


@pytest.mark.parametrize("values", [[-np.inf, -np.inf], [np.inf, 1.0], [800.0, 801.0]])
def test_logsumexp_of_extremes(values):
    node = ops.input_("x", TensorType(dtype_of("float64"), (2,)))
    entry = ops.logsumexp(node, axes=(0,))
    graph = Graph("g", (node,), (entry, entry.op.kind.expand(entry)))
    expected = np.logaddexp(*values)
    np.testing.assert_allclose(evaluate(graph, [np.array(values)]), [expected] * 2)


def test_mean_of_a_symbolic_batch():
    size = ops.input_("x", TensorType(dtype_of("float32"), (dim("N"), 3)))
    entry = ops.mean(size, axes=(0, 1))
    graph = Graph("g", (size,), (entry, entry.op.kind.expand(entry)))
    found, expanded = evaluate(graph, [np.arange(15.0).reshape(5, 3)])
    assert found == expanded == 7


# Indexing


def test_gather_counts_from_the_end_and_fills_what_is_outside():
    found = run(ops.gather, np.arange(5.0), np.array([-6, -5, -1, 0, 4, 5], "i4"))
    np.testing.assert_array_equal(found, [np.nan, 0, 4, 0, 4, np.nan])


def test_gather_from_the_front_alone_has_no_rows_below_0():
    picks = np.array([-1, 0, 5], "i8")
    found = run(ops.gather, np.arange(5.0), picks, from_end=False, fill=9.0)
    np.testing.assert_array_equal(found, [9, 0, 9])


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("int8", -128), ("int32", -(2**31)), ("int64", -(2**63)), ("uint8", 255), ("bool", True)],
)
def test_gather_fills_integers_with_their_least(dtype, fill):
    found = run(ops.gather, np.zeros(3, dtype), np.array([0, 3], "i4"))
    np.testing.assert_array_equal(found, np.array([0, fill], dtype))


def test_scatter_add_adds_up_repeated_rows():
    rows = np.ones((3, 2), "f4")
    node = run(ops.scatter_add, rows, np.array([1, 1, 3], "i4"), size=4)
    np.testing.assert_array_equal(node, [[0, 0], [2, 2], [0, 0], [1, 1]])


def test_one_hot_of_an_index_outside_is_zero():
    np.testing.assert_array_equal(
        run(ops.one_hot, np.array([0, 2, 3, -1], "i4"), depth=3),
        [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]],
    )


def test_repeat_is_nearest_upsampling(rng):
    x = rng.standard_normal((2, 3))
    np.testing.assert_array_equal(run(ops.repeat, x, factors=(2, 3)), np.kron(x, np.ones((2, 3))))


# Windows and contractions, element by element


def conv_by_hand(x, kernel, strides, padding, dilation, groups):
    """The definition: every output is a sum over the window and the channels of its group."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)))
    kh, kw, depth, filters = kernel.shape
    (sy, sx), (dy, dx) = strides, dilation
    rows = (x.shape[1] - (kh - 1) * dy - 1) // sy + 1
    cols = (x.shape[2] - (kw - 1) * dx - 1) // sx + 1
    result = np.zeros((x.shape[0], rows, cols, filters))
    for y, z, f in np.ndindex(rows, cols, filters):
        first = f // (filters // groups) * depth
        seen = x[:, y * sy :, z * sx :, first : first + depth]
        seen = seen[:, : (kh - 1) * dy + 1 : dy, : (kw - 1) * dx + 1 : dx]
        result[:, y, z, f] = np.sum(seen * kernel[..., f], (1, 2, 3))
    return result


CONVOLUTIONS = [
    ((5, 6), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((7, 6), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), 2),
    ((9, 8), (2, 3), (1, 2), ((2, 0), (1, 3)), (3, 2), 1),
    ((6, 6), (1, 1), (3, 2), ((0, 0), (0, 0)), (1, 1), 4),
]


@pytest.mark.parametrize(
    ("size", "window", "strides", "padding", "dilation", "groups"), CONVOLUTIONS
)
def test_conv2d(rng, size, window, strides, padding, dilation, groups):
    x = rng.standard_normal((2, *size, 4))
    kernel = rng.standard_normal((*window, 4 // groups, 8))
    attrs = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    expected = conv_by_hand(x, kernel, **attrs)
    np.testing.assert_allclose(run(ops.conv2d, x, kernel, **attrs), expected, atol=1e-12)


def test_depthwise_is_a_convolution_in_as_many_groups_as_channels(rng):
    x, kernel = rng.standard_normal((2, 6, 7, 3)), rng.standard_normal((3, 2, 3, 2))
    grouped = kernel.reshape(3, 2, 1, 6)
    attrs = {"strides": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 2)}
    expected = conv_by_hand(x, grouped, **attrs, groups=3)
    np.testing.assert_allclose(run(ops.depthwise_conv2d, x, kernel, **attrs), expected, atol=1e-12)


def test_pooling_against_window_views(rng):
    x = rng.standard_normal((2, 7, 8, 3))
    views = sliding_window_view(x, (3, 2), (1, 2))[:, ::2, ::3]
    attrs = {"window": (3, 2), "strides": (2, 3)}
    np.testing.assert_array_equal(run(ops.max_pool2d, x, **attrs), views.max((-1, -2)))
    np.testing.assert_allclose(run(ops.avg_pool2d, x, **attrs), views.mean((-1, -2)))


def test_padding_of_max_pool_never_wins():
    x = np.full((1, 3, 3, 1), -5.0, "f4")
    found = run(ops.max_pool2d, x, window=(2, 2), strides=(2, 2), padding="same")
    np.testing.assert_array_equal(found, np.full((1, 2, 2, 1), -5))


def test_avg_pool_counts_only_what_is_inside():
    x = np.ones((1, 3, 3, 1), "f4")
    found = run(ops.avg_pool2d, x, window=(2, 2), strides=(2, 2), padding="same")
    np.testing.assert_array_equal(found, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_keeps_a_nan(name):
    x = np.ones((1, 2, 4, 1), "f4")
    x[0, 1, 0, 0] = np.nan
    found = run(getattr(ops, name), x, window=(2, 2), strides=(2, 2)).reshape(-1)
    assert np.isnan(found[0])
    assert found[1] == 1


def test_same_padding_puts_the_odd_pixel_after():
    x = np.arange(1.0, 5.0).reshape(1, 1, 4, 1)
    found = run(ops.conv2d, x, np.ones((1, 2, 1, 1)), padding="same")
    np.testing.assert_array_equal(found.reshape(-1), [3, 5, 7, 4])


# The pixels 1, 2, 3 each write the kernel times themselves; padding says what of that is kept.
TRANSPOSED = [
    ((1, 10, 100), 1, "valid", None, [1, 12, 123, 230, 300]),
    ((1, 10, 100), 2, "valid", None, [1, 10, 102, 20, 203, 30, 300]),
    ((1, 10), 3, "valid", None, [1, 10, 0, 2, 20, 0, 3, 30, 0]),
    ((1, 10, 100), 1, "same", None, [12, 123, 230]),
    ((1, 10, 100), 2, "same", None, [1, 10, 102, 20, 203, 30]),
    ((1, 10), 2, "same", None, [1, 10, 2, 20, 3, 30]),
    ((1, 10, 100), 2, "same", 0, [10, 102, 20, 203, 30]),
    ((1, 10, 100), 2, "same", 1, [1, 10, 102, 20, 203, 30]),
    ((1, 10, 100), 2, "valid", 1, [1, 10, 102, 20, 203, 30, 300, 0]),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "extra", "expected"), TRANSPOSED)
def test_conv2d_transpose(kernel, stride, padding, extra, expected):
    x = np.array([1.0, 2, 3]).reshape(1, 1, 3, 1)
    weights = np.array(kernel, float).reshape(1, -1, 1, 1)
    attrs = {"strides": (1, stride), "padding": padding}
    if extra is not None:
        attrs["output_padding"] = (None, extra)
    found = run(ops.conv2d_transpose, x, weights, **attrs)
    np.testing.assert_array_equal(found.reshape(-1), expected)


# Normalisation


def test_layer_norm_centres_and_scales(rng):
    x = rng.standard_normal((4, 50)) * 3 + 7
    found = run(ops.layer_norm, x, np.ones(50), np.zeros(50), epsilon=1e-12)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(1), 1)


def test_batch_norm_of_its_own_statistics(rng):
    x = rng.standard_normal((200, 3)) * 5 - 2
    gamma, beta = np.array([1.0, 2, 3]), np.array([0.0, 5, -5])
    found = run(ops.batch_norm, x, gamma, beta, x.mean(0), x.var(0), epsilon=0.0)
    np.testing.assert_allclose(found.mean(0), beta, atol=1e-12)
    np.testing.assert_allclose(found.std(0), gamma)


def test_batch_norm_expansion_does_not_cancel():
    """In float32 a mean of 10,000 leaves 3 digits, which x * scale + shift would lose."""
    x = ops.input_("x", TensorType(dtype_of("float32"), (2, 1)))
    vectors = [ops.constant(np.array([v], "f4")) for v in (1.0, 0.0, 10_000.0, 1e-4)]
    node = ops.batch_norm(x, *vectors, epsilon=0.0)
    value = np.array([[10_000.0], [10_000.5]], "f4")
    (found,) = evaluate(Graph("g", (x,), (node.op.kind.expand(node),)), [value])
    np.testing.assert_allclose(found, [[0], [50]], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_sums_to_one_and_ignores_a_shift(rng, axis):
    x = rng.standard_normal((3, 4, 5))
    found = run(ops.softmax, x, axis=axis)
    np.testing.assert_allclose(found.sum(axis), 1)
    np.testing.assert_allclose(run(ops.softmax, x + 1000, axis=axis), found)
    np.testing.assert_allclose(np.exp(run(ops.log_softmax, x, axis=axis)), found)


# einsum

EQUATIONS = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("bij,bjk->bik", ((5, 2, 3), (5, 3, 4))),
    ("bqhd,bkhd->bhqk", ((2, 3, 4, 5), (2, 6, 4, 5))),
    ("bhqk,bkhd->bqhd", ((2, 4, 3, 6), (2, 6, 4, 5))),
    ("abc,cde->abde", ((2, 3, 4), (4, 5, 6))),
    ("i,i->", ((3,), (3,))),
    ("i,j->ij", ((3,), (4,))),
    ("ij->ji", ((2, 3),)),
    ("ij->i", ((2, 3),)),
    ("ij,kj->", ((2, 3), (4, 3))),
    ("...ij,...jk->...ik", ((5, 2, 3), (5, 3, 4))),
    ("...i,ij->...j", ((5, 2, 3), (3, 4))),
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))),
    ("ij,ij->ij", ((2, 3), (2, 3))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ia,ib,ic->abc", ((2, 3), (2, 4), (2, 5))),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum(rng, equation, shapes):
    arrays = [rng.standard_normal(shape) for shape in shapes]
    found = run(einsum, *arrays, equation=equation)
    np.testing.assert_allclose(found, np.einsum(equation, *arrays), atol=1e-12)


def test_einsum_of_a_value_with_itself(rng):
    x = rng.standard_normal((3, 4))
    node = ops.input_("x", TensorType(dtype_of("float64"), (3, 4)))
    for equation in ("ij,ij->i", "ij,kj->ik", "ij,ij->"):
        graph = Graph("g", (node,), (einsum(node, node, equation=equation),))
        np.testing.assert_allclose(evaluate(graph, [x])[0], np.einsum(equation, x, x))


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", ((2, 3),), "expected 2 operands, got 1"),
        ("ij->k", ((2, 3),), "'k' on the right is not on the left"),
        ("ij,jk->ik", ((2, 3), (4, 5)), "'j' is 3 in one operand and 4 in another"),
        ("ijk->i", ((2, 3),), "rank 3 for 'ijk'"),
        ("ij->ii", ((3, 3),), "'i' is twice on the right"),
        ("ii->i", ((3, 4),), "'i' is 3 in one operand and 4 in another"),
        ("i1->i", ((3, 3),), "expected letters"),
        ("...ijk->i", ((3, 3),), "fewer axes than letters"),
    ],
)
def test_einsum_errors(equation, shapes, message):
    nodes = [ops.input_("x", TensorType(dtype_of("float32"), shape)) for shape in shapes]
    with pytest.raises(IRError, match=message):
        einsum(*nodes, equation=equation)


def test_einsum_is_one_matrix_product():
    x, y = (ops.input_("x", TensorType(dtype_of("float32"), (dim("N"), 3, 4, 5))) for _ in "ab")
    node = einsum(x, y, equation="bqhd,bkhd->bhqk")
    names = [n.op.name for n in Graph("g", (x, y), (node,)).nodes]
    assert names.count("matmul") == 1
    assert set(names) <= {"input", "transpose", "reshape", "matmul"}
