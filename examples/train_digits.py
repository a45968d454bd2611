"""A convolutional network learns to read digits: compile, fit, evaluate, and a look inside.

Forward, loss, backward, optimizer and metrics are one graph and one program.
"""

import keraunos as keras
from keraunos import layers

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
(x, y), (x_test, y_test) = keras.datasets.digits.load_data()


def main():
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=8, validation_split=0.1, verbose=2)
    print("Validation accuracy:", [round(a, 3) for a in history.history["val_accuracy"]])

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"On digits never seen: loss {loss:.3f}, accuracy {accuracy:.3f}")

    # What each step runs: the graph before any pass, and what the compiler made of it.
    step = model.training_step(x[:32], y[:32])
    print(step.graph)
    print(keras.explain(step))
    print(keras.compare(step, variants=("none", "default"), repeats=10))


if __name__ == "__main__":
    main()
