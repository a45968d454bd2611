"""Convolutions over sequences and images."""

from __future__ import annotations

from typing import Any

from .. import constraints, initializers, ops, regularizers
from ..accepted import Count
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .sliding import Sliding


class _Conv(Sliding):
    """A kernel ``(*kernel_size, channels / groups, filters)`` slid over the spatial axes."""

    def __init__(
        self,
        filters: Count,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: Count = 1,
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
        self.filters = int(filters)
        self.groups = int(groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
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


Convolution1D, Convolution2D = Conv1D, Conv2D
