"""IR is text: dump the graph of a model, edit it, read it back, compile it, run it.

The edit replaces the activation and returns the logits too; the weights are the model's.
"""

import numpy as np

import keraunos as keras
from keraunos import layers

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(16, 3, activation="relu", name="conv"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax", name="classes"),
    ]
)
(_, _), (images, _) = keras.datasets.digits.load_data(size=8)


def main():
    text = str(keras.trace(model))
    print(text)

    edited = text.replace("= relu(", "= gelu(").replace("return %6", "return %6, %5")
    edited = edited.replace(
        "-> f32[N, 10] ", ""
    )  # types may be left out; those there must be right
    graph = keras.parse_ir(edited)
    assert keras.parse_ir(str(graph)) == graph

    executable = keras.compile(graph)
    executable.set_parameters(
        {f"{layer.name}.{w.name}": w.numpy() for layer in model.layers for w in layer.weights}
    )
    probabilities, logits = executable(images)
    print(f"\nEdited and compiled:\n\n{executable.graph}")
    before = model.predict(images, verbose=0)
    print(f"\nLargest change of a probability: {np.abs(probabilities - before).max():.4f}")
    print(f"Logits of the first digit: {logits[0].round(2)}")


if __name__ == "__main__":
    main()
