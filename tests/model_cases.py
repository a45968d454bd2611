"""Models in the Keras API only: each builder takes ``keraunos``, or ``keras`` for comparison."""

from typing import Any


def digits(K: Any) -> Any:
    L = K.layers
    return K.Sequential(
        [
            K.Input((28, 28, 1)),
            L.Conv2D(32, (3, 3), activation="relu"),
            L.MaxPooling2D((2, 2)),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )


def residual(K: Any) -> Any:
    """Branches of different lengths: the order of layers and weights is not that of creation."""
    L = K.layers
    start = K.Input((8, 8, 3))
    x = first = L.Conv2D(4, 3, padding="same")(start)
    for index in range(3):
        y = L.Conv2D(4, 3, padding="same", use_bias=False)(x)
        y = L.BatchNormalization()(y)
        if index == 1:
            x = L.Conv2D(4, 1)(x)
        x = L.Activation("relu")(L.Add()([y, x]))
    joined = L.Concatenate()([x, first])
    return K.Model(start, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(joined)))


def siamese(K: Any) -> Any:
    """One layer called twice."""
    L = K.layers
    left, right = K.Input((4,), name="left"), K.Input((4,), name="right")
    shared = L.Dense(3, activation="tanh", name="shared")
    return K.Model([left, right], L.Subtract()([shared(left), shared(right)]), name="siamese")


def nested(K: Any) -> Any:
    """A model as a layer, called twice, with arithmetic on tensors between."""
    L = K.layers
    encoder = K.Sequential(
        [K.Input((6,)), L.Dense(4, activation="relu"), L.BatchNormalization()], name="encoder"
    )
    start = K.Input((6,))
    first, second = encoder(start), encoder(start * 2.0 + 1)
    return K.Model(start, [L.Dense(2)(first), L.Subtract()([first, second])], name="nested")


def heads(K: Any) -> Any:
    """Inputs and outputs by name."""
    L = K.layers
    a, b = K.Input((4,), name="a"), K.Input((5,), name="b")
    x, y = L.Dense(3, name="left")(a), L.Dense(3, name="right")(b)
    both = L.Add()([x, y])
    outputs = {"score": L.Dense(2)(both), "side": L.Dense(1)(x)}
    return K.Model({"a": a, "b": b}, outputs, name="heads")


MODELS = {builder.__name__: builder for builder in (digits, residual, siamese, nested, heads)}
