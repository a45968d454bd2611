"""keraunos.ops against keras.ops: on arrays at once, and compiled as parts of a model."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from twins import assert_close, draw, keras

import keraunos

X, Y = draw((3, 4), seed=1), draw((3, 4), seed=2)
ROW, COLUMN = draw((4,), seed=3), draw((3, 1), seed=4)
CUBE, OTHER = draw((3, 4, 5), seed=5), draw((3, 4, 5), seed=6)
IMAGE, SEQUENCE = draw((3, 7, 8, 6), seed=7), draw((3, 9, 6), seed=8)
POSITIVE, UNIT = np.abs(X) + 0.5, np.tanh(X)
WHOLE, DIVISOR = draw((3, 4), "int32", 9) - 5, draw((3, 4), "int32", 10) + 1
BYTES = draw((3, 4), "uint8", 11, 200)
FLAGS, SIGNS = X > 0, Y > 0
ODD = np.array([[0.0, np.nan, np.inf], [-np.inf, 1.5, -0.0], [1e30, -1e-30, 7.0]], "float32")
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4999, 1e9], "float32")[:, None]


@dataclass(frozen=True)
class Call:
    """A function of ``ops`` and its arguments; arrays among them are a model's inputs."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    rtol: float = 1e-5
    atol: float = 1e-6

    def __str__(self) -> str:
        shown = [short(arg) for arg in self.args]
        shown += [f"{key}={short(value)}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(shown)})"

    def run(self, package: Any, replaced: Callable[[Any], Any] = lambda value: value) -> Any:
        function = getattr(package.ops, self.name)
        return function(
            *(mapped(arg, replaced) for arg in self.args),
            **{key: mapped(value, replaced) for key, value in self.kwargs.items()},
        )


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [mapped(item, function) for item in value]
    return function(value) if isinstance(value, np.ndarray) else value


def short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}[{'x'.join(map(str, value.shape))}]"
    return f"[{', '.join(map(short, value))}]" if isinstance(value, list) else str(value)


def call(name: str, *args: Any, **kwargs: Any) -> Call:
    return Call(name, args, kwargs)


def each(names: str, *args: Any, **kwargs: Any) -> list[Call]:
    return [call(name, *args, **kwargs) for name in names.split()]


def unary() -> list[Call]:
    smooth = "exp expm1 sin cos tan arctan sinh cosh tanh arcsinh erf"
    kept = "negative absolute abs sign square floor ceil trunc round"
    return [
        *each(smooth, X),
        *each("log log1p log2 log10 sqrt rsqrt reciprocal", POSITIVE),
        *each("arcsin arccos arctanh erfinv", UNIT),
        *each("arccosh", POSITIVE + 1),
        *each(kept, X),
        *each("negative absolute sign square floor ceil exp sqrt tanh sin", WHOLE),
        *each("floor ceil trunc round sign abs isnan isinf isfinite nan_to_num square relu", ODD),
        *each("exp log log1p sqrt rsqrt reciprocal tanh sigmoid erf expm1 sin cos arctan", ODD),
        *each("arcsin arccos arctanh arccosh arcsinh sinh cosh log2 log10", ODD),
        *each("round floor ceil trunc", HALVES),
        call("round", X, 2),
        call("nan_to_num", ODD, nan=7.0, posinf=8.0, neginf=9.0),
        *each("logical_not", FLAGS),
        *each("logical_not", WHOLE),
        *each("isnan isfinite", WHOLE),
        *each("stop_gradient copy convert_to_tensor", X),
        *(call("cast", value, dtype) for value in (X, WHOLE, FLAGS, BYTES)
          for dtype in ("float32", "int32", "bool")),
    ]  # fmt: skip


