"""keraunos.ops: on arrays against numpy, on symbolic tensors as on arrays."""

import numpy as np
import pytest
from interpreted import interpreted

import keraunos
from keraunos import KerasTensor, Model, Variable, layers, ops
from keraunos.compiler.ir.evaluate import evaluate

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((3, 4)).astype("float32")
Y = RANDOM.standard_normal((3, 4)).astype("float32")
POSITIVE = np.abs(X) + 0.5
UNIT = np.tanh(X)
CUBE = RANDOM.standard_normal((2, 3, 4)).astype("float32")
WHOLE = RANDOM.integers(-9, 9, (3, 4)).astype("int32")
DIVISOR = np.array([1, 2, 3, 4], "int32")
ODD = np.array([0.0, np.nan, np.inf, -np.inf, 1.5], "float32")
FLAGS = X > 0

# The function's name, its arguments, and what numpy gives for them.
TABLE = [
    *((name, (X,), getattr(np, name)(X)) for name in (
        "exp", "expm1", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "arcsinh",
        "negative", "absolute", "sign", "square", "floor", "ceil", "trunc", "isnan",
    )),
    *((name, (POSITIVE,), getattr(np, name)(POSITIVE)) for name in (
        "log", "log1p", "log2", "log10", "sqrt", "reciprocal",
    )),
    *((name, (UNIT,), getattr(np, name)(UNIT)) for name in ("arcsin", "arccos", "arctanh")),
    ("arccosh", (POSITIVE + 1,), np.arccosh(POSITIVE + 1)),
    ("rsqrt", (POSITIVE,), 1 / np.sqrt(POSITIVE)),
    ("round", (X,), np.round(X)),
    ("round", (X, 2), np.round(X, 2)),
    ("isfinite", (ODD,), np.isfinite(ODD)),
    ("isinf", (ODD,), np.isinf(ODD)),
    ("nan_to_num", (ODD,), np.nan_to_num(ODD)),
    ("nan_to_num", (ODD, 7.0, 8.0, 9.0), np.nan_to_num(ODD, nan=7, posinf=8, neginf=9)),
    *((name, (X, Y), getattr(np, name)(X, Y)) for name in (
        "add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "equal",
        "not_equal", "less", "less_equal", "greater", "greater_equal", "logaddexp",
    )),
    *((name, (WHOLE, DIVISOR), getattr(np, name)(WHOLE, DIVISOR)) for name in (
        "add", "subtract", "multiply", "floor_divide", "mod", "maximum",
    )),
    ("divide", (WHOLE, DIVISOR), (WHOLE / DIVISOR).astype("float32")),
    ("divide_no_nan", (X, np.zeros_like(X)), np.zeros_like(X)),
    ("power", (POSITIVE, Y), POSITIVE**Y),
    ("squared_difference", (X, Y), (X - Y) ** 2),
    *((name, (FLAGS, Y > 0), getattr(np, name)(FLAGS, Y > 0)) for name in (
        "logical_and", "logical_or", "logical_xor",
    )),
    ("logical_not", (FLAGS,), ~FLAGS),
    ("where", (FLAGS, X, Y), np.where(FLAGS, X, Y)),
    ("clip", (X, -0.5, 0.5), np.clip(X, -0.5, 0.5)),
    ("clip", (X, Y, np.ones_like(Y) * 3), np.clip(X, Y, 3)),
    ("cast", (X, "int32"), X.astype("int32")),
    ("cast", (FLAGS, "float32"), FLAGS.astype("float32")),
    *((name, (CUBE, axis, keep), getattr(np, name)(CUBE, axis=axis, keepdims=keep))
      for name in ("sum", "prod", "max", "min", "mean", "var", "std")
      for axis in (None, 1, -1, (0, 2)) for keep in (False, True)),
    *((name, (CUBE > 0, axis), getattr(np, name)(CUBE > 0, axis=axis))
      for name in ("any", "all") for axis in (None, 0, (1, 2))),
    ("sum", (FLAGS,), FLAGS.sum(dtype="int32")),
    ("mean", (WHOLE,), WHOLE.mean(dtype="float32")),
    ("count_nonzero", (WHOLE, 1), np.count_nonzero(WHOLE, 1).astype("int32")),
    ("average", (X, 0, POSITIVE), np.average(X, 0, POSITIVE)),
    ("average", (X, 1), X.mean(1)),
    ("logsumexp", (X, 1), np.log(np.exp(X).sum(1))),
    *((name, (CUBE, axis), getattr(np, name)(CUBE, axis).astype("int32"))
      for name in ("argmax", "argmin") for axis in (None, 0, -1)),
    ("reshape", (X, (2, -1)), X.reshape(2, -1)),
    ("reshape", (X, -1), X.reshape(-1)),
    ("transpose", (CUBE,), CUBE.T),
    ("transpose", (CUBE, (1, 2, 0)), CUBE.transpose(1, 2, 0)),
    ("moveaxis", (CUBE, 0, -1), np.moveaxis(CUBE, 0, -1)),
    ("moveaxis", (CUBE, (0, 1), (-1, 0)), np.moveaxis(CUBE, (0, 1), (-1, 0))),
    ("swapaxes", (CUBE, 0, 2), CUBE.swapaxes(0, 2)),
    ("expand_dims", (X, 1), X[:, None]),
    ("expand_dims", (X, (0, -1)), X[None, ..., None]),
    ("squeeze", (X[None],), X),
    ("squeeze", (X[None, :, None], 0), X[:, None]),
    ("ravel", (X,), X.ravel()),
    ("broadcast_to", (X, (2, 3, 4)), np.broadcast_to(X, (2, 3, 4))),
    ("concatenate", ([X, Y],), np.concatenate([X, Y])),
    ("concatenate", ([X, WHOLE], 0), np.concatenate([X, WHOLE.astype("float32")], 0)),
    ("append", (X, Y), np.append(X, Y)),
    ("append", (X, Y, 0), np.append(X, Y, 0)),
    ("stack", ([X, Y], 1), np.stack([X, Y], 1)),
    ("stack", ([X, Y], -1), np.stack([X, Y], -1)),
    ("vstack", ([X[0], X[1]],), np.vstack([X[0], X[1]])),
    ("hstack", ([X, Y],), np.hstack([X, Y])),
    ("flip", (CUBE, (0, 2)), np.flip(CUBE, (0, 2))),
    ("repeat", (X, 2, 1), np.repeat(X, 2, 1)),
    ("repeat", (X, 2), np.repeat(X, 2)),
    ("tile", (X, (2, 1, 3)), np.tile(X, (2, 1, 3))),
    ("roll", (X, 2, 1), np.roll(X, 2, 1)),
    ("roll", (X, -3), np.roll(X, -3)),
    ("pad", (X, ((1, 0), (0, 2))), np.pad(X, ((1, 0), (0, 2)))),
    ("pad", (X, 1, "constant", 7.0), np.pad(X, 1, constant_values=7)),
    ("take", (X, np.array([2, -1]), 0), X[[2, -1]]),
    ("take", (X, [[0, 5], [11, -1]]), X.ravel()[[[0, 5], [11, -1]]]),
    ("take_along_axis", (X, np.array([[0], [3], [1]]), 1),
     np.take_along_axis(X, np.array([[0], [3], [1]]), 1)),
    ("tril", (CUBE, 1), np.tril(CUBE, 1)),
    ("triu", (CUBE, -1), np.triu(CUBE, -1)),
    ("one_hot", (np.array([0, 2]), 3), np.eye(3, dtype="float32")[[0, 2]]),
    ("one_hot", (np.array([0, 2]), 3, 0), np.eye(3, dtype="float32")[[0, 2]].T),
    ("multi_hot", (np.array([[0, 2], [1, 1]]), 3), np.array([[1, 0, 1], [0, 1, 0]], "float32")),
    ("slice", (CUBE, (0, 1, 1), (2, 2, 3)), CUBE[0:2, 1:3, 1:4]),
    ("matmul", (X, Y.T), X @ Y.T),
    ("matmul", (CUBE, Y.T), CUBE @ Y.T),
    ("matmul", (X, Y[0]), X @ Y[0]),
    ("dot", (CUBE, Y.T), np.dot(CUBE, Y.T)),
    ("dot", (X, 2.0), X * 2),
    ("dot", (X, CUBE.transpose(0, 2, 1)), np.dot(X, CUBE.transpose(0, 2, 1))),
    ("tensordot", (CUBE, Y, ([1, 2], [0, 1])), np.tensordot(CUBE, Y, ([1, 2], [0, 1]))),
    ("tensordot", (X, Y.T, 1), np.tensordot(X, Y.T, 1)),
    ("einsum", ("bij,kj->bik", CUBE, Y), np.einsum("bij,kj->bik", CUBE, Y)),
    ("outer", (X, Y), np.outer(X, Y)),
    ("trace", (X[:, :3],), np.trace(X[:, :3])),
    ("norm", (X,), np.linalg.norm(X)),
    ("norm", (X, 1, 1), np.linalg.norm(X, 1, 1)),
    ("norm", (X, np.inf, 0, True), np.linalg.norm(X, np.inf, 0, True)),
    ("normalize", (X,), X / np.linalg.norm(X, axis=-1, keepdims=True)),
    ("zeros", ((2, 3),), np.zeros((2, 3), "float32")),
    ("ones", ((2,), "int32"), np.ones(2, "int32")),
    ("full", ((2, 2), 7.5), np.full((2, 2), 7.5, "float32")),
    ("zeros_like", (WHOLE,), np.zeros_like(WHOLE)),
    ("ones_like", (X, "bool"), np.ones_like(X, "bool")),
    ("full_like", (X, 2), np.full_like(X, 2)),
    ("arange", (2, 9, 3), np.arange(2, 9, 3, dtype="int32")),
    ("arange", (0.0, 1.0, 0.25), np.arange(0, 1, 0.25, dtype="float32")),
    ("linspace", (0.0, 1.0, 5), np.linspace(0, 1, 5, dtype="float32")),
    ("eye", (3, 4, 1), np.eye(3, 4, 1, dtype="float32")),
    ("identity", (2,), np.eye(2, dtype="float32")),
    ("relu", (WHOLE,), np.maximum(WHOLE, 0)),
    ("softmax", (CUBE, (0, 2)), np.exp(CUBE) / np.exp(CUBE).sum((0, 2), keepdims=True)),
    ("threshold", (X, 0.5, -1.0), np.where(X > 0.5, X, -1).astype("float32")),
    ("unit_normalization", (X, 0), X / np.linalg.norm(X, axis=0)),
    ("rms_normalization", (X,), X / np.sqrt((X * X).mean(-1, keepdims=True) + 1e-7)),
    ("convert_to_tensor", ([1, 2],), np.array([1, 2], "int32")),
    ("stop_gradient", (X,), X),
    ("copy", (X,), X),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "expected"), TABLE, ids=[f"{i}-{row[0]}" for i, row in enumerate(TABLE)]
)
def test_on_arrays_as_numpy(name, args, expected):
    result = getattr(ops, name)(*args)
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)


