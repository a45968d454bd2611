"""Noise against overfitting, and penalties on activity. Inference passes through unchanged."""

from __future__ import annotations

import math
from typing import Any

from .. import ops, random, regularizers
from ..accepted import NonNegative, Share, ShareBelowOne
from ..errors import LayerError
from ..seeds import SeedGenerator
from ..tensor import KerasTensor
from .arguments import checked_format
from .base import Layer
from .sliding import image_spec


class _Noise(Layer):
    """Changes nothing at inference; draws from a stream of its own in training.

    Attributes:
        seed_generator: the stream.
    """

    supports_masking = True
    seed_generator: SeedGenerator
    rate: float

    @property
    def strength(self) -> float:
        """0 changes nothing in training either."""
        return self.rate

    def _draws_from(self, seed: int | None) -> None:
        self.seed = seed
        if self.strength > 0:
            self.seed_generator = SeedGenerator(seed, name=self.name)

    def call(self, inputs: KerasTensor, training: bool = False) -> KerasTensor:
        if not training or self.strength == 0:
            return inputs
        if not hasattr(self, "seed_generator"):  # it was 0 when the layer was made
            self._draws_from(self.seed)
        return self.disturbed(inputs)

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        """The inputs with the noise of training."""
        raise NotImplementedError


class Dropout(_Noise):
    """In training a share ``rate`` of the elements is 0, the others are made larger for it."""

    def __init__(
        self, rate: Share, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = float(rate)
        self.noise_shape = _checked_noise_shape(self, noise_shape)
        self._draws_from(seed)

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        return random.dropout(inputs, self.rate, self.noise_shape, self.seed_generator)


def _checked_noise_shape(layer: Layer, noise_shape: Any) -> tuple[int | None, ...] | None:
    """Sizes of 1 or more, None for those of the input."""
    if noise_shape is None:
        return None
    sizes = tuple(noise_shape) if isinstance(noise_shape, (list, tuple)) else ()
    if not sizes or not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
        raise LayerError(
            layer,
            "expected noise_shape as ints of 1 or more, and None for sizes of the input; "
            f"received {noise_shape!r}",
        )
    return sizes


class _SpatialDropout(_Noise):
    rank: int

    def __init__(
        self,
        rate: Share,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = float(rate)
        self.data_format = checked_format(self, data_format)
        self._draws_from(seed)
        self.input_spec = image_spec(self.rank, self.data_format)

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        space = (1,) * self.rank
        last = self.data_format == "channels_last"
        shape = (None, *space, None) if last else (None, None, *space)
        return random.dropout(inputs, self.rate, shape, self.seed_generator)


class SpatialDropout1D(_SpatialDropout):
    """``Dropout`` of whole channels of a sequence."""

    rank = 1

    def __init__(self, rate: Share, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    """``Dropout`` of whole channels of an image."""

    rank = 2


class SpatialDropout3D(_SpatialDropout):
    """``Dropout`` of whole channels of a volume."""

    rank = 3


class GaussianNoise(_Noise):
    """In training, normally distributed noise of deviation ``stddev`` is added."""

    def __init__(self, stddev: NonNegative, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = float(stddev)
        self._draws_from(seed)

    @property
    def strength(self) -> float:
        return self.stddev

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        return inputs + random.normal(
            inputs.sizes, 0.0, self.stddev, inputs.dtype, self.seed_generator
        )


class GaussianDropout(_Noise):
    """In training, each element is multiplied by noise around 1."""

    def __init__(self, rate: ShareBelowOne, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = float(rate)
        self._draws_from(seed)

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return inputs * random.normal(
            inputs.sizes, 1.0, deviation, inputs.dtype, self.seed_generator
        )


# Klambauer et al., "Self-normalizing neural networks" (2017): the alpha and the scale of selu.
SELU_FLOOR = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


class AlphaDropout(_Noise):
    """``Dropout`` for ``selu``: to its least value, after which mean and variance are restored."""

    def __init__(
        self, rate: ShareBelowOne, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = float(rate)
        self.noise_shape = _checked_noise_shape(self, noise_shape)
        self._draws_from(seed)

    def disturbed(self, inputs: KerasTensor) -> KerasTensor:
        shape = random.resolved_shape(inputs.sizes, self.noise_shape)
        kept = random.uniform(shape, seed=self.seed_generator) >= self.rate
        slope = ((1 - self.rate) * (1 + self.rate * SELU_FLOOR**2)) ** -0.5
        offset = -slope * SELU_FLOOR * self.rate
        return ops.where(kept, inputs, SELU_FLOOR) * slope + offset


class ActivityRegularization(Layer):
    """Passes its input through, and adds penalties on it to the loss.

    Args:
        l1: times the sum of the magnitudes, a sample.
        l2: times the sum of the squares, a sample.
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return inputs