def binary() -> list[Call]:
    arithmetic = "add subtract multiply divide true_divide maximum minimum"
    comparisons = "equal not_equal less less_equal greater greater_equal"
    signed = [(WHOLE, DIVISOR), (-WHOLE, -DIVISOR), (X, Y), (WHOLE, 3), (X, -2.0), (7, DIVISOR)]
    mixed = [(X, WHOLE), (FLAGS, X), (FLAGS, WHOLE), (BYTES, WHOLE), (X, 2), (WHOLE, 2.5)]
    return [
        *(c for pair in [(X, Y), (X, ROW), (COLUMN, ROW), (CUBE, 1.5), (2, X), (WHOLE, DIVISOR)]
          for c in each(arithmetic, *pair)),
        *each(comparisons, X, Y),
        *each(comparisons, WHOLE, DIVISOR - 4),
        *each(comparisons, X, 0),
        *(c for pair in signed for c in each("floor_divide mod", *pair)),
        *(c for pair in mixed for c in each("add multiply divide maximum less", *pair)),
        *(call("power", *pair) for pair in [(X, DIVISOR), (BYTES % 5, DIVISOR), (FLAGS, X)]),
        *each("maximum minimum add equal less", ODD, ODD.T.copy()),
        *each("add subtract multiply floor_divide", BYTES, BYTES),
        *each("add multiply", FLAGS, SIGNS),
        call("power", POSITIVE, Y),
        call("power", X, 3),
        call("power", X, 0.5),
        call("power", 2, X),
        call("power", WHOLE, 2),
        call("divide_no_nan", X, np.where(FLAGS, Y, 0).astype("float32")),
        call("logaddexp", X, Y),
        call("logaddexp", ODD, ODD),
        *each("logical_and logical_or logical_xor", FLAGS, SIGNS),
        *each("logical_and logical_or logical_xor", WHOLE, DIVISOR - 4),
        *each("bitwise_and bitwise_or bitwise_xor", FLAGS, SIGNS),
        *each("bitwise_and bitwise_or bitwise_xor left_shift right_shift", WHOLE, DIVISOR),
        *each("bitwise_left_shift bitwise_right_shift", BYTES, BYTES % 5),
        *each("bitwise_not bitwise_invert", WHOLE),
        *each("bitwise_not bitwise_invert", BYTES),
        *each("bitwise_not bitwise_invert", FLAGS),
        call("where", FLAGS, X, Y),
        call("where", FLAGS, X, 0.0),
        call("where", COLUMN > 0, X, ROW),
        call("where", FLAGS, WHOLE, X),
        call("clip", X, -0.5, 0.5),
        call("clip", WHOLE, -2, 2),
        call("clip", ODD, -1.0, 2.0),
    ]  # fmt: skip


