"""Images by turns: the phases of a result whose window moves by less than a pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.graph import REQUIRED, Op, Sample
from ..ir.kinds import Interleaving, NoGrad
from ..ir.types import TensorType
from .registry import register
from .rules import want_rank, want_same_dtype


def _type(*types: TensorType, steps: tuple[int, int], size: tuple[int, int]) -> TensorType:
    pairs = [(name, value) for name, value in (("steps", steps), ("size", size))]
    for name, value in pairs:
        if len(value) != 2 or not all(isinstance(n, int) and n > 0 for n in value):
            raise ValueError(f"expected two positive integers as {name}, got {value!r}")
    if len(types) != steps[0] * steps[1]:
        raise ValueError(f"expected {steps[0]} x {steps[1]} operands, got {len(types)}")
    want_same_dtype(*types)
    want_rank("images (N, H, W, C)", types[0], 4)
    least = tuple(-(-n // step) for n, step in zip(size, steps, strict=True))
    fits = (isinstance(n, int) and n >= m for n, m in zip(types[0].shape[1:3], least, strict=True))
    if any(other != types[0] for other in types) or not all(fits):
        raise ValueError(f"expected equal images of {least} or more, got {types}")
    return types[0].with_shape((types[0].shape[0], *size, types[0].shape[3]))


def _interleave(*arrays: Any, steps: tuple[int, int], size: tuple[int, int]) -> Any:
    images, _, _, channels = arrays[0].shape
    result = np.empty((images, *size, channels), arrays[0].dtype)
    for index, array in enumerate(arrays):
        row, column = divmod(index, steps[1])
        part = result[:, row :: steps[0], column :: steps[1]]
        part[...] = array[:, : part.shape[1], : part.shape[2]]
    return result


interleave = register(
    Op(
        "interleave",
        _type,
        _interleave,
        Interleaving(),
        {"steps": REQUIRED, "size": REQUIRED},
        NoGrad("differentiate before the pass unpad"),
        (
            Sample(("f32[2, 3, 2, 5]",) * 2, {"steps": (2, 1), "size": (6, 2)}),
            Sample(("f32[2, 3, 2, 4]",) * 6, {"steps": (2, 3), "size": (5, 4)}),
        ),
        "Pixel (i, j) of operand r * steps[1] + c stands at (i * steps[0] + r, j * steps[1] + c) "
        "of images of this size; pixels beyond it are left out.",
    )
)
