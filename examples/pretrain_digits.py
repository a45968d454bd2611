"""Pre-training and fine-tuning: an autoencoder learns without labels, its encoder reads digits.

The autoencoder restores images of which half the pixels are gone, from 16 numbers. Its encoder is
then frozen, and a classifier learns from those numbers and ten labels a digit; an encoder that has
learned nothing is there to compare. Last, encoder and classifier learn on together, slowly.
"""

import numpy as np

import keraunos as keras
from keraunos import layers

(x, y), (x_test, y_test) = keras.datasets.digits.load_data(size=16)
FEW = np.concatenate([np.flatnonzero(y == digit)[:10] for digit in range(10)])


def make_encoder():
    options = {"strides": 2, "padding": "same", "activation": "relu"}
    convolutions = [layers.Conv2D(filters, 3, **options) for filters in (16, 32)]
    code = layers.Dense(16, activation="relu")
    return keras.Sequential([keras.Input((16, 16, 1)), *convolutions, layers.Flatten(), code])


def pretrain(encoder):
    decoder = [layers.Dense(256, activation="sigmoid"), layers.Reshape((16, 16, 1))]
    autoencoder = keras.Sequential([encoder, *decoder])
    autoencoder.compile("adam", "mse")
    damaged = x * (np.random.default_rng(0).random(x.shape) < 0.5).astype("float32")
    losses = autoencoder.fit(damaged, x, epochs=40, verbose=0).history["loss"]
    print(f"Reconstruction error {losses[0]:.4f} -> {losses[-1]:.4f}, without a label")


def teach(classifier, rate, epochs):
    """Trains on the few labels; gives the accuracy on all test images."""
    optimizer = keras.optimizers.Adam(rate)
    classifier.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(x[FEW], y[FEW], epochs=epochs, verbose=0)
    return classifier.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


def main():
    keras.utils.set_random_seed(0)
    encoders = {"learned nothing": make_encoder(), "pre-trained": make_encoder()}
    pretrain(encoders["pre-trained"])
    for what, encoder in encoders.items():
        encoder.trainable = False
        classifier = keras.Sequential([encoder, layers.Dense(10, activation="softmax")])
        print(f"Encoder {what:15}, frozen: accuracy {teach(classifier, 0.003, 200):.2f}")

    updated = classifier.training_step(x[FEW], y[FEW]).graph.updates
    print("What a step updates:", ", ".join(sorted(node.attrs["name"] for node in updated)))

    encoder.trainable = True
    print(f"Fine-tuned together: accuracy {teach(classifier, 1e-4, 60):.2f}")


if __name__ == "__main__":
    main()
