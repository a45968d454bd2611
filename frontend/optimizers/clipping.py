"""Gradients held to a size, each by itself or all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import ops


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
