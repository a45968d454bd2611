"""Scaling by fixed or measured statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..accepted import Axes
from ..dtypes import as_array
from ..errors import LayerError
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .core import known_size
from .data_layer import arrays_of
from .normalization import axis_in


class Rescaling(Layer):
    """``inputs * scale + offset``."""

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for value in (scale, offset):
            _number_or_array(value, self.dtype)  # raises where it is none
        self.scale = scale
        self.offset = offset

    def call(self, inputs: KerasTensor) -> KerasTensor:
        scale, offset = (_number_or_array(each, self.dtype) for each in (self.scale, self.offset))
        return ops.cast(inputs, self.dtype) * scale + offset


def _number_or_array(value: Any, dtype: str) -> Any:
    return value if isinstance(value, (int, float)) else as_array(value).astype(dtype)


class Normalization(Layer):
    """(x - mean) / sqrt(variance), the statistics given or measured by ``adapt``.

    Weights (where they are measured): mean, variance, count.
    """

    def __init__(
        self,
        axis: Axes | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise LayerError(
                self,
                "expected mean and variance together, or neither; received "
                f"mean={mean}, variance={variance}",
            )
        self.axis = axes
        self.mean = mean
        self.variance = variance
        self.invert = invert
        self.adapt_mean: Variable | None = None
        self.adapt_variance: Variable | None = None
        self.count: Variable | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.mean is not None:
            return
        axes = [axis_in(self, axis, input_shape) for axis in self.axis]
        shape = tuple(known_size(self, input_shape, axis) for axis in axes)
        self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        self.built = True

    def adapt(self, data: Any) -> None:
        """Measures mean and variance over all axes but ``axis``.

        Args:
            data: an array; or what gives batches, such as a generator or a list of arrays.

        Raises:
            ValueError: mean and variance were given; there are no data.
        """
        if self.mean is not None:
            raise LayerError(self, "expected no mean and variance beside adapt(); some were given")
        count, mean, variance = 0, np.zeros(()), np.zeros(())
        for batch in arrays_of(data):
            size, own, spread = self._measured(batch)
            count += size
            share = size / count
            moved = own * share + mean * (1 - share)
            # Each part's variance about its own mean, and that of the means about the new one.
            variance = (variance + (mean - moved) ** 2) * (1 - share)
            variance = variance + (spread + (own - moved) ** 2) * share
            mean = moved
        if not count:
            raise LayerError(self, "adapt: expected data; there were none")
        assert self.adapt_mean is not None and self.adapt_variance is not None
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _measured(self, batch: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """How many numbers of a batch make each mean and variance, and these."""
        array = batch.astype(self.dtype)
        array = array[:, None] if array.ndim == 1 else array
        if not self.built:
            self.build((None, *array.shape[1:]))
        kept = {axis % array.ndim for axis in self.axis}
        over = tuple(axis for axis in range(array.ndim) if axis not in kept)
        mean = array.mean(over)
        return array.size // max(mean.size, 1), mean, array.var(over)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        inputs = ops.cast(inputs, self.dtype)
        given = self.mean is not None
        kept = {axis % inputs.ndim for axis in self.axis}
        shape = tuple(inputs.sizes[axis] if axis in kept else 1 for axis in range(inputs.ndim))
        statistics = (self.mean, self.variance) if given else (self.adapt_mean, self.adapt_variance)
        mean, variance = (self._statistic(each, shape) for each in statistics)
        deviation = ops.maximum(ops.sqrt(variance), 1e-7)
        return mean + inputs * deviation if self.invert else (inputs - mean) / deviation

    def _statistic(self, value: Any, shape: Any) -> Any:
        if isinstance(value, Variable):
            return ops.reshape(value, shape)
        array = np.asarray(value, self.dtype)
        return ops.reshape(array, shape) if array.ndim else array
