"""A variational autoencoder: images become points, and points drawn at random become images.

Its train_step minimizes what is lost of images, plus how far points stray from a normal law.
"""

import numpy as np

import keraunos as keras
from keraunos import layers, ops

(x, _), (x_test, _) = keras.datasets.digits.load_data(size=8)


class Autoencoder(keras.Model):
    def __init__(self, size):
        super().__init__()
        parts = [layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(2 * size)]
        self.encoder = keras.Sequential([keras.Input((8, 8, 1)), *parts])
        parts = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="sigmoid")]
        self.decoder = keras.Sequential([keras.Input((size,)), *parts, layers.Reshape((8, 8, 1))])
        self.lost, self.strayed = (keras.metrics.Mean(name=name) for name in ("lost", "strayed"))

    def losses_of(self, images):
        mean, log_variance = ops.split(self.encoder(images), 2, axis=-1)
        drawn = mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean))
        each = keras.losses.binary_crossentropy(images, self.decoder(drawn))
        strayed = ops.square(mean) + ops.exp(log_variance) - log_variance - 1
        return ops.mean(ops.sum(each, axis=(1, 2))), 0.5 * ops.mean(ops.sum(strayed, axis=-1))

    def train_step(self, images):
        def total():
            lost, strayed = self.losses_of(images)
            return lost + strayed, (lost, strayed)

        weights = self.trainable_variables
        (_, parts), gradients = keras.value_and_grad(total, wrt=weights, has_aux=True)()
        self.optimizer.apply(gradients, weights)
        self.lost.update_state(parts[0])
        self.strayed.update_state(parts[1])
        return {"lost": self.lost.result(), "strayed": self.strayed.result()}


def distance(images):
    """How far images are, in the mean, from those of the data that are most like them."""
    rows, known = np.reshape(images, (-1, 64)), x.reshape(-1, 64)
    return np.mean([np.linalg.norm(known - row, axis=1).min() for row in rows])


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = Autoencoder(8)
    points = keras.random.normal((360, 8))
    kinds = {"digits never seen": x_test, "points, untaught": model.decoder(points)}
    model.compile(keras.optimizers.Adam(0.003))
    history = model.fit(x, batch_size=64, epochs=80, verbose=0).history
    print({name: [round(v, 1) for v in values[::20]] for name, values in history.items()})
    kinds["points, taught"] = model.decoder(points)
    for kind in kinds:
        print(f"{kind:17}: {distance(kinds[kind]):.2f} from the nearest digit")
