"""A layer of one's own, written with keraunos.ops, is traced, explained and fused like the rest.

RMS normalization (Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467):
y = x / sqrt(mean(x**2) + epsilon) * scale
"""

import numpy as np

import keraunos as keras
from keraunos import layers, ops


class RMSNorm(layers.Layer):
    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
        return x * ops.rsqrt(mean_square + self.epsilon) * self.scale


def by_hand(x, epsilon=1e-6):
    """The same in numpy, in float64."""
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)


def main():
    (_, _), (images, _) = keras.datasets.digits.load_data(size=8)
    pixels = images.reshape(len(images), 64)
    print(f"Largest difference from numpy: {np.abs(RMSNorm()(pixels) - by_hand(pixels)).max():.1e}")

    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="relu"),
            RMSNorm(name="norm"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    executable = keras.compile(model)
    print(f"\nAs it is traced:\n\n{executable.stages['trace']}")
    print(f"\nAs it is compiled:\n\n{executable.graph}\n")
    print(executable.explain())
    kernel = next(name for name in executable.source if name.startswith("square_sum"))
    print(f"\nThe layer's kernel:\n\n{executable.source[kernel]}")


if __name__ == "__main__":
    main()
