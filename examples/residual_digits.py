"""A residual network of random filters reads digits: its last layer is solved, not trained.

Random convolutions are useful features (Jarrett et al. 2009, "What is the best multi-stage
architecture for object recognition?"). The network computes them; a linear layer on top is the
solution of a least-squares problem. One compiled program serves every batch size.
"""

import numpy as np

import keraunos as keras
from keraunos import layers

RIDGE = 1e-3
keras.utils.set_random_seed(0)


def block(x, filters, strides):
    """Two convolutions and a way around them (He et al. 2015, https://arxiv.org/abs/1512.03385)."""
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu")(x)
    y = layers.Conv2D(filters, 3, padding="same")(y)
    if strides > 1:
        x = layers.Conv2D(filters, 1, strides=strides)(x)
    return layers.ReLU()(layers.Add()([x, y]))


def build():
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2)):
        x = block(x, filters, strides)
    features = layers.Flatten()(layers.AveragePooling2D(2)(x))
    model = keras.Model(image, layers.Dense(10, name="classes")(features))
    return model, keras.Model(image, features)


def solve(features, labels):
    """The kernel and bias with the least squared distance from one-hot labels."""
    x = np.c_[features, np.ones(len(features))]
    solution = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ np.eye(10)[labels])
    return [solution[:-1].astype("float32"), solution[-1].astype("float32")]


def main():
    (images, labels), (test_images, test_labels) = keras.datasets.digits.load_data()
    model, features = build()
    model.get_layer("classes").set_weights(solve(features.predict(images, verbose=0), labels))
    for batch in (1, 32, 359):
        predicted = model.predict(test_images, batch_size=batch, verbose=0).argmax(axis=1)
        print(f"batch {batch:3}: {(predicted == test_labels).mean():.1%} of the digits are right")
    print(keras.explain(model))


if __name__ == "__main__":
    main()
