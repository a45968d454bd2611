"""Models that the command line knows by name, each with real data to run it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import layers
from ..datasets import digits
from ..layers import Input
from ..models import Model, Sequential


def cnn() -> Model:
    """The convolutional network of many a tutorial, for 28 x 28 images of digits."""
    return Sequential(
        [
            Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="cnn",
    )


def digit_images(count: int) -> np.ndarray:
    """``count`` handwritten digits, float32 of shape (count, 28, 28, 1); again from the start
    where there are not so many."""
    _, (images, _) = digits.load_data()
    return np.resize(images, (count, *images.shape[1:]))


@dataclass(frozen=True)
class Builtin:
    """A function that makes a model, and one that gives inputs for a batch size."""

    build: Callable[[], Model]
    inputs: Callable[[int], np.ndarray]


BUILTIN = {"cnn": Builtin(cnn, digit_images)}
