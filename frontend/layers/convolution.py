"""Convolutions over sequences and images: plain, per channel, separable, transposed."""

from __future__ import annotations

from typing import Any

from .. import activations, initializers, ops
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .arguments import checked_format, choice, positive, sizes
from .base import Layer
from .core import known_size
from .spec import InputSpec

_LAYOUTS = {
    (1, "channels_last"): "(batch, steps, channels)",
    (1, "channels_first"): "(batch, channels, steps)",
    (2, "channels_last"): "(batch, height, width, channels)",
    (2, "channels_first"): "(batch, channels, height, width)",
}


def image_spec(rank: int, form: str) -> InputSpec:
    """What layers over ``rank`` spatial axes accept."""
    return InputSpec(ndim=rank + 2, layout=_LAYOUTS[rank, form])


class _Convolution(Layer):
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
        self.bias_regularizer = bias_regularizer
        self.bias_constraint = bias_constraint
        self.bias: Variable | None = None
        self.input_spec = image_spec(self.rank, self.data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise LayerError(
                self,
                "expected strides or dilation_rate to be 1; received "
                f"strides={self.strides}, dilation_rate={self.dilation_rate}",
            )

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

    def add_bias(self, filters: int) -> None:
        if self.use_bias:
            self.bias = self.add_kernel((filters,), "bias")

    def finished(self, result: KerasTensor) -> KerasTensor:
        """The result with bias and activation."""
        if self.bias is not None:
            bias: Any = self.bias
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (1, -1, *(1,) * self.rank))
            result = ops.add(result, bias)
        return self.activation(result)


class _Conv(_Convolution):
    """A kernel ``(*kernel_size, channels / groups, filters)`` slid over the spatial axes."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(self, "filters", filters)
        self.groups = positive(self, "groups", groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = kernel_regularizer
        self.kernel_constraint = kernel_constraint
        self.kernel: Variable | None = None
        if self.filters % self.groups:
            raise LayerError(
                self,
                f"expected filters as a multiple of groups; received filters={filters}, "
                f"groups={groups}",
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        if channels % self.groups:
            raise LayerError(
                self,
                f"expected input channels as a multiple of groups={self.groups}; received "
                f"{channels} channels, shape {input_shape}",
            )
        self.kernel = self.add_kernel((*self.kernel_size, channels // self.groups, self.filters))
        self.add_bias(self.filters)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return self.finished(
            ops.conv(
                inputs,
                self.kernel,
                self.strides,
                self.padding,
                self.data_format,
                self.dilation_rate,
            )
        )


class Conv1D(_Conv):
    """Convolution over steps: ``(batch, steps, channels)`` to ``(batch, steps', filters)``.

    ``padding="causal"`` lets a result depend on its own and earlier steps only.
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """Convolution over images: ``(batch, height, width, channels)`` to ``(..., filters)``."""

    rank = 2


class _DepthwiseConv(_Convolution):
    """Filters for each channel: kernel ``(*kernel_size, channels, depth_multiplier)``."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = depthwise_regularizer
        self.depthwise_constraint = depthwise_constraint
        self.kernel: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name="kernel",
        )
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return self.finished(
            ops.depthwise_conv(
                inputs,
                self.kernel,
                self.strides,
                self.padding,
                self.data_format,
                self.dilation_rate,
            )
        )


class DepthwiseConv1D(_DepthwiseConv):
    """One filter or more for each channel of a sequence."""

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """One filter or more for each channel of an image."""

    rank = 2


class _SeparableConv(_Convolution):
    """A depthwise convolution, then one of size 1 across the channels."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(self, "filters", filters)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = depthwise_regularizer
        self.depthwise_constraint = depthwise_constraint
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = pointwise_regularizer
        self.pointwise_constraint = pointwise_constraint
        self.depthwise_kernel: Variable | None = None
        self.pointwise_kernel: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        inner = channels * self.depth_multiplier
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name="depthwise_kernel",
        )
        self.pointwise_kernel = self.add_weight(
            (*(1,) * self.rank, inner, self.filters),
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            name="pointwise_kernel",
        )
        self.add_bias(self.filters)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return self.finished(
            ops.separable_conv(
                inputs,
                self.depthwise_kernel,
                self.pointwise_kernel,
                self.strides,
                self.padding,
                self.data_format,
                self.dilation_rate,
            )
        )


class SeparableConv1D(_SeparableConv):
    """A depthwise, then a pointwise convolution over a sequence."""

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise, then a pointwise convolution over an image."""

    rank = 2


class _ConvTranspose(_Convolution):
    """The transpose of a convolution: kernel ``(*kernel_size, filters, channels)``."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(self, "filters", filters)
        self.output_padding = output_padding
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = kernel_regularizer
        self.kernel_constraint = kernel_constraint
        self.kernel: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        self.kernel = self.add_kernel((*self.kernel_size, self.filters, channels))
        self.add_bias(self.filters)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return self.finished(
            ops.conv_transpose(
                inputs,
                self.kernel,
                self.strides,
                self.padding,
                self.output_padding,
                self.data_format,
                self.dilation_rate,
            )
        )


class Conv1DTranspose(_ConvTranspose):
    """The transpose of ``Conv1D``: makes sequences longer."""

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """The transpose of ``Conv2D``: makes images larger."""

    rank = 2


Convolution1D, Convolution2D = Conv1D, Conv2D
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
Convolution2DTranspose, Convolution1DTranspose = Conv2DTranspose, Conv1DTranspose
