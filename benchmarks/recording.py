"""A namespace with the Keras names that the workloads use, which records the calls of layers.

`torch_model` and `onnx_model` make their networks of the recording. Shapes are those of one
sample, channels last; weights have Keras's shapes and order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Shape: TypeAlias = tuple[int, ...]
Weights: TypeAlias = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Symbol:
    """The value of a layer's call, or the input: `tape.calls[index - 1]` made it."""

    tape: "Tape"
    index: int
    shape: Shape


@dataclass(frozen=True)
class Call:
    """`layer` was called on the values numbered `inputs`; the value 0 is the network's input."""

    layer: "Layer"
    inputs: tuple[int, ...]
    input_shape: Shape
    weights: Weights


@dataclass(eq=False)
class Tape:
    """The recorded network: its calls in order, the last of which is the output."""

    input_shape: Shape
    calls: list[Call] = field(default_factory=list)

    def add(self, layer: "Layer", inputs: Sequence[Symbol]) -> Symbol:
        shape = inputs[0].shape
        weights = initial_weights(layer.weight_shapes(shape), seed=len(self.calls))
        self.calls.append(Call(layer, tuple(each.index for each in inputs), shape, weights))
        return Symbol(self, len(self.calls), layer.output_shape(shape))

    @property
    def output_shape(self) -> Shape:
        last = self.calls[-1]
        return last.layer.output_shape(last.input_shape)

    @property
    def parameters(self) -> int:
        return sum(weight.size for call in self.calls for weight in call.weights.values())


def initial_weights(shapes: dict[str, Shape], seed: int) -> Weights:
    """Values that keep activations near 1 and outputs apart; the same in every framework."""
    rng = np.random.default_rng(seed)
    return {name: _initial(name, shape, rng) for name, shape in shapes.items()}


def _initial(name: str, shape: Shape, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    normal = rng.standard_normal(shape)
    if name == "kernel":
        values = normal / math.sqrt(math.prod(shape[:-1]))
    elif name == "depthwise_kernel":
        values = normal / math.sqrt(math.prod(shape[:2]))
    elif name in ("gamma", "moving_variance"):
        values = np.exp(0.1 * normal)
    else:
        values = 0.1 * normal
    return np.asarray(values, np.float32)


class Layer:
    """A layer's settings. It is called once, on one symbol or on a list of them."""

    def __call__(self, inputs: Symbol | Sequence[Symbol]) -> Symbol:
        symbols = [inputs] if isinstance(inputs, Symbol) else list(inputs)
        return symbols[0].tape.add(self, symbols)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {}


@dataclass(eq=False)
class Window(Layer):
    """What convolutions and poolings share: a square window that moves over the image."""

    size: int
    strides: int
    padding: str

    def slid(self, shape: Shape) -> Shape:
        """Height and width after the window has moved over an image of `shape`."""
        if self.padding == "same":
            return tuple(math.ceil(extent / self.strides) for extent in shape[:2])
        return tuple((extent - self.size) // self.strides + 1 for extent in shape[:2])

    def pads(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        """(before, after) of height and width; "same" puts the odd pixel after."""
        totals = [
            max((slid - 1) * self.strides + self.size - extent, 0)
            for slid, extent in zip(self.slid(shape), shape[:2], strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)


class Conv2D(Window):
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int = 1,
        padding: str = "valid",
        activation: str | None = None,
        use_bias: bool = True,
    ) -> None:
        super().__init__(_square(kernel_size), strides, padding)
        self.filters, self.activation, self.use_bias = filters, activation, use_bias

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.slid(shape), self.filters)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        kernel = (self.size, self.size, shape[-1], self.filters)
        return {"kernel": kernel} | ({"bias": (self.filters,)} if self.use_bias else {})


class DepthwiseConv2D(Window):
    def __init__(self, kernel_size: int, strides: int, padding: str, use_bias: bool) -> None:
        if use_bias:
            raise ValueError("expected use_bias=False, the only depthwise convolution recorded")
        super().__init__(kernel_size, strides, padding)

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.slid(shape), shape[-1])

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"depthwise_kernel": (self.size, self.size, shape[-1], 1)}


class MaxPooling2D(Window):
    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | None = None,
        padding: str = "valid",
    ) -> None:
        size = _square(pool_size)
        super().__init__(size, strides or size, padding)

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.slid(shape), shape[-1])


class BatchNormalization(Layer):
    EPSILON = 1e-3
    MOMENTUM = 0.99

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), shape[-1:])


@dataclass(eq=False)
class Activation(Layer):
    activation: str


@dataclass(eq=False)
class ReLU(Layer):
    max_value: float


class Add(Layer):
    pass


class GlobalAveragePooling2D(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        return shape[-1:]


class Flatten(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(eq=False)
class Dense(Layer):
    units: int
    activation: str | None = None

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"kernel": (shape[-1], self.units), "bias": (self.units,)}


def _square(size: int | tuple[int, int]) -> int:
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"expected a square window, got {size}")
    return height


class Recorder:
    """What a workload's builder takes in the place of `keras`; it returns a `Tape`."""

    class layers:
        Activation = Activation
        Add = Add
        BatchNormalization = BatchNormalization
        Conv2D = Conv2D
        Dense = Dense
        DepthwiseConv2D = DepthwiseConv2D
        Flatten = Flatten
        GlobalAveragePooling2D = GlobalAveragePooling2D
        MaxPooling2D = MaxPooling2D
        ReLU = ReLU

    @staticmethod
    def Input(shape: Shape) -> Symbol:
        return Symbol(Tape(shape), 0, shape)

    @staticmethod
    def Model(inputs: Symbol, outputs: Symbol) -> Tape:
        return inputs.tape

    @staticmethod
    def Sequential(parts: list[Any]) -> Tape:
        value, *layers = parts
        for layer in layers:
            value = layer(value)
        tape: Tape = value.tape
        return tape


def record(build: Any) -> Tape:
    """The network that `build` makes."""
    tape: Tape = build(Recorder)
    return tape
