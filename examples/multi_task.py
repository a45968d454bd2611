"""Multi-task learning: one network tells the digit, whether it is odd, and how much ink it has.

The tasks share a trunk; each has a head, a loss with a weight, and metrics of its own.
"""

import keraunos as keras
from keraunos import layers

(x, y), (x_test, y_test) = keras.datasets.digits.load_data(size=16)


def targets(images, digits):
    return {
        "digit": digits,
        "odd": (digits % 2).astype("float32"),
        "ink": images.mean(axis=(1, 2, 3)),
    }


def build():
    image = keras.Input((16, 16, 1), name="image")
    trunk = layers.Conv2D(16, 3, activation="relu")(image)
    trunk = layers.MaxPooling2D()(trunk)
    trunk = layers.Conv2D(32, 3, activation="relu")(trunk)
    trunk = layers.Flatten()(trunk)
    heads = {
        "digit": layers.Dense(10, activation="softmax", name="digit")(trunk),
        "odd": layers.Dense(1, activation="sigmoid", name="odd")(trunk),
        "ink": layers.Dense(1, name="ink")(trunk),
    }
    return keras.Model(image, heads, name="three_tasks")


def main():
    keras.utils.set_random_seed(0)
    model = build()
    model.compile(
        optimizer="adam",
        loss={
            "digit": "sparse_categorical_crossentropy",
            "odd": "binary_crossentropy",
            "ink": "mse",
        },
        loss_weights={"digit": 1.0, "odd": 0.5, "ink": 10.0},
        metrics={"digit": ["accuracy"], "odd": ["accuracy"], "ink": ["mae"]},
    )
    history = model.fit(
        x, targets(x, y), epochs=10, validation_data=(x_test, targets(x_test, y_test)), verbose=0
    )
    for name in sorted(history.history):
        first, last = history.history[name][0], history.history[name][-1]
        print(f"{name:24} {first:8.4f} -> {last:8.4f}")

    results = model.evaluate(x_test, targets(x_test, y_test), verbose=0, return_dict=True)
    print({name: round(value, 4) for name, value in results.items()})


if __name__ == "__main__":
    main()
