"""The networks that are timed, written once in the Keras API.

A builder takes any namespace with Keras's names: Keras, Keraunos, or a `recording.Recorder`, from
which the PyTorch and ONNX versions are made. So every framework runs the same network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Builder = Callable[[Any], Any]


def cnn(keras: Any, width: int = 1) -> Any:
    """The small convolutional network of many a tutorial; `width` multiplies its channels."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32 * width, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64 * width, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64 * width, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64 * width, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def resnet20(keras: Any) -> Any:
    """He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2, n = 3; projections 1x1."""
    layers = keras.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = normalized_conv(layers, x, filters, 3, strides, activation="relu")
        y = normalized_conv(layers, y, filters, 3)
        if strides > 1:
            x = normalized_conv(layers, x, filters, 1, strides)
        return layers.Activation("relu")(layers.Add()([x, y]))

    image = keras.Input((32, 32, 3))
    x = normalized_conv(layers, image, 16, 3, activation="relu")
    for filters in (16, 32, 64):
        for index in range(3):
            x = block(x, filters, strides=2 if filters > 16 and index == 0 else 1)
    return keras.Model(image, classifier(layers, x, 10))


def resnet50(keras: Any) -> Any:
    """He et al. 2015, https://arxiv.org/abs/1512.03385, table 1, the 50-layer network."""
    layers = keras.layers

    def block(x: Any, filters: int, strides: int, project: bool) -> Any:
        y = normalized_conv(layers, x, filters, 1, strides, activation="relu")
        y = normalized_conv(layers, y, filters, 3, activation="relu")
        y = normalized_conv(layers, y, 4 * filters, 1)
        if project:
            x = normalized_conv(layers, x, 4 * filters, 1, strides)
        return layers.Activation("relu")(layers.Add()([x, y]))

    image = keras.Input((224, 224, 3))
    x = normalized_conv(layers, image, 64, 7, strides=2, activation="relu")
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for filters, blocks, strides in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(blocks):
            first = index == 0
            x = block(x, filters, strides if first else 1, project=first)
    return keras.Model(image, classifier(layers, x, 1000))


def mobilenetv2(keras: Any) -> Any:
    """Sandler et al. 2018, https://arxiv.org/abs/1801.04381, table 2."""
    layers = keras.layers

    def conv(x: Any, filters: int, kernel: int = 1, strides: int = 1) -> Any:
        return normalized_conv(layers, x, filters, kernel, strides, activation="relu6")

    def block(x: Any, channels: int, filters: int, strides: int, expansion: int) -> Any:
        y = conv(x, channels * expansion) if expansion > 1 else x
        y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
        y = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(y))
        y = normalized_conv(layers, y, filters, 1)
        return layers.Add()([x, y]) if strides == 1 and channels == filters else y

    image = keras.Input((224, 224, 3))
    x, channels = conv(image, 32, 3, strides=2), 32
    for expansion, filters, blocks, strides in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for index in range(blocks):
            x = block(x, channels, filters, strides if index == 0 else 1, expansion)
            channels = filters
    return keras.Model(image, classifier(layers, conv(x, 1280), 1000))


def normalized_conv(
    layers: Any, x: Any, filters: int, kernel: int, strides: int = 1, activation: str | None = None
) -> Any:
    """A convolution and its batch normalization, then `activation`: relu, relu6 or none."""
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    if activation == "relu6":
        return layers.ReLU(max_value=6.0)(x)
    return layers.Activation(activation)(x) if activation else x


def classifier(layers: Any, x: Any, classes: int) -> Any:
    return layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x))


@dataclass(frozen=True)
class Workload:
    """A network, the shape of one input (NHWC, without the batch) and its number of classes."""

    build: Builder
    shape: tuple[int, int, int]
    classes: int


WORKLOADS = {
    "cnn": Workload(cnn, (28, 28, 1), 10),
    "resnet20": Workload(resnet20, (32, 32, 3), 10),
    "resnet50": Workload(resnet50, (224, 224, 3), 1000),
    "mobilenetv2": Workload(mobilenetv2, (224, 224, 3), 1000),
}


@dataclass(frozen=True)
class Case:
    """What is timed: "infer" or "train" (one step of Adam), a workload's name, a batch size."""

    kind: str
    workload: str
    batch: int

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Reads "infer:cnn:32".

        Raises:
            ValueError: the text has another form, or names an unknown kind or workload.
        """
        kind, _, rest = text.partition(":")
        workload, _, batch = rest.partition(":")
        if kind not in ("infer", "train") or workload not in WORKLOADS or not batch.isdecimal():
            raise ValueError(
                f"expected infer|train:{'|'.join(WORKLOADS)}:batch, such as infer:cnn:32, "
                f"got {text!r}"
            )
        return cls(kind, workload, int(batch))

    def __str__(self) -> str:
        return f"{self.kind}:{self.workload}:{self.batch}"

    def data(self) -> tuple[Array, Array]:
        """Images, float32 [batch, height, width, channels], and labels, int32 [batch]."""
        workload, rng = WORKLOADS[self.workload], np.random.default_rng(0)
        images = rng.standard_normal((self.batch, *workload.shape), dtype=np.float32)
        return images, rng.integers(0, workload.classes, self.batch, dtype=np.int32)


def build_with_layers(keras: Any, build: Builder) -> tuple[Any, list[Any]]:
    """The model, and its layers in the order in which the builder makes them."""
    created: list[Any] = []

    class Layers:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            kind = getattr(keras.layers, name)

            def make(*args: Any, **settings: Any) -> Any:
                created.append(kind(*args, **settings))
                return created[-1]

            return make

    names = SimpleNamespace(
        Input=keras.Input, Model=keras.Model, Sequential=keras.Sequential, layers=Layers()
    )
    return build(names), created
