"""Puts a contraction's weights in the order its kernel streams them: panels of channels."""

from __future__ import annotations

import numpy as np

from ..ir.types import Size, TensorType
from ..layout import Packing


def packed_elements(type_: TensorType, packing: Packing) -> Size:
    """Elements of the packed array: channels are filled up to whole panels."""
    batch: Size = 1
    for size in type_.shape[: packing.batch_axes]:
        batch = batch * size
    depth: Size = 1
    for size in type_.shape[packing.batch_axes : -1]:
        depth = depth * size
    channels = type_.shape[-1] // packing.groups
    panels = (channels + packing.width - 1) // packing.width
    return batch * packing.groups * panels * depth * packing.width


def pack(weights: np.ndarray, packing: Packing) -> np.ndarray:
    """``(batch..., depth..., groups * channels)`` to ``[batch, group, panel, depth, width]``."""
    batch = int(np.prod(weights.shape[: packing.batch_axes], dtype=np.int64))
    channels = weights.shape[-1] // packing.groups
    matrix = weights.reshape(batch, -1, packing.groups, channels).transpose(0, 2, 1, 3)
    panels = -(-channels // packing.width)
    depth = matrix.shape[2]
    if panels * packing.width != channels:
        fill = panels * packing.width - channels
        matrix = np.pad(matrix, ((0, 0), (0, 0), (0, 0), (0, fill)))
    shape = (batch, packing.groups, depth, panels, packing.width)
    return np.ascontiguousarray(matrix.reshape(shape).swapaxes(2, 3), dtype=np.float32)