def test_crossentropies_hold_probabilities_away_from_zero():
    target, output = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]], "float32")
    edge = -np.log(1e-7)
    np.testing.assert_allclose(ops.categorical_crossentropy(target, output), [edge], rtol=1e-5)
    np.testing.assert_allclose(ops.sparse_categorical_crossentropy([1], output), [edge], rtol=1e-5)
    both = ops.binary_crossentropy([1.0, 0.0], np.array([0.0, 0.25], "float32"))
    np.testing.assert_allclose(both, [edge, -np.log(0.75)], rtol=1e-5)


def test_crossentropies_of_logits_agree_with_those_of_probabilities():
    logits, hot = X, np.eye(4, dtype="float32")[[0, 3, 1]]
    shares = ops.softmax(logits)
    expected = ops.categorical_crossentropy(hot, shares)
    for received in (
        ops.categorical_crossentropy(hot, logits, from_logits=True),
        ops.sparse_categorical_crossentropy([0, 3, 1], logits, from_logits=True),
        ops.sparse_categorical_crossentropy([0, 3, 1], shares),
    ):
        np.testing.assert_allclose(received, expected, rtol=1e-5)
    single = ops.binary_crossentropy(hot, logits, from_logits=True)
    np.testing.assert_allclose(
        single, ops.binary_crossentropy(hot, ops.sigmoid(logits)), rtol=1e-4, atol=1e-6
    )


