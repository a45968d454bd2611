"""Unfused and fused, side by side: times, kernels, memory moved, error against float64.

The unfused variant runs the same vector code, one op a kernel, so the difference is the passes'.
"""

import keraunos as keras
from keraunos import layers


def block(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)


def build():
    image = keras.Input((28, 28, 1))
    x = layers.MaxPooling2D()(block(image, 16))
    x = layers.MaxPooling2D()(block(x, 32))
    x = layers.GlobalAveragePooling2D()(block(x, 64))
    return keras.Model(image, layers.Dense(10, activation="softmax")(x), name="digits")


def main():
    (_, _), (images, _) = keras.datasets.digits.load_data()
    model = build()

    # Each pass added to those before; one that changes nothing is named below the table.
    print(keras.compare(model, images[:16], repeats=20))

    # Variants of one's own are options of keras.compile.
    variants = {
        "everything": {},
        "no tiling": {"disable": ("tile",)},
        "no fusion": {"disable": ("fuse",)},
    }
    comparison = keras.compare(model, images[:64], variants=variants, repeats=20)
    print(comparison)
    ratio = comparison["no fusion"].bytes_moved / comparison["everything"].bytes_moved
    print(f"Fusion saves {1 - 1 / ratio:.0%} of the memory traffic.")

    print(keras.explain(model))


if __name__ == "__main__":
    main()
