"""Gradients as an update takes them: tensors, each of the shape and dtype of its weight."""

from __future__ import annotations

import warnings
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