KEYS = [
    0, -1, (1, 2), (slice(None), 1), (slice(1, 3),), (..., 0), (None, 1), (slice(None, None, 2),),
    (slice(None, None, -1), 0), (slice(3, 0, -2),), (slice(-2, None), slice(None, -1)),
    (0, ..., None, slice(1, 2)), (slice(5, 9),), (slice(3, 1),), [2, 0], (slice(None), [0, -1]),
    (slice(10, None, -1),), (0, 1, 2),
]  # fmt: skip
BLOCK = RANDOM.standard_normal((4, 3, 5)).astype("float32")


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_as_numpy(key):
    np.testing.assert_array_equal(ops.get_item(BLOCK, key), BLOCK[key])


def test_indexing_out_of_bounds_is_refused():
    with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 of size 4"):
        ops.get_item(BLOCK, 4)
    with pytest.raises(IndexError, match="at most 3 indices"):
        ops.get_item(BLOCK, (0, 0, 0, 0))


def test_indexing_an_axis_of_unknown_size():
    sequence = layers.Input((None, 5))
    model = Model(sequence, [sequence[:, -1], sequence[:, 1:-1], sequence[:, ::-1]])
    last, middle, turned = interpreted(model, BLOCK)
    np.testing.assert_array_equal(last, BLOCK[:, -1])
    np.testing.assert_array_equal(middle, BLOCK[:, 1:-1])
    np.testing.assert_array_equal(turned, BLOCK[:, ::-1])


