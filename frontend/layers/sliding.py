"""What layers that slide over sequences and images share."""

from __future__ import annotations

from typing import Any

from .. import activations, constraints, initializers, ops, regularizers
from ..accepted import Count
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .arguments import checked_format, choice, sizes
from .base import Layer
from .core import known_size
from .spec import InputSpec

_LAYOUTS = {
    (1, "channels_last"): "(batch, steps, channels)",
    (1, "channels_first"): "(batch, channels, steps)",
    (2, "channels_last"): "(batch, height, width, channels)",
    (2, "channels_first"): "(batch, channels, height, width)",
    (3, "channels_last"): "(batch, depth, height, width, channels)",
    (3, "channels_first"): "(batch, channels, depth, height, width)",
}


def image_spec(rank: int, form: str) -> InputSpec:
    """What layers over ``rank`` spatial axes accept."""
    return InputSpec(ndim=rank + 2, layout=_LAYOUTS[rank, form])


def check_strides(layer: Any) -> None:
    """Raises ``ValueError`` for a layer of both strides and dilation."""
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise LayerError(
            layer,
            "expected strides or dilation_rate to be 1; received "
            f"strides={layer.strides}, dilation_rate={layer.dilation_rate}",
        )


class Sliding(Layer):
    """What the convolutions share: strides, padding, format, bias and activation."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        form: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.rank)
        self.strides = sizes(self, "strides", strides, self.rank)
        self.dilation_rate = sizes(self, "dilation_rate", dilation_rate, self.rank)
        lowered = padding.lower() if isinstance(padding, str) else padding
        self.padding = choice(self, "padding", lowered, self.paddings)
        self.data_format = checked_format(self, form)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None
        self.input_spec = image_spec(self.rank, self.data_format)
        check_strides(self)

    @property
    def channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def input_channels(self, input_shape: tuple[int | None, ...]) -> int:
        """The number of channels, which the input then has to keep."""
        channels = known_size(self, input_shape, self.channel_axis)
        self.input_spec = InputSpec(
            ndim=self.rank + 2,
            axes={self.channel_axis: channels},
            layout=_LAYOUTS[self.rank, self.data_format],
        )
        return channels

    def add_kernel(self, shape: tuple[int, ...], kind: str = "kernel") -> Variable:
        return self.add_weight(
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=kind,
        )

    def add_bias(self, filters: Count) -> None:
        if self.use_bias:
            self.bias = self.add_kernel((filters,), "bias")

    def finished(self, result: KerasTensor) -> KerasTensor:
        """The result with bias and activation."""
        if self.bias is not None:
            bias: Any = self.bias
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (1, -1, *(1,) * self.rank))
            result = ops.add(result, bias)
        return activations.get(self.activation)(result)
