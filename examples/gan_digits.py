"""A generative adversarial network: two optimizers in one train_step, which is one program.

One makes images of noise, one tells them from digits; a third reads how much like digits they are.
"""

import keraunos as keras
from keraunos import layers, ops

(x, y), _ = keras.datasets.digits.load_data(size=8)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


def network(shape, *units, **last):
    hidden = [layers.Dense(count, activation="leaky_relu") for count in units[:-1]]
    return keras.Sequential([keras.Input(shape), *hidden, layers.Dense(units[-1], **last)])


class Adversaries(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = network((16,), 128, 128, 64, activation="sigmoid")
        self.discriminator = network((64,), 128, 64, 1)
        self.optimizers = [keras.optimizers.Adam(0.001, beta_1=0.5) for _ in range(2)]

    def train_step(self, real):
        noise = keras.random.normal((ops.shape(real)[0], 16))

        def told_apart():
            yes, no = self.discriminator(real), self.discriminator(self.generator(noise))
            return BINARY(0.9 * ops.ones_like(yes), yes) + BINARY(ops.zeros_like(no), no)

        def found_out():
            verdict = self.discriminator(self.generator(noise))
            return BINARY(ops.ones_like(verdict), verdict)

        losses = {}
        players = (self.discriminator, told_apart), (self.generator, found_out)
        for optimizer, (player, loss) in zip(self.optimizers, players, strict=True):
            weights = player.trainable_variables
            losses[loss.__name__], gradients = keras.value_and_grad(loss, wrt=weights)()
            optimizer.apply(gradients, weights)
        return losses


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    rows = x.reshape(-1, 64)
    reader = network((64,), 64, 10, activation="softmax")
    reader.compile("adam", "sparse_categorical_crossentropy")
    reader.fit(rows, y, epochs=20, verbose=0)
    model, noise = Adversaries(), keras.random.normal((500, 16))
    model.compile()
    for before, epochs in ((0, 0), (0, 20), (20, 100)):
        model.fit(rows, initial_epoch=before, epochs=epochs, verbose=0)
        read = reader.predict(model.generator(noise), verbose=0)
        sure = read.max(axis=1) > 0.9
        kinds = len(set(read[sure].argmax(axis=1)))
        print(f"After {epochs:3} epochs: {sure.mean():.0%} read surely, as {kinds} digits")
    print(f"Digits themselves: {(reader.predict(rows, verbose=0).max(axis=1) > 0.9).mean():.0%}")
