"""Wrong use: one clear error that says what was expected, what came, which layer and which line."""

import numpy as np
import pytest

from keraunos import Input, Model, Sequential, layers, ops
from keraunos.frontend.naming import clear_session
from keraunos.runtime.config import config

INSIDE = ("frontend", "compiler", "runtime")


@pytest.fixture(autouse=True)
def fresh_names():
    clear_session(free_memory=False)


def image_model() -> Model:
    return Sequential(
        [Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)], name="digits"
    )


def sum_model() -> Model:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    return Model([a, b], layers.Add()([a, b]), name="sums")


class Wrong(layers.Layer):
    def call(self, x):
        return ops.matmul(x, ops.ones((7, 2)))


class Uninitialized(layers.Layer):
    def __init__(self):
        self.size = 3


# What is called, the type of the error, and what its text has to say.
CASES = {
    "one sample instead of a batch": (
        lambda: image_model().predict_on_batch(np.zeros((8, 8, 1))),
        ValueError,
        r'model "digits" \(Sequential, test_errors.py:\d+\): input "input_layer": expected shape '
        r"\(None, 8, 8, 1\); received shape \(8, 8, 1\).*x\[None\]",
    ),
    "another size": (
        lambda: image_model().predict(np.zeros((2, 9, 8, 1)), verbose=0),
        ValueError,
        r"expected shape \(None, 8, 8, 1\); received shape \(2, 9, 8, 1\)",
    ),
    "objects": (
        lambda: image_model().predict(np.array([object()])),
        TypeError,
        r'model "digits".*expected numbers; received an array of dtype object',
    ),
    "text": (lambda: image_model()(np.array(["a"])), TypeError, "expected numbers"),
    "nothing": (lambda: image_model().predict(None), TypeError, "expected numbers"),
    "complex": (
        lambda: image_model().predict(np.zeros((1, 8, 8, 1), complex)),
        TypeError,
        "dtype complex128",
    ),
    "ragged": (lambda: image_model().predict([[1, 2], [3]]), TypeError, "Pad the rows"),
    "too few inputs": (
        lambda: sum_model().predict(np.zeros((2, 3))),
        ValueError,
        r"expected 2 inputs \(a \(None, 3\), b \(None, 3\)\); received 1",
    ),
    "too many inputs": (
        lambda: sum_model().predict([np.zeros((2, 3))] * 3),
        ValueError,
        "expected 2 inputs .* received 3",
    ),
    "a missing name": (
        lambda: sum_model().predict({"a": np.zeros((2, 3)), "c": np.zeros((2, 3))}),
        ValueError,
        "expected inputs called a, b; received a, c",
    ),
    "unequal batches": (
        lambda: sum_model().predict([np.zeros((2, 3)), np.zeros((3, 3))]),
        ValueError,
        r"one batch size; received shapes \(2, 3\), \(3, 3\)",
    ),
    "batch size 0": (
        lambda: image_model().predict(np.zeros((2, 8, 8, 1)), batch_size=0),
        ValueError,
        "batch_size as an int of 1 or more, or None; received 0",
    ),
    "steps 0": (
        lambda: image_model().predict(np.zeros((2, 8, 8, 1)), steps=0),
        ValueError,
        "steps as an int of 1 or more, or None; received 0",
    ),
    "batch size of batches": (
        lambda: image_model().predict(iter([]), batch_size=3),
        ValueError,
        "no batch_size beside data that gives batches",
    ),
    "no batch": (lambda: image_model().predict(iter([])), ValueError, "at least one batch"),
    "rank": (
        lambda: layers.Conv2D(3, 3)(Input((5, 5))),
        ValueError,
        r'layer "conv2d" \(Conv2D, test_errors.py:\d+\): expected an input of 4 axes, \(batch, '
        r"height, width, channels\); received shape \(None, 5, 5\)",
    ),
    "a window larger than the image": (
        lambda: layers.Conv2D(3, 7)(Input((5, 5, 1))),
        ValueError,
        r'layer "conv2d".*a window of 7 does not fit into an image of 5.*\(None, 5, 5, 1\)$',
    ),
    "another number of channels": (
        lambda: [layer := layers.Dense(2), layer(Input((3,))), layer(Input((4,)))],
        ValueError,
        r"expected size 3 at axis -1 of the input; received shape \(None, 4\)",
    ),
    "an unknown size under a kernel": (
        lambda: layers.Dense(2)(Input((None,))),
        ValueError,
        r"known size at axis -1.*Input\(shape",
    ),
    "filters": (lambda: layers.Conv2D(0, 3), ValueError, "filters as an int of 1 or more"),
    "kernel size": (
        lambda: layers.Conv2D(1, (3, 3, 3)),
        ValueError,
        r"kernel_size as an int or 2 ints, 1 or more; received \(3, 3, 3\)",
    ),
    "padding": (
        lambda: layers.Conv2D(1, 3, padding="full"),
        ValueError,
        "padding out of 'valid', 'same'; received 'full'",
    ),
    "causal images": (lambda: layers.Conv2D(1, 3, padding="causal"), ValueError, "padding out of"),
    "groups": (lambda: layers.Conv2D(3, 3, groups=2), ValueError, "multiple of groups"),
    "channels in groups": (
        lambda: layers.Conv2D(4, 3, groups=2)(Input((5, 5, 3))),
        ValueError,
        "input channels as a multiple of groups=2; received 3 channels",
    ),
    "strides and dilation": (
        lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2),
        ValueError,
        "strides or dilation_rate to be 1",
    ),
    "data format": (
        lambda: layers.MaxPooling2D(data_format="nchw"),
        ValueError,
        "data_format out of 'channels_last', 'channels_first'",
    ),
    "an activation's name": (
        lambda: layers.Dense(3, activation="rleu"),
        ValueError,
        "unknown activation: received 'rleu'. Did you mean 'relu'",
    ),
    "an initializer's name": (
        lambda: layers.Dense(3, kernel_initializer="glorot"),
        ValueError,
        "Did you mean 'glorot_normal' or 'glorot_uniform'",
    ),
    "an unknown argument": (
        lambda: layers.Dense(3, unit=4),
        TypeError,
        "Dense: unexpected arguments: unit. Did you mean .units",
    ),
    "dropout": (
        lambda: layers.Dropout(1.5),
        ValueError,
        "rate as a number between 0 and 1; received 1.5",
    ),
    "sizes that do not broadcast": (
        lambda: layers.Add()([Input((3,)), Input((4,))]),
        ValueError,
        r'layer "add".*do not broadcast.*\(None, 3\), \(None, 4\)',
    ),
    "one input to merge": (
        lambda: layers.Add()(Input((3,))),
        ValueError,
        "expected a list of inputs",
    ),
    "three to subtract": (
        lambda: layers.Subtract()([Input((3,))] * 3),
        ValueError,
        "exactly 2 inputs; received 3",
    ),
    "sizes beside one another": (
        lambda: layers.Concatenate()([Input((3, 2)), Input((4, 2))]),
        ValueError,
        "equal sizes except at axis -1",
    ),
    "elements that do not go up": (
        lambda: layers.Reshape((7,))(Input((3, 2))),
        ValueError,
        r"reshapes to \(7,\); received shape \(None, 3, 2\), which has 6 elements",
    ),
    "too much cut off": (
        lambda: layers.Cropping2D(3)(Input((6, 6, 1))),
        ValueError,
        "leaves nothing",
    ),
    "dims": (lambda: layers.Permute((0, 1)), ValueError, "an order of 1 to 2"),
    "dot over the batch": (lambda: layers.Dot(0), ValueError, r"none the batch \(0\)"),
    "statistics": (
        lambda: layers.Normalization(mean=1.0),
        ValueError,
        "mean and variance together",
    ),
    "an axis": (
        lambda: layers.BatchNormalization(axis=4)(Input((3,))),
        ValueError,
        "axis within shape",
    ),
    "a user's layer": (
        lambda: Wrong()(np.zeros((2, 3))),
        ValueError,
        r'layer "wrong" \(Wrong, test_errors.py:\d+\): matmul\(f32\[N, 3\], f32\[7, 2\]\)',
    ),
    "a layer without its base": (
        lambda: Uninitialized()(np.zeros((2, 3))),
        ValueError,
        r"Uninitialized \(test_errors.py:\d+\): expected a call of super\(\).__init__",
    ),
    "a layer without a call": (
        lambda: Model()(np.zeros((2, 3))),
        ValueError,
        "expected a method call",
    ),
    "text as input": (lambda: layers.Dense(2)("abc"), ValueError, "expected tensors or arrays"),
    "an input that is not given": (
        lambda: Model(Input((3,)), layers.Dense(2)(Input((3,), name="other"))),
        ValueError,
        r'depend on "other" \(test_errors.py:\d+\), which is not reached',
    ),
    "an output that is no tensor": (
        lambda: Model(Input((3,)), np.zeros(3)),
        ValueError,
        "expected outputs as symbolic tensors",
    ),
    "no shape": (lambda: Input(), ValueError, r"either shape=\(...\) of one sample or batch_shape"),
    "a negative size": (lambda: Input((-3,)), ValueError, "ints of 0 or more, or None"),
    "a layer's name": (lambda: layers.Dense(2, name="a/b"), ValueError, "without '/'"),
    "no layer": (lambda: Sequential([3]), TypeError, "expected a layer; received 3"),
    "two layers of one name": (
        lambda: Sequential([layers.Dense(2, name="d"), layers.Dense(2, name="d")]),
        ValueError,
        'received 2 layers "d"',
    ),
    "an input in the middle": (
        lambda: Sequential([layers.Dense(2), Input((3,))]),
        ValueError,
        "an Input as the first layer only",
    ),
    "nothing to pop": (lambda: Sequential().pop(), ValueError, "there is none"),
    "no layers": (lambda: Sequential()(np.zeros((2, 3))), ValueError, "expected layers"),
    "no such layer": (lambda: image_model().get_layer("fc"), ValueError, "one of conv2d, flatten"),
    "no such index": (lambda: image_model().get_layer(index=9), ValueError, "an index below 3"),
    "noise of no shape": (
        lambda: layers.Dropout(0.5, noise_shape="ones"),
        ValueError,
        "expected noise_shape as ints of 1 or more",
    ),
    "noise of another rank": (
        lambda: layers.Dropout(0.5, noise_shape=(None, 1))(np.zeros((2, 3, 4)), training=True),
        ValueError,
        "expected noise_shape with 3 sizes",
    ),
    "a loss outside of a call": (
        lambda: layers.Dense(2).add_loss(1.0),
        ValueError,
        "within the method call",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_says_what_is_wrong_at_the_users_line(name):
    call, error, text = CASES[name]
    with pytest.raises(error, match=text) as caught:
        call()
    inner = [entry for entry in caught.traceback if entry.path.parent.name in INSIDE]
    assert len(inner) <= 4, [str(entry) for entry in inner]


@pytest.mark.parametrize("make", [layers.Add, layers.Maximum])
def test_batches_of_other_sizes_are_told_as_sizes_that_do_not_fit(make):
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(4, 3\) do not broadcast"):
        make()([np.ones((5, 3)), np.ones((4, 3))])
    assert make()([np.ones((5, 3)), np.ones((1, 3))]).shape == (5, 3)


def test_a_users_own_error_passes_through():
    class Failing(layers.Layer):
        def call(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Failing()(np.zeros((2, 3)))


def test_debugging_shows_the_frames_inside():
    def frames() -> int:
        with pytest.raises(ValueError, match="do not broadcast") as caught:
            layers.Add()([Input((3,)), Input((4,))])
        return len(caught.traceback)

    short = frames()
    with config.update(debug=1):
        assert frames() > short


def test_a_failed_add_leaves_the_stack_as_it_was():
    model = Sequential([Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="4 axes"):
        model.add(layers.Conv2D(3, 3))
    assert [layer.name for layer in model.layers] == ["dense"]
    assert model.predict(np.zeros((1, 3)), verbose=0).shape == (1, 2)