@pytest.mark.parametrize(("left", "right", "expected"), [
    (X, 2, "float32"), (WHOLE, 2, "int32"), (WHOLE, 2.5, "float32"), (FLAGS, 2, "int32"),
    (WHOLE, X, "float32"), (FLAGS, X, "float32"), (WHOLE, FLAGS, "int32"),
    (X, np.ones(4), "float32"), (X, np.float64(2), "float32"), (X.astype("float16"), 1, "float16"),
    (np.arange(4), WHOLE, "int64"), (X, np.arange(4), "float32"), (2, 3, "int32"),
    (np.uint8([1]), np.int8([1]), "int32"), (np.uint8([1]), 1, "uint8"), (1, 2.5, "float32"),
])  # fmt: skip
def test_dtypes_of_a_sum(left, right, expected):
    assert ops.add(left, right).dtype == expected
    assert ops.add(right, left).dtype == expected


def test_where_of_a_condition_alone_gives_the_places():
    for function in (ops.where, ops.nonzero):
        rows, columns = function(np.array([[0.0, 2.0], [3.0, 0.0]]))
        assert rows.dtype == columns.dtype == "int32"
        assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
        assert [axis.tolist() for axis in function(Variable(np.array([0.0, 1.0])))] == [[1]]
        with pytest.raises(ValueError, match="known only with the data"):
            function(layers.Input((4,)) > 0)
    with pytest.raises(ValueError, match="expected both x1 and x2, or neither"):
        ops.where(FLAGS, X)


def test_classes_come_last_in_multi_hot():
    with pytest.raises(ValueError, match="expected axis=-1; received 0"):
        ops.multi_hot(np.array([[0, 1]]), 2, axis=0)


def test_operators_of_tensors_weights_and_arrays():
    x = layers.Input((4,))
    weight = Variable(np.arange(1, 5, dtype="float32"))
    results = [
        x + 1, 1 - x, x * weight, weight * x, Y[0] + x, x / 2, 2 / (x * x + 1), -x, abs(x), x**2,
        2**x, x @ weight, np.exp(x), np.maximum(x, 0), x // 1, x % 2,
    ]  # fmt: skip
    model = Model(x, results)
    w = weight.value
    expected = [
        X + 1, 1 - X, X * w, w * X, Y[0] + X, X / 2, 2 / (X * X + 1), -X, abs(X), X**2,
        2**X, X @ w, np.exp(X), np.maximum(X, 0), X // 1, X % 2,
    ]  # fmt: skip
    for received, wanted in zip(interpreted(model, X), expected, strict=True):
        np.testing.assert_allclose(received, wanted, rtol=1e-5, atol=1e-6)


