"""Gradients as an update takes them: tensors that fit their weights, and held to a size."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..dtypes import as_array
from ..errors import UsageError
from ..scope import current_scope
from ..variable import Variable


def present(gradients: list[Any], weights: list[Variable]) -> tuple[list[Any], list[Variable]]:
    """Gradients as tensors of the dtypes of their weights; weights without one are left out.

    Raises:
        ValueError: there is none, or one has another shape than its weight.
    """
    pairs = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
    if not pairs:
        raise UsageError(
            "expected a gradient for some weight; received None for each. Does the loss depend on "
            "the weights?"
        )
    if len(pairs) < len(weights):
        missing = [w.path for g, w in zip(gradients, weights, strict=True) if g is None]
        warnings.warn(
            f"there are no gradients for {', '.join(missing)}, which stay as they are",
            stacklevel=4,
        )
    return [_fitting(*pair) for pair in pairs], [weight for _, weight in pairs]


def _fitting(gradient: Any, weight: Variable) -> Any:
    if current_scope() is None:
        tensor: Any = as_array(gradient).astype(weight.dtype, copy=False)
    else:
        tensor = ops.cast(gradient, weight.dtype)
    if tuple(tensor.shape) != weight.shape:
        raise UsageError(
            f"expected a gradient of shape {weight.shape} for {weight.path}; received shape "
            f"{tuple(tensor.shape)}"
        )
    return tensor


def clipped_by_norm(gradient: Any, limit: float) -> Any:
    """A gradient scaled down to a length of ``limit`` where it is longer."""
    length = ops.sqrt(ops.sum(ops.square(gradient)))
    return ops.multiply(gradient, ops.divide(limit, ops.maximum(length, limit)))


def clipped_by_value(gradient: Any, limit: float) -> Any:
    """A gradient with every element held between ``-limit`` and ``limit``."""
    return ops.clip(gradient, -limit, limit)


def clipped_together(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Gradients scaled alike, so that the length of all of them as one vector is ``limit`` at most.

    All become NaN where that length is not finite, as in Keras and TensorFlow: nothing is hidden.
    """
    squares = [ops.sum(ops.square(gradient)) for gradient in gradients]
    length = ops.sqrt(sum(squares[1:], start=squares[0]))
    scale = ops.divide(limit, ops.maximum(length, limit))
    scale = ops.where(ops.isfinite(length), scale, math.nan)
    return [ops.multiply(gradient, scale) for gradient in gradients]
