"""The digits: shapes and values, a fixed split, and a resizing that interpolates."""

import hashlib

import numpy as np
import pytest

from keraunos.frontend.datasets import digits

pytestmark = pytest.mark.smoke

# sha256 of the sorted rows of scikit-learn's digits.csv.gz, 64 pixels and the digit as uint8.
ORIGINAL = "f67d6a29d0e1f70e7f0cd9dcf25816b694881f4b8f27f5cc1db59551f0499fb8"


def test_has_the_form_of_keras_mnist():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, y_train.shape) == ((1438, 28, 28, 1), (1438,))
    assert (x_test.shape, y_test.shape) == ((359, 28, 28, 1), (359,))
    assert {a.dtype for a in (x_train, x_test)} == {np.dtype("float32")}
    assert {a.dtype for a in (y_train, y_test)} == {np.dtype("int32")}
    for images in (x_train, x_test):
        assert images.min() == 0
        assert 0.99 < images.max() <= 1
        assert images.flags.c_contiguous


def test_every_image_of_the_original_appears_once():
    train, test = digits.load_data(size=8)
    rows = [
        np.column_stack([images.reshape(-1, 64) * 16, labels]) for images, labels in (train, test)
    ]
    table = np.concatenate(rows).astype(np.uint8)
    in_order = table[np.lexsort(table.T[::-1])]
    assert hashlib.sha256(in_order.tobytes()).hexdigest() == ORIGINAL


def test_split_is_stratified_and_the_training_order_shuffled():
    (_, y_train), (_, y_test) = digits.load_data(size=8)
    counts = np.bincount(np.concatenate([y_train, y_test]), minlength=10)
    np.testing.assert_array_equal(np.bincount(y_test, minlength=10), np.rint(counts / 5))
    assert set(y_train[:50]) == set(range(10))


def test_pixels_are_sixteenths_when_not_resized():
    (images, _), _ = digits.load_data(size=8)
    assert images.shape == (1438, 8, 8, 1)
    np.testing.assert_array_equal(images * 16, np.rint(images * 16))


@pytest.mark.parametrize("size", [9, 28, 32])
def test_resizing_agrees_with_interpolation_by_hand(size):
    (small, _), _ = digits.load_data(size=8)
    (large, _), _ = digits.load_data(size=size)
    axis = (np.arange(size) + 0.5) * 8 / size - 0.5
    old = np.arange(8)
    image = small[3, :, :, 0]
    rows = np.stack([np.interp(axis, old, column) for column in image.T], axis=1)
    expected = np.stack([np.interp(axis, old, row) for row in rows])
    np.testing.assert_allclose(large[3, :, :, 0], expected, atol=1e-6)


def test_refuses_to_shrink():
    with pytest.raises(ValueError, match=r"expected size >= 8.*got size=7"):
        digits.load_data(size=7)
