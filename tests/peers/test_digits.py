"""The digits are resized as JAX resizes images."""

import numpy as np
import pytest

from keraunos.frontend.datasets import digits

image = pytest.importorskip("jax.image", reason="the `peers` extra is not installed")


def test_bilinear_agrees_with_jax():
    (small, _), _ = digits.load_data(size=8)
    (large, _), _ = digits.load_data(size=28)
    expected = image.resize(small, large.shape, "bilinear")
    np.testing.assert_allclose(large, np.asarray(expected), atol=1e-6)
