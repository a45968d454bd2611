"""Layers of several inputs: sums, products, extremes, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..errors import LayerError, shown
from ..ops.core import normal_axis
from ..tensor import KerasTensor
from .base import Layer


class _Merge(Layer):
    """Folds a list of inputs, which broadcast, two by two."""

    supports_masking = True

    def call(self, inputs: Any) -> KerasTensor:
        return self.merge(_aligned(self.checked(inputs)))

    def checked(self, inputs: Any) -> list[KerasTensor]:
        good = isinstance(inputs, (list, tuple)) and inputs
        if not good:
            shown = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else repr(inputs)
            raise LayerError(self, f"expected a list of inputs; received {shown}")
        return list(inputs)

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Elements that every input's mask lets through."""
        masks = [mask for mask in previous_mask or [] if mask is not None]
        if len(masks) < len(inputs):
            return None
        return _folded(masks, ops.logical_or)


def _aligned(inputs: list[KerasTensor]) -> list[KerasTensor]:
    """Inputs of fewer axes get new ones after the batch."""
    rank = max(each.ndim for each in inputs)
    return [_with_rank(each, rank) for each in inputs]


def _with_rank(value: KerasTensor, rank: int) -> KerasTensor:
    missing = rank - value.ndim
    if not missing:
        return value
    batch, *rest = value.sizes
    return ops.reshape(value, (batch, *(1,) * missing, *rest))


def _folded(inputs: list[Any], function: Callable[[Any, Any], Any]) -> Any:
    result = inputs[0]
    for each in inputs[1:]:
        result = function(result, each)
    return result


class Add(_Merge):
    """The sum of its inputs."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        return _folded(inputs, ops.add)


class Subtract(_Merge):
    """The first of two inputs less the second."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        if len(inputs) != 2:
            raise LayerError(self, f"expected exactly 2 inputs; received {len(inputs)}")
        return ops.subtract(*inputs)


class Multiply(_Merge):
    """The product of its inputs."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        return _folded(inputs, ops.multiply)


class Average(_Merge):
    """The mean of its inputs."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        return _folded(inputs, ops.add) / len(inputs)


class Maximum(_Merge):
    """The largest of its inputs, element by element."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        return _folded(inputs, ops.maximum)


class Minimum(_Merge):
    """The smallest of its inputs, element by element."""

    def merge(self, inputs: list[KerasTensor]) -> KerasTensor:
        return _folded(inputs, ops.minimum)


class Concatenate(_Merge):
    """Its inputs side by side along ``axis``; their other sizes are equal."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> KerasTensor:
        tensors = self.checked(inputs)
        shapes = [tensor.shape for tensor in tensors]
        if len({len(shape) for shape in shapes}) > 1 or not self._others_agree(shapes):
            listed = ", ".join(map(str, shapes))
            raise LayerError(
                self,
                f"expected inputs of equal sizes except at axis {self.axis}; received {listed}",
            )
        return ops.concatenate(tensors, self.axis)

    def _others_agree(self, shapes: list[tuple[int | None, ...]]) -> bool:
        place = normal_axis(self.axis, len(shapes[0]))
        for axis, sizes in enumerate(zip(*shapes, strict=True)):
            if axis != place and len(set(sizes) - {None}) > 1:
                return False
        return True

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The masks side by side, where an input without one lets everything through."""
        masks = previous_mask or []
        if all(mask is None for mask in masks):
            return None
        place = normal_axis(self.axis, inputs[0].ndim)
        full = [
            ops.ones_like(each, "bool")
            if mask is None
            else ops.broadcast_to(_trailing(mask, each.ndim), each.sizes)
            for each, mask in zip(inputs, masks, strict=True)
        ]
        joined = ops.concatenate(full, place)
        return ops.all(joined, -1)


def _trailing(mask: KerasTensor, rank: int) -> KerasTensor:
    return ops.reshape(mask, (*mask.sizes, *(1,) * (rank - mask.ndim)))


class Dot(Layer):
    """Products of two inputs summed over one axis of each, sample by sample.

    Args:
        axes: an axis of both inputs, or one of each; the batch is axis 0.
        normalize: divides by the lengths: the cosine of the angle.
    """

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else axes
        good = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not good or not all(isinstance(axis, int) and axis != 0 for axis in pair):
            raise LayerError(
                self,
                f"expected axes as an int or two ints, none the batch (0); received {shown(axes)}",
            )
        self.axes = axes
        self.normalize = normalize

    def call(self, inputs: Any) -> KerasTensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise LayerError(self, f"expected a list of 2 inputs; received {shown(inputs)}")
        left, right = inputs
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        first, second = normal_axis(pair[0], left.ndim), normal_axis(pair[1], right.ndim)
        if left.sizes[first] != right.sizes[second]:
            raise LayerError(
                self,
                f"expected equal sizes at axes {pair}; received {left.shape} and {right.shape}",
            )
        if self.normalize:
            left = ops.unit_normalization(left, first)
            right = ops.unit_normalization(right, second)
        return _batched_dot(left, right, first, second)


def _batched_dot(left: KerasTensor, right: KerasTensor, first: int, second: int) -> KerasTensor:
    if left.ndim == right.ndim == 2:
        return ops.sum(left * right, 1, keepdims=True)
    rows = ops.moveaxis(left, first, -1)
    columns = ops.moveaxis(right, second, 1)
    batch, *kept_left, inner = rows.sizes
    kept_right = columns.sizes[2:]
    flat_rows = ops.reshape(rows, (batch, _count(kept_left), inner))
    flat_columns = ops.reshape(columns, (batch, inner, _count(kept_right)))
    product = ops.matmul(flat_rows, flat_columns)
    return ops.reshape(product, (batch, *kept_left, *kept_right))


def _count(sizes: Any) -> Any:
    total = 1
    for size in sizes:
        total = size * total
    return total


def _merging(layer: type[Layer], doc: str) -> Callable[..., Any]:
    def function(inputs: Any, **kwargs: Any) -> Any:
        return layer(**kwargs)(inputs)

    function.__name__ = layer.__name__.lower()
    function.__doc__ = doc
    return function


add = _merging(Add, "``Add`` as a function of a list.")
subtract = _merging(Subtract, "``Subtract`` as a function of a list.")
multiply = _merging(Multiply, "``Multiply`` as a function of a list.")
average = _merging(Average, "``Average`` as a function of a list.")
maximum = _merging(Maximum, "``Maximum`` as a function of a list.")
minimum = _merging(Minimum, "``Minimum`` as a function of a list.")


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """``Concatenate`` as a function of a list."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """``Dot`` as a function of a list."""
    return Dot(axes, **kwargs)(inputs)
