"""Handwritten digits: 1,797 grey images of the ten digits, 8 by 8 pixels, in the package.

The test part of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine
Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/), as distributed with scikit-learn. The pixels are
unchanged in the file; `load_data` scales and resizes them. README.md beside this file has the
details.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..allocation import require_memory
from ..arguments import checked
from ..errors import UsageError

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

PATH = Path(__file__).with_name("digits.npz")
STORED_SIZE = 8
BRIGHTEST = 16


@checked
def load_data(size: int = 28) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """Loads the digits as `(x_train, y_train), (x_test, y_test)`, the form of keras.datasets.mnist.

    The split is fixed and stratified: 1,438 images to train, 359 to test, a fifth of each digit.
    The training images are in shuffled order.

    Args:
        size: height and width of the images in pixels, 8 (as stored) or more; larger ones are
            made by bilinear interpolation. 28 is the size of MNIST.

    Returns:
        Images as float32 of shape (n, size, size, 1) with values in [0, 1], unlike MNIST's uint8 of
        shape (n, 28, 28): a model can take them as they are. Labels as int32 of shape (n,).

    Raises:
        ValueError: size is less than 8.
    """
    if size < STORED_SIZE:
        raise UsageError(
            f"expected size >= {STORED_SIZE}, the size of the stored images, got size={size}; "
            "load size=8 and pool the images to make them smaller"
        )
    require_memory("digits", (1438, size, size), np.dtype("float32"))
    with np.load(PATH, allow_pickle=False) as stored:
        train, test = (
            (_prepare(stored[f"x_{part}"], size), stored[f"y_{part}"].astype(np.int32))
            for part in ("train", "test")
        )
    return train, test


def _prepare(pixels: npt.NDArray[np.uint8], size: int) -> Images:
    """Turns uint8 [n, 8, 8] with values up to 16 into float32 [n, size, size, 1] in [0, 1]."""
    scaled = pixels.astype(np.float32) / BRIGHTEST
    weights = _bilinear(pixels.shape[1], size)
    # Rounding may leave a pixel 1e-7 above the brightest one that it is a mean of.
    return np.minimum(weights @ scaled @ weights.T, 1.0)[..., np.newaxis]


def _bilinear(old: int, new: int) -> Images:
    """The matrix [new, old] that resizes one axis, pixel centres at (i + 1/2), edges repeated."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    distances = np.abs(centres[:, np.newaxis] - np.arange(old))
    return np.maximum(1 - distances, 0).astype(np.float32)
