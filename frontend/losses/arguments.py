"""What loss functions take: targets and predictions as tensors of one dtype, of shapes that fit."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import UsageError
from ..ops.core import floating, tensor
from ..tensor import KerasTensor
from .weighting import matched_ranks

Pair = tuple[KerasTensor, KerasTensor]


def pair(name: str, y_true: Any, y_pred: Any) -> Pair:
    """Targets and predictions that are compared element by element.

    Raises:
        ValueError: the shapes differ otherwise than by sizes of 1.
    """
    true, pred = matched_ranks(*_tensors(y_true, y_pred))
    if not _fit(true, pred, ones=True):
        raise _mismatch(name, true, pred)
    return true, pred


def same_shape(name: str, y_true: Any, y_pred: Any, hint: str = "") -> Pair:
    """As ``pair``, of the very same shape; ``hint`` tells what else the user may have meant."""
    true, pred = _tensors(y_true, y_pred)
    if not _fit(true, pred, ones=False):
        raise _mismatch(name, true, pred, hint)
    return true, pred


def _tensors(y_true: Any, y_pred: Any) -> Pair:
    pred = tensor(floating(y_pred))
    return ops.convert_to_tensor(y_true, pred.dtype), pred


def _fit(true: KerasTensor, pred: KerasTensor, ones: bool) -> bool:
    pairs = zip(true.shape, pred.shape, strict=False)
    sizes = all(a == b or None in (a, b) or (ones and 1 in (a, b)) for a, b in pairs)
    return true.ndim == pred.ndim and sizes


def _mismatch(name: str, true: KerasTensor, pred: KerasTensor, hint: str = "") -> UsageError:
    return UsageError(
        f"{name}: expected y_true of the shape of y_pred, {pred.shape}; received {true.shape}. "
        f"{hint or 'Change the targets, or the last layer of the model'}"
    )


def normal_axis(name: str, axis: Any, rank: int) -> int:
    """``axis`` counted from the front. Raises ``ValueError`` unless it is one of ``rank`` axes."""
    if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
        raise UsageError(
            f"{name}: expected axis as an int between {-rank} and {rank - 1}; received {axis!r}"
        )
    return axis % rank
