"""Layers that move elements around: flatten, reshape, permute, repeat, pad, crop, enlarge."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...runtime.dim import Size
from .. import ops
from ..accepted import Count, Ints
from ..errors import LayerError
from ..ops.shaping import divide_exactly, sizes_of
from ..tensor import KerasTensor
from .arguments import checked_format, choice, sizes
from .base import Layer
from .sliding import image_spec
from .spec import InputSpec


class Flatten(Layer):
    """All axes but the batch as one: ``(batch, a, b)`` to ``(batch, a * b)``."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format(self, data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.ndim), 1))
        batch, *rest = inputs.sizes
        return ops.reshape(inputs, (batch, prod(rest, start=1)))


class Reshape(Layer):
    """The axes after the batch in another shape; one size may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        wanted = tuple(target_shape) if isinstance(target_shape, (list, tuple)) else None
        if wanted is None or not all(isinstance(size, (int, np.integer)) for size in wanted):
            raise LayerError(
                self, f"expected target_shape as a tuple of ints; received {target_shape!r}"
            )
        if wanted.count(-1) > 1 or min(wanted, default=1) < -1:
            raise LayerError(self, f"expected at most one -1 in target_shape; received {wanted}")
        self.target_shape = wanted

    def call(self, inputs: KerasTensor) -> KerasTensor:
        batch, *rest = inputs.sizes
        elements = prod(rest, start=1)
        known = prod([size for size in self.target_shape if size != -1], start=1)
        left = divide_exactly(elements, known)
        if left is None or (-1 not in self.target_shape and left != 1):
            raise LayerError(
                self,
                f"expected an input that reshapes to {self.target_shape}; received shape "
                f"{inputs.shape}, which has {elements} elements a sample",
            )
        target = tuple(left if size == -1 else size for size in self.target_shape)
        return ops.reshape(inputs, (batch, *target))


class Permute(Layer):
    """The axes after the batch in another order, counted from 1: ``(2, 1)`` swaps two."""

    def __init__(self, dims: Ints, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = sizes_of(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise LayerError(
                self, f"expected dims as an order of 1 to {len(self.dims)}; received {self.dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """The input ``n`` times: ``(batch, features)`` to ``(batch, n, features)``."""

    def __init__(self, n: Count, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2, layout="(batch, features)")

    def call(self, inputs: KerasTensor) -> KerasTensor:
        batch, features = inputs.sizes
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))


Pairs = tuple[tuple[int, int], ...]


def _pairs(layer: Layer, name: str, value: Any, rank: int) -> Pairs:
    """An int, an int for each axis, or a pair of ints for each axis."""
    if isinstance(value, (int, np.integer)):
        value = (int(value),) * rank
    if rank == 1 and isinstance(value, (list, tuple)) and len(value) == 2:
        value = (tuple(value),)
    good = isinstance(value, (list, tuple)) and len(value) == rank
    pairs = [sizes(layer, name, each, 2, least=0) for each in value] if good else None
    if pairs is None:
        raise LayerError(
            layer, f"expected {name} as an int, {rank} ints or {rank} pairs; received {value!r}"
        )
    return tuple((low, high) for low, high in pairs)


class _Border(Layer):
    """What padding and cropping share: pairs of widths for the spatial axes.

    They are in the attribute that the option gives its name to; of one axis, that is the pair.
    """

    rank: int

    def __init__(self, option: str, value: Any, form: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format(self, form)
        self.pairs = _pairs(self, option, value, self.rank)
        setattr(self, option, self.pairs[0] if self.rank == 1 else self.pairs)
        self.input_spec = image_spec(self.rank, self.data_format)

    @property
    def everywhere(self) -> Pairs:
        """The pairs for all axes, (0, 0) for batch and channels."""
        if self.data_format == "channels_last":
            return ((0, 0), *self.pairs, (0, 0))
        return ((0, 0), (0, 0), *self.pairs)


class _ZeroPadding(_Border):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__("padding", padding, data_format, **kwargs)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return ops.pad(inputs, self.everywhere)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around the image: an int, (height, width), or ((top, bottom), (left, right))."""

    rank = 2


class _Cropping(_Border):
    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__("cropping", cropping, data_format, **kwargs)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        cuts = self.everywhere
        for size, (low, high) in zip(inputs.shape, cuts, strict=True):
            if size is not None and low + high >= size:
                raise LayerError(
                    self, f"cropping {self.pairs} leaves nothing of shape {inputs.shape}"
                )
        pairs = zip(inputs.sizes, cuts, strict=True)
        return inputs[tuple(slice(low, _end(size, high)) for size, (low, high) in pairs)]


def _end(size: Size, cut: int) -> int | None:
    return -cut if cut else None


class Cropping1D(_Cropping):
    """Steps cut off at both ends."""

    rank = 1


class Cropping2D(_Cropping):
    """Rows and columns cut off: an int, (height, width), or ((top, bottom), (left, right))."""

    rank = 2

    # Unlike Cropping1D, and as in Keras, it cuts nothing off unless told to.
    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


class UpSampling1D(Layer):
    """Each step ``size`` times."""

    def __init__(self, size: Count = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = int(size)
        self.input_spec = image_spec(1, "channels_last")

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return ops.repeat(inputs, self.size, 1)


class UpSampling2D(Layer):
    """Images ``size`` times as large, by repetition ("nearest") or "bilinear" interpolation."""

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = sizes(self, "size", size, 2)
        self.data_format = checked_format(self, data_format)
        self.interpolation = choice(
            self, "interpolation", interpolation.lower(), ("nearest", "bilinear")
        )
        self.input_spec = image_spec(2, self.data_format)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        first = 1 if self.data_format == "channels_last" else 2
        for axis, factor in enumerate(self.size, start=first):
            if self.interpolation == "nearest":
                inputs = ops.repeat(inputs, factor, axis)
            else:
                inputs = _interpolated(inputs, factor, axis)
        return inputs


def _interpolated(image: KerasTensor, factor: int, axis: int) -> KerasTensor:
    """``image`` stretched along an axis, pixels taken at their centres, the edges repeated.

    Each pixel gives ``factor`` results, each a mix of it and one neighbour.
    """
    every = (slice(None),) * axis
    before = ops.concatenate([image[(*every, slice(0, 1))], image[(*every, slice(0, -1))]], axis)
    after = ops.concatenate(
        [image[(*every, slice(1, None))], image[(*every, slice(-1, None))]], axis
    )
    phases = []
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5
        neighbour = before if offset < 0 else after
        phases.append(image * (1 - abs(offset)) + neighbour * abs(offset))
    sizes = list(image.sizes)
    sizes[axis] = sizes[axis] * factor
    return ops.reshape(ops.stack(phases, axis + 1), sizes)
