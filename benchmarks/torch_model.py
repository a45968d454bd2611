"""A recorded network in PyTorch: NCHW shapes in channels-last memory, which suits its kernels.

"Same" padding is symmetric here, as in torchvision, where Keras puts an odd pixel after: the work
is equal, and PyTorch need not pad in a step of its own. So outputs agree with those of the others
only where no window has stride 2.
"""

from typing import Any

import numpy as np
import torch
from recording import (
    Activation,
    Add,
    BatchNormalization,
    Call,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    ReLU,
    Tape,
    Window,
)
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "softmax": lambda: nn.Softmax(-1)}


class GlobalMean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class FlattenChannelsLast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Network(nn.Module):
    """Takes channels-last images as the others do, [batch, height, width, channels]."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.inputs = [call.inputs for call in tape.calls]
        self.steps = nn.ModuleList(module_of(call) for call in tape.calls)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = [images.permute(0, 3, 1, 2)]
        for step, inputs in zip(self.steps, self.inputs, strict=True):
            values.append(step(*(values[index] for index in inputs)))
        return values[-1]


def network(tape: Tape) -> Network:
    module = Network(tape)
    module.to(memory_format=torch.channels_last)
    return module


def module_of(call: Call) -> nn.Module:
    match call.layer:
        case Conv2D() as layer:
            return activated(convolution(call, layer, groups=1), layer.activation)
        case DepthwiseConv2D() as layer:
            return convolution(call, layer, groups=call.input_shape[-1])
        case Dense() as layer:
            return activated(dense(call, layer), layer.activation)
        case BatchNormalization():
            return normalization(call)
        case MaxPooling2D() as layer:
            return nn.MaxPool2d(layer.size, layer.strides, padding=symmetric_pads(call, layer))
        case Activation(activation=name):
            return ACTIVATIONS[name]()
        case ReLU():
            return nn.ReLU6()
        case Add():
            return Sum()
        case Flatten():
            return FlattenChannelsLast()
        case GlobalAveragePooling2D():
            return GlobalMean()
    raise TypeError(f"expected a layer that recording.py has, got {call.layer}")


def activated(module: nn.Module, activation: str | None) -> nn.Module:
    return nn.Sequential(module, ACTIVATIONS[activation]()) if activation else module


def symmetric_pads(call: Call, layer: Window) -> tuple[int, ...]:
    return tuple(after for _, after in layer.pads(call.input_shape))


def convolution(call: Call, layer: Window, groups: int) -> nn.Module:
    (_, kernel), *rest = call.weights.items()
    height, width, channels, filters = kernel.shape
    module = nn.Conv2d(
        call.input_shape[-1],
        channels if groups > 1 else filters,
        (height, width),
        layer.strides,
        symmetric_pads(call, layer),
        groups=groups,
        bias=bool(rest),
    )
    order = (2, 3, 0, 1) if groups > 1 else (3, 2, 0, 1)
    fill(module, weight=kernel.transpose(order), **dict(rest))
    return module


def dense(call: Call, layer: Dense) -> nn.Module:
    module = nn.Linear(call.input_shape[-1], layer.units)
    fill(module, weight=call.weights["kernel"].T, bias=call.weights["bias"])
    return module


def normalization(call: Call) -> nn.Module:
    # PyTorch's momentum is the share of the new batch, Keras's that of the old mean.
    module = nn.BatchNorm2d(
        call.input_shape[-1],
        eps=BatchNormalization.EPSILON,
        momentum=1 - BatchNormalization.MOMENTUM,
    )
    weights = call.weights
    fill(
        module,
        weight=weights["gamma"],
        bias=weights["beta"],
        running_mean=weights["moving_mean"],
        running_var=weights["moving_variance"],
    )
    return module


def fill(module: nn.Module, **arrays: Any) -> None:
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(array)))
