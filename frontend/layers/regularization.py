"""Noise against overfitting. It is for training: inference passes through unchanged."""

from __future__ import annotations

from typing import Any

from ..errors import LayerError
from ..tensor import KerasTensor
from .arguments import checked_format, inference_only
from .arguments import rate as checked_rate
from .base import Layer
from .sliding import image_spec


class _Noise(Layer):
    """Changes nothing at inference."""

    supports_masking = True

    def call(self, inputs: KerasTensor, training: bool = False) -> KerasTensor:
        inference_only(self, training)
        return inputs


class Dropout(_Noise):
    """In training a share ``rate`` of the elements is 0, the others are made larger for it."""

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, "rate", rate)
        self.noise_shape = noise_shape
        self.seed = seed


class _SpatialDropout(_Noise):
    rank: int

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, "rate", rate)
        self.data_format = checked_format(self, data_format)
        self.seed = seed
        self.input_spec = image_spec(self.rank, self.data_format)


class SpatialDropout1D(_SpatialDropout):
    """``Dropout`` of whole channels of a sequence."""

    rank = 1


class SpatialDropout2D(_SpatialDropout):
    """``Dropout`` of whole channels of an image."""

    rank = 2


class GaussianNoise(_Noise):
    """In training, normally distributed noise of deviation ``stddev`` is added."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(stddev, (int, float)) or stddev < 0:
            raise LayerError(self, f"expected stddev as a number of 0 or more; received {stddev!r}")
        self.stddev = float(stddev)
        self.seed = seed


class GaussianDropout(_Noise):
    """In training, each element is multiplied by noise around 1."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, "rate", rate, below_one=True)
        self.seed = seed