def test_comparisons_are_made_element_by_element():
    x = layers.Input((4,))
    model = Model(x, [x > 0, x <= 0.5, x == x, x != 0, (x > 0) & (x < 1), ~(x > 0)])
    expected = [X > 0, X <= 0.5, X == X, X != 0, (X > 0) & (X < 1), X <= 0]
    for received, wanted in zip(interpreted(model, X), expected, strict=True):
        np.testing.assert_array_equal(received, wanted)


def test_a_symbolic_tensor_has_no_values():
    x = KerasTensor((None, 4))
    with pytest.raises(TypeError, match="cannot decide an `if`"):
        bool(x > 0)
    with pytest.raises(TypeError, match="needs a known first size"):
        len(x)
    with pytest.raises(ValueError, match=r"keraunos\.ops\.exp\(x\) instead"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"numpy\.gcd cannot be used"):
        np.gcd(x, 2)


def test_shapes_can_be_computed_with():
    def merged(x):
        batch, steps, width = ops.shape(x)
        return ops.reshape(x, (batch, steps * width))

    x = layers.Input((None, 5))
    model = Model(x, layers.Lambda(merged)(x))
    assert model.output_shape == (None, None)
    np.testing.assert_array_equal(interpreted(model, BLOCK), BLOCK.reshape(4, 15))


def test_split_and_unstack():
    parts = ops.split(BLOCK, 5, -1)
    assert [part.shape for part in parts] == [(4, 3, 1)] * 5
    uneven = ops.split(BLOCK, [1, 3])
    for received, expected in zip(uneven, np.split(BLOCK, [1, 3]), strict=True):
        np.testing.assert_array_equal(received, expected)
    np.testing.assert_array_equal(ops.unstack(BLOCK, axis=1)[2], BLOCK[:, 2])
    with pytest.raises(ValueError, match="an axis that 2 divides"):
        ops.split(BLOCK, 2, 1)


def test_moments():
    mean, variance = ops.moments(X, (0,))
    np.testing.assert_allclose(mean, X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, X.var(0), rtol=1e-5)


def test_a_weight_is_read_as_its_value():
    weight = Variable(X)
    np.testing.assert_array_equal(ops.relu(weight), np.maximum(X, 0))
    np.testing.assert_array_equal(weight + 1, X + 1)


@pytest.mark.parametrize("call", [
    lambda: ops.matmul(X, Y),
    lambda: ops.reshape(X, (5, -1)),
    lambda: ops.reshape(X, (-1, -1)),
    lambda: ops.concatenate([X, CUBE]),
    lambda: ops.squeeze(X, 0),
    lambda: ops.sum(X, axis=2),
    lambda: ops.pad(X, 1, "wrap"),
    lambda: ops.pad(X, -1),
    lambda: ops.einsum("ij,ij->", X, CUBE),
    lambda: ops.moments(X, 0, synchronized=True),
    lambda: ops.norm(X, 3),
    lambda: ops.diagonal(X, 0, 1, 1),
    lambda: ops.softmax(1.0),
])  # fmt: skip
def test_wrong_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"expected|cannot|broadcast") as caught:
        call()
    frames = [entry.path.name for entry in caught.traceback]
    assert len(frames) <= 5, frames


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="expected numbers"):
        ops.relu(np.array(["a"]))
    with pytest.raises(TypeError, match="rows of different lengths"):
        ops.relu([[1, 2], [3]])


