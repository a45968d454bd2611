"""Pooling: the largest element or the mean of windows, or of whole sequences and images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..tensor import KerasTensor
from .arguments import checked_format, choice, sizes
from .base import Layer
from .sliding import image_spec


class _Pooling(Layer):
    """Windows of ``pool_size`` every ``strides`` elements (as many as the window is wide)."""

    rank: int
    pool: Callable[..., Any]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = sizes(self, "pool_size", pool_size, self.rank)
        self.strides = sizes(
            self, "strides", self.pool_size if strides is None else strides, self.rank
        )
        lowered = padding.lower() if isinstance(padding, str) else padding
        self.padding = choice(self, "padding", lowered, ("valid", "same"))
        self.data_format = checked_format(self, data_format)
        self.input_spec = image_spec(self.rank, self.data_format)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        pool = type(self).pool
        return pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(_Pooling):
    """The largest element of each window: ``(batch, steps, channels)``."""

    rank = 1
    pool = staticmethod(ops.max_pool)


class MaxPooling2D(_Pooling):
    """The largest element of each window: ``(batch, height, width, channels)``."""

    rank = 2
    pool = staticmethod(ops.max_pool)


class AveragePooling1D(_Pooling):
    """The mean of each window; padding does not count."""

    rank = 1
    pool = staticmethod(ops.average_pool)


class AveragePooling2D(_Pooling):
    """The mean of each window; padding does not count."""

    rank = 2
    pool = staticmethod(ops.average_pool)


class _GlobalPooling(Layer):
    """One number per channel."""

    rank: int
    reduce: Callable[..., Any]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format(self, data_format)
        self.keepdims = bool(keepdims)
        self.input_spec = image_spec(self.rank, self.data_format)

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return type(self).reduce(inputs, self.spatial_axes, self.keepdims)


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over all steps; masked steps do not count."""

    rank = 1
    reduce = staticmethod(ops.mean)
    supports_masking = True

    def call(self, inputs: KerasTensor, mask: Any = None) -> KerasTensor:
        if mask is None:
            return super().call(inputs)
        axis = self.spatial_axes[0]
        weights = ops.cast(ops.expand_dims(mask, 3 - axis), inputs.dtype)
        total = ops.sum(inputs * weights, axis, self.keepdims)
        return total / ops.sum(weights, axis, self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of the whole image."""

    rank = 2
    reduce = staticmethod(ops.mean)


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest element of all steps."""

    rank = 1
    reduce = staticmethod(ops.max)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest element of the whole image."""

    rank = 2
    reduce = staticmethod(ops.max)


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