def reductions() -> list[Call]:
    axes = [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2)]
    calls = []
    for name in ("sum", "prod", "max", "min", "mean", "var", "std", "amax", "amin", "logsumexp"):
        calls += [call(name, CUBE, axis=axis) for axis in axes]
        calls += [call(name, CUBE, axis=axis, keepdims=True) for axis in (None, 1, (0, 2))]
    for name in ("sum", "prod", "max", "min", "mean", "any", "all", "std"):
        calls += [call(name, WHOLE, axis=axis) for axis in (None, 0, 1)]
    for name in ("sum", "mean", "max", "any", "all", "count_nonzero"):
        calls += [call(name, FLAGS), call(name, FLAGS, axis=1), call(name, ODD, axis=1)]
    for name in ("argmax", "argmin"):
        calls += [call(name, CUBE, axis=axis) for axis in (None, 0, 1, -1)]
        calls += [call(name, CUBE, axis=1, keepdims=True), call(name, WHOLE // 3, axis=1)]
        calls += [call(name, ODD, axis=1), call(name, FLAGS, axis=1)]
    return [
        *calls,
        *each("max mean", BYTES),
        call("logsumexp", ODD, axis=1),
        call("logsumexp", CUBE * 200, axis=2),
        call("average", X, axis=0),
        call("average", X, axis=1, weights=POSITIVE),
        call("average", CUBE, axis=1, weights=POSITIVE[0]),
        call("moments", CUBE, axes=[1]),
        call("moments", CUBE, axes=[0, 2], keepdims=True),
        call("max", X, axis=1, initial=0.5),
        call("min", X, axis=1, initial=-0.5),
        call("prod", WHOLE, axis=1, dtype="float32"),
        call("norm", X),
        *(call("norm", X, ord=order, axis=(1,)) for order in (None, 1, 2, np.inf)),
        call("norm", CUBE, axis=(1, 2), keepdims=True),
    ]


def shaping() -> list[Call]:
    return [
        *(call("reshape", CUBE, shape)
          for shape in ((3, 20), (3, -1), (-1, 2), (60,), (3, 5, 2, 2))),
        *(call("transpose", CUBE, axes) for axes in (None, (0, 2, 1), (2, 0, 1), (1, -1, 0))),
        *(call("transpose", X), call("ravel", CUBE), call("squeeze", COLUMN)),
        call("moveaxis", CUBE, 0, -1),
        call("moveaxis", CUBE, (0, 1), (-1, 0)),
        call("swapaxes", CUBE, 1, 2),
        *(call("expand_dims", X, axis) for axis in (0, 1, -1, (0, -1), (1, 2))),
        call("squeeze", X[:, None, :, None]),
        call("squeeze", X[:, None, :, None], axis=1),
        call("squeeze", X[:, None, :, None], axis=(1, -1)),
        call("broadcast_to", X, (2, 3, 4)),
        call("broadcast_to", COLUMN, (3, 4)),
        call("concatenate", [X, Y]),
        call("concatenate", [X, Y], axis=1),
        call("concatenate", [X, WHOLE], axis=-1),
        call("concatenate", [CUBE, OTHER, CUBE], axis=1),
        call("concatenate", [X]),
        call("append", X, Y),
        call("append", X, Y, axis=0),
        *(call("stack", [X, Y], axis=axis) for axis in (0, 1, -1)),
        *each("vstack hstack", [X, Y]),
        *each("vstack hstack", [ROW, ROW + 1]),
        *(call("split", CUBE, 2, axis=1), call("split", CUBE, [1, 3], axis=1)),
        *(call("split", CUBE, 5, axis=-1), call("split", CUBE, [2, 2, 4], axis=2)),
        *(call("unstack", CUBE, axis=1), call("unstack", CUBE, 5, axis=-1)),
        *(call("flip", CUBE, axis) for axis in (None, 0, 1, -1, (0, 2))),
        *(call("repeat", X, 2, axis=axis) for axis in (None, 0, 1, -1)),
        *(call("tile", X, repeats) for repeats in (2, (2, 1), (1, 3), (2, 1, 3))),
        call("repeat", X, 0, axis=1),
        *(call("roll", X, shift, axis) for shift in (1, -3, 5, -50) for axis in (None, 0, 1)),
        *(call("roll", X, (5, -9), (0, 1)), call("roll", X, 3, (0, 1))),
        call("pad", X, 1),
        call("pad", X, ((1, 0), (0, 2))),
        call("pad", CUBE, ((0, 0), (1, 2), (3, 0)), constant_values=7.0),
        *(call("pad", CUBE, ((0, 0), (1, 2), (2, 1)), mode=mode)
          for mode in ("reflect", "symmetric")),
        call("pad", X, ((0, 0), (3, 0)), mode="reflect"),
        *(call("pad", X, ((0, 0), (13, 6)), mode=mode) for mode in ("reflect", "symmetric")),
        *(call("shape", CUBE), call("ndim", CUBE), call("size", CUBE)),
        *(call("tril", CUBE, k=k) for k in (-1, 0, 2)),
        *(call("triu", CUBE, k=k) for k in (-1, 0, 2)),
        *(call("trace", X[:, :3]), call("trace", X), call("trace", CUBE, 1, 2, 1)),
        *(call("diagonal", CUBE, offset, 1, 2) for offset in (-9, -1, 0, 3)),
        *(call("diagonal", CUBE), call("diagonal", CUBE, 0, -1, 0)),
    ]  # fmt: skip


def picking() -> list[Call]:
    places = np.array([2, 0, 3, -1], "int32")
    return [
        *(call("take", CUBE, places, axis=axis) for axis in (1, 2)),
        call("take", CUBE, places),
        *(call("take", CUBE, places.astype(dtype), axis=1) for dtype in ("int8", "int64")),
        *(call("take", CUBE, 1, axis=1), call("take", CUBE, -1, axis=-1)),
        call("take", CUBE, np.array([[0, 1], [2, 3]], "int32"), axis=1),
        call("take_along_axis", X, WHOLE % 4, axis=1),
        call("take_along_axis", X, WHOLE % 4, axis=-1),
        call("take_along_axis", X, WHOLE % 3, axis=0),
        *(call("take_along_axis", X, WHOLE % size - size, axis) for axis, size in ((0, 3), (1, 4))),
        *(call("take_along_axis", X, WHOLE[:, :2] % 4 - 4, 1), call("take_along_axis", X, places)),
        call("get_item", CUBE, 1),
        call("get_item", CUBE, (slice(None), 1)),
        call("get_item", CUBE, (Ellipsis, slice(1, 4, 2))),
        call("get_item", CUBE, (slice(None), None, slice(None, None, -1))),
        call("get_item", CUBE, (slice(None), slice(-3, -1), -2)),
        *(
            call("get_item", CUBE, (slice(None), slice(*key)))
            for key in (
                (-9, 9),
                (3, 1),
                (9, None),
                (None, -9),
                (-1, None, -2),
                (9, 0, -3),
                (-9, 2, 2),
            )
        ),
        call("get_item", CUBE, (slice(None), np.array([0, -1]), np.array([[1], [-2]]))),
        call("get_item", CUBE, (slice(None), np.array([0, -1]), None, 2)),
        call("get_item", CUBE, (slice(None), np.array([0, -1]), slice(-2, None))),
        call("slice", CUBE, (0, 1, 2), (2, 2, 3)),
        *(
            call("slice", CUBE, np.array(start, "int32"), (1, 2, 3))
            for start in ((0, 1, 2), (2, -3, -5))
        ),
        *(call("one_hot", WHOLE, 5, axis=axis) for axis in (-1, 0, 1)),
        call("one_hot", WHOLE, 5, dtype="int32"),
        *(call("one_hot", WHOLE.astype(dtype), 3) for dtype in ("int8", "int64")),
        call("multi_hot", WHOLE % 5, 5),
        call("multi_hot", WHOLE % 5, 5, dtype="int32"),
    ]


def products() -> list[Call]:
    square = CUBE @ OTHER.transpose(0, 2, 1)
    return [
        call("matmul", X, Y.T.copy()),
        call("matmul", X, ROW),
        call("matmul", ROW, ROW),
        call("matmul", CUBE, OTHER.transpose(0, 2, 1).copy()),
        call("matmul", CUBE, draw((5, 7))),
        call("matmul", square, CUBE),
        call("matmul", WHOLE, WHOLE.T.copy()),
        call("matmul", WHOLE, Y.T.copy()),
        call("dot", X, Y.T.copy()),
        call("dot", CUBE, ROW.repeat(2)[:5].copy()),
        call("dot", X, 2.0),
        call("dot", X, CUBE),
        call("tensordot", X, Y.T.copy(), axes=1),
        call("tensordot", CUBE, OTHER[0], axes=2),
        call("tensordot", CUBE, OTHER, axes=([1, 2], [1, 2])),
        call("tensordot", CUBE, X, axes=[[1], [1]]),
        call("tensordot", X, Y, axes=0),
        *(call("einsum", *args) for args in (
            ("ij,ij->i", X, Y), ("ij,kj->ik", X, Y), ("bij,bkj->bik", CUBE, OTHER),
            ("bij->bji", CUBE), ("bij->b", CUBE), ("ij->", X), ("ij,j->i", X, ROW),
            ("bij,bij,ij->bi", CUBE, OTHER, OTHER[0]), ("...i,i->...", CUBE, CUBE[0, 0]),
            ("bii->bi", CUBE[:, :, :4].copy()), ("bii->b", CUBE[:, :, :4].copy()),
            ("ii", X[:, :3].copy()), ("ij,ij", X, Y), ("ab,bc", X, Y.T.copy()),
            ("abc,cd->abd", CUBE, draw((5, 2))), ("i,j->ij", ROW, ROW))),
        call("outer", ROW, ROW),
        call("outer", X, Y),
        call("normalize", X),
        call("normalize", X, axis=0),
        call("normalize", X, order=1),
        call("normalize", np.zeros_like(X)),
    ]  # fmt: skip


def made() -> list[Call]:
    return [
        *(call(name, shape) for name in ("zeros", "ones") for shape in ((2, 3), (4,), ())),
        *each("zeros ones", (2, 3), dtype="int32"),
        *(call("full", (2, 3), value) for value in (7.5, 2, True)),
        call("full", (2, 3), 2, dtype="float32"),
        *(c for value in (X, WHOLE, FLAGS) for c in each("zeros_like ones_like", value)),
        *each("zeros_like ones_like", X, dtype="int32"),
        call("full_like", X, 2.5),
        call("full_like", WHOLE, 2),
        *(call("arange", *args)
          for args in ((5,), (2, 9), (2, 9, 3), (5, 0, -2), (2.5,), (0, 1, 0.25))),
        call("arange", 5, dtype="float32"),
        call("arange", 7, None, 3),
        *(call("linspace", *args) for args in ((0, 1), (0, 1, 5), (-2.0, 3.0, 7))),
        call("linspace", 0, 1, 5, endpoint=False),
        call("linspace", 0, 10, 5, dtype="int32"),
        *(call("eye", *args) for args in ((3,), (3, 4), (3, 4, 1), (4, 2, -1))),
        call("identity", 3),
        call("eye", 3, dtype="int32"),
        call("convert_to_tensor", [1, 2]),
        call("convert_to_tensor", [1.5, 2]),
        call("convert_to_tensor", [[True], [False]]),
        call("convert_to_tensor", 3, dtype="float32"),
    ]  # fmt: skip


def neural() -> list[Call]:
    activations = (
        "relu relu6 sigmoid silu swish hard_sigmoid hard_silu hard_swish hard_tanh softplus "
        "softsign log_sigmoid tanh_shrink sparse_plus sparse_sigmoid selu elu celu leaky_relu gelu "
        "glu soft_shrink hard_shrink squareplus softmax log_softmax"
    )
    shares, truth = np.abs(X) / np.abs(X).sum(1, keepdims=True), np.abs(Y)
    truth = truth / truth.sum(1, keepdims=True)
    classes = np.array([0, 3, 1], "int32")
    kernel = draw((3, 3, 6, 4))
    return [
        *each(activations, X * 4),
        call("relu", WHOLE),
        call("gelu", X, approximate=False),
        call("leaky_relu", X, negative_slope=0.5),
        call("elu", X, alpha=0.5),
        call("celu", X, 0.5),
        call("softmax", CUBE, axis=(1, 2)),
        call("log_softmax", CUBE, axis=1),
        call("threshold", X, 0.1, -1.0),
        call("glu", X, axis=1),
        call("batch_normalization", X, ROW, POSITIVE[0], -1),
        call("batch_normalization", X, ROW, POSITIVE[0], 1, offset=ROW + 1, scale=ROW + 2),
        call("batch_normalization", X, ROW, POSITIVE[0], 1, scale=ROW + 2, epsilon=0.1),
        call("layer_normalization", CUBE),
        call("layer_normalization", CUBE, gamma=CUBE[0, 0], beta=CUBE[0, 1], axis=-1),
        call("layer_normalization", CUBE, axis=(1, 2), epsilon=0.1),
        call("rms_normalization", X),
        call("rms_normalization", CUBE, scale=CUBE[0, 0]),
        call("categorical_crossentropy", truth, shares),
        call("categorical_crossentropy", truth, X, from_logits=True),
        call("categorical_crossentropy", truth, np.abs(X), axis=0),
        call("sparse_categorical_crossentropy", classes, shares),
        call("sparse_categorical_crossentropy", classes, X, from_logits=True),
        call("sparse_categorical_crossentropy", classes, np.abs(X)),
        call("binary_crossentropy", SIGNS.astype("float32"), np.abs(UNIT)),
        call("binary_crossentropy", SIGNS.astype("float32"), X * 30, from_logits=True),
        *(call(name, IMAGE, (2, 2), strides, padding)
          for name in ("max_pool", "average_pool")
          for strides in (1, (2, 2), (3, 2)) for padding in ("valid", "same")),
        *each("max_pool average_pool", SEQUENCE, 3, 2),
        *each("max_pool average_pool", IMAGE, (2, 2), (2, 2), data_format="channels_first"),
        *(call("conv", IMAGE, kernel, strides, padding)
          for strides in (1, 2) for padding in ("valid", "same")),
        call("conv", IMAGE, kernel, dilation_rate=2),
        call("conv", IMAGE, draw((3, 3, 2, 9))),
        call("conv", SEQUENCE, draw((3, 6, 4)), padding="same"),
        call("depthwise_conv", IMAGE, draw((3, 3, 6, 2)), 1, "same"),
        call("depthwise_conv", SEQUENCE, draw((3, 6, 1)), 2),
        call("separable_conv", IMAGE, draw((3, 3, 6, 2)), draw((1, 1, 12, 4))),
        call("conv_transpose", IMAGE, draw((3, 3, 4, 6)), 2, "same"),
        call("conv_transpose", IMAGE, draw((3, 3, 4, 6)), 2),
        call("conv_transpose", SEQUENCE, draw((3, 4, 6)), 2, output_padding=1),
    ]  # fmt: skip


CALLS = [
    *unary(),
    *binary(),
    *reductions(),
    *shaping(),
    *picking(),
    *products(),
    *made(),
    *neural(),
]


def modelled(call: Call, package: Any, varying: bool) -> tuple[Any, list[np.ndarray]]:
    """A model that makes the call, with the arrays among its arguments as inputs, and these."""
    arrays: list[np.ndarray] = []
    inputs = []

    def as_input(array: np.ndarray) -> Any:
        shape = (None if varying else array.shape[0], *array.shape[1:])
        arrays.append(array)
        inputs.append(package.Input(batch_shape=shape, dtype=array.dtype.name))
        return inputs[-1]

    outputs = call.run(package, as_input)
    return package.Model(inputs, outputs), arrays


def listed(shapes: Any) -> Any:
    """Several shapes as a list, whichever kind of sequence the function gives."""
    return list(shapes) if shapes and isinstance(shapes[0], tuple) else shapes


def found_in(call: Call) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for value in (*call.args, *call.kwargs.values()):
        mapped(value, found.append)
    return found


def compiled_agree(call: Call, expected: Any, varying: bool) -> None:
    """What is found in a model is what Keras computes at once, of the shape that its model has."""
    theirs, arrays = modelled(call, keras, varying)
    ours, _ = modelled(call, keraunos, varying)
    assert listed(ours.output_shape) == listed(theirs.output_shape)
    assert_close(ours.predict_on_batch(arrays), expected, call.rtol, call.atol)


OF_SHAPES = ("shape", "ndim", "size")
# Keras itself fails when these are part of a model, or is wrong about their shapes.
NOT_IN_KERAS = re.compile(
    r"conv_transpose|conv\(.*2x9|.stack\(\[float32\[4\]|append.*axis=0|categorical.*axis=0|get_item.*array"
)


def is_compiled(call: Call) -> bool:
    return bool(found_in(call) and call.name not in OF_SHAPES and not NOT_IN_KERAS.match(str(call)))


# What depends on the size of the first axis, or moves further along it than it may be long.
OF_ONE_BATCH = re.compile(
    r"reshape|broadcast_to|trace|.*conv|take|tril|triu|matmul|dot|split|outer|arg.*None|arg.*axis=0"
    r"|get_item\(float32\[3x4x5\], 1\)|slice\(|einsum\(ii"
)


def is_of_any_batch(call: Call) -> bool:
    batches = {array.shape[0] for array in found_in(call)}
    return is_compiled(call) and len(batches) == 1 and not OF_ONE_BATCH.match(str(call))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_on_arrays_and_in_models(call):
    """At once, in a model, and where the first axis is known to the data only."""
    expected = call.run(keras)
    assert_close(call.run(keraunos), expected, call.rtol, call.atol)
    if is_compiled(call):
        compiled_agree(call, expected, varying=False)
    if is_of_any_batch(call):
        compiled_agree(call, expected, varying=True)


def test_what_is_taken_outside_is_the_same_as_with_jax():
    """Of computed indices; of those that are given, which Keras makes NaN, a clear error."""
    at = np.array([0, -3, 2, 3, -4, 2**31 - 1, -(2**31)], "int32")
    for x in (X, WHOLE, X[0, 0] + np.zeros((3, 1), "float32")):
        specs = [keraunos.KerasTensor(array.shape, array.dtype.name) for array in (x, at)]
        run = keraunos.compile(lambda x, at: keraunos.ops.take(x, at + 0, axis=0), *specs)
        np.testing.assert_array_equal(run(x, at), keras.ops.take(x, at, axis=0))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift"])
def test_bits_of_floats_are_refused(name):
    with pytest.raises(ValueError, match="expected integers or booleans; received float32"):
        getattr(keraunos.ops, name)(X, DIVISOR)


@pytest.mark.parametrize("steps", [9, 3])
@pytest.mark.parametrize(
    "key",
    [
        *(slice(None, 5), slice(-5, None), slice(5, None), slice(1, -1), slice(-4, -2)),
        *(slice(0, 7, 2), slice(-5, 4), slice(3, -4), slice(None, None, -2), slice(-2, 2, -1)),
    ],
    ids=str,
)
def test_slices_of_sequences_shorter_than_they_reach(key, steps):
    data = draw((2, steps, 4))
    theirs, ours = (cut_model(package, key) for package in (keras, keraunos))
    for array in (draw((2, 9, 4)), data, draw((2, 8, 4))):
        assert_close(ours.predict_on_batch(array), theirs.predict_on_batch(array))


def cut_model(package: Any, key: slice) -> Any:
    x = package.Input((None, 4))
    return package.Model(x, package.layers.Lambda(lambda v: v[:, key] * 2)(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda ops, x: ops.argmax(x, axis=1),
        lambda ops, x: ops.argmin(x, axis=-1),
        lambda ops, x: ops.tril(x),
        lambda ops, x: x * ops.reshape(ops.arange(0, ops.shape(x)[1]), (1, -1, 1)),
        lambda ops, x: ops.roll(x, 4, axis=1),
        lambda ops, x: ops.roll(x, -4, axis=1),
        lambda ops, x: ops.split(x, [2], axis=1)[1],
        lambda ops, x: ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
        lambda ops, x: ops.concatenate([x, ops.flip(x, 1)], axis=1),
        lambda ops, x: ops.mean(x, axis=1, keepdims=True) + ops.max(x, axis=1, keepdims=True),
        lambda ops, x: ops.reshape(x, (-1, 2, 2)),
    ],
)
def test_sequences_whose_length_only_the_data_tell(function):
    def build(package):
        x = package.Input((None, 4))
        layer = package.layers.Lambda(lambda v: function(package.ops, v))
        return package.Model(x, layer(x))

    theirs, ours = build(keras), build(keraunos)
    for steps in (7, 5, 7):
        data = draw((2, steps, 4))
        assert_close(ours.predict_on_batch(data), theirs.predict_on_batch(data))