def test_counting_over_sizes_that_only_the_data_tell():
    def counted(x):
        samples, steps, _ = ops.shape(x)
        products = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        return (
            ops.arange(steps),
            ops.arange(2, samples, 2),
            ops.argmax(x, axis=1),
            ops.argmin(x, axis=0),
            ops.argmax(x),
            ops.tril(products),
        )

    run = keraunos.compile(counted, (None, None, 6))
    for shape in ((5, 7, 6), (9, 2, 6)):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        expected = (
            np.arange(shape[1]),
            np.arange(2, shape[0], 2),
            x.argmax(1),
            x.argmin(0),
            x.argmax(),
            np.tril(x @ x.transpose(0, 2, 1)),
        )
        for found, wanted in zip(run(x), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class Shaped(layers.Layer):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def call(self, x):
        return self.make()


@pytest.mark.parametrize(
    "make",
    [
        ops.zeros,
        ops.ones,
        ops.empty,
        lambda size: ops.full(size, 3.0),
        lambda size: ops.broadcast_to(1.0, size),
        lambda size: ops.reshape(ops.ones((1, 2)), size),
        keraunos.random.normal,
        keraunos.random.uniform,
        keraunos.random.truncated_normal,
        lambda size: keraunos.random.randint(size, 0, 5),
    ],
)
@pytest.mark.parametrize("size", [2, np.int64(2), [2]])
def test_a_size_alone_is_a_shape_of_one_axis(make, size):
    assert np.shape(make(size)) == (2,)
    assert Shaped(lambda: make(size))(np.ones(2, "float32")).shape == (2,)


@pytest.mark.parametrize("shape", [2.5, "ab", None])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(TypeError, match="expected shape as an int or a sequence of ints"):
        ops.zeros(shape)


@pytest.mark.parametrize("name", ["var", "std", "sum", "mean", "max", "prod", "count_nonzero"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3), ()), ((), None), ((), ())])
def test_reductions_over_no_axis_are_those_of_numpy(name, shape, axis):
    x = np.array(np.arange(6.0, dtype="float32")[: int(np.prod(shape))].reshape(shape)) + 2
    wanted = getattr(np, name)(x, axis=axis)
    np.testing.assert_array_equal(getattr(ops, name)(x, axis=axis), wanted)
    run = keraunos.compile(lambda x: getattr(ops, name)(x, axis=axis), x)
    np.testing.assert_array_equal(run(x), wanted)


def test_an_axis_of_no_size_unstacks_to_nothing():
    assert ops.unstack(np.ones((2, 0)), axis=1) == []


@pytest.mark.parametrize(
    ("name", "shape", "kernel"),
    [
        ("conv", (2, 5, 5, 0), (3, 3, 0, 4)),
        ("conv", (2, 5, 5, 4), (3, 3, 2, 0)),
        ("conv", (0, 5, 5, 4), (3, 3, 2, 6)),
        ("depthwise_conv", (2, 5, 5, 3), (3, 3, 3, 0)),
        ("depthwise_conv", (2, 5, 5, 0), (3, 3, 0, 2)),
        ("depthwise_conv", (0, 5, 5, 3), (3, 3, 3, 2)),
    ],
)
def test_convolutions_of_no_channels_filters_or_images(name, shape, kernel):
    op, x, weight = getattr(ops, name), np.ones(shape, "float32"), np.ones(kernel, "float32")

    def slopes(x, weight):
        by_image = keraunos.grad(lambda image: ops.sum(op(image, weight)))(x)
        return op(x, weight), by_image, keraunos.grad(lambda w: ops.sum(op(x, w)))(weight)

    run = keraunos.compile(slopes, (None, *shape[1:]), kernel)
    received = run(x, weight)
    expected = evaluate(keraunos.trace(slopes, (None, *shape[1:]), kernel), [x, weight])
    for ours, right in zip(received, expected, strict=True):
        np.testing.assert_array_equal(ours, right)
    assert received[0].shape == op(x, weight).shape
    assert not received[0].any()
    assert [each.shape for each in received[1:]] == [shape, kernel]


@pytest.mark.parametrize("alpha", [0.0, -0.0])
def test_celu_of_no_alpha_compiles_to_what_it_is(alpha):
    x = np.array([-2, -0.5, 3], "float32")
    with np.errstate(all="ignore"):
        expected = ops.celu(x, alpha)
    received = keraunos.compile(lambda x: ops.celu(x, alpha), (3,))(x)
    np.testing.assert_array_equal(received, expected)
