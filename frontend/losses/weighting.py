"""Weights and masks of samples, and the sums and means that they enter."""

from __future__ import annotations

from typing import Any

from ...compiler.ops.building import count
from .. import ops
from ..dtypes import standard_dtype
from ..errors import UsageError
from ..ops.core import tensor
from ..tensor import KerasTensor


def mask_of(value: Any) -> Any:
    """The mask that comes with a tensor: which of its samples or steps count. None is all."""
    return value.mask if isinstance(value, KerasTensor) else None


def matched_ranks(left: Any, right: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """Two tensors whose ranks differ by one, made equal by an axis of size 1 at the end.

    The axis is added to a tensor of rank 1 (unless ``expand_rank_1`` is off), else taken away;
    tensors that have no such axis stay as they are.
    """
    if left.ndim == right.ndim + 1 and left.shape[-1] == 1:
        if right.ndim == 1 and expand_rank_1:
            return left, ops.expand_dims(right, -1)
        return ops.squeeze(left, -1), right
    if right.ndim == left.ndim + 1 and right.shape[-1] == 1:
        if left.ndim == 1 and expand_rank_1:
            return ops.expand_dims(left, -1), right
        return left, ops.squeeze(right, -1)
    return left, right


def element_count(value: KerasTensor) -> KerasTensor:
    """How many elements a tensor has, as a number of its dtype; the batch size may be open."""
    return tensor(count(value.sizes, standard_dtype(value.dtype)))


def with_mask(sample_weight: Any, mask: Any, dtype: str, reduction: str | None) -> Any:
    """The weights, 0 where the mask is false; None where there are neither.

    Means are taken over all places, so weights under them make up for those that do not count.
    """
    weights = None if sample_weight is None else ops.convert_to_tensor(sample_weight, dtype)
    if mask is None:
        return weights
    kept = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        kept = kept * ops.divide_no_nan(element_count(kept), ops.sum(kept))
    if weights is None:
        return kept
    kept, weights = matched_ranks(kept, weights)
    rank = max(kept.ndim, weights.ndim)
    return leading(weights, rank) * leading(kept, rank)


def leading(weights: Any, rank: int) -> Any:
    """Weights of the first axes, to be multiplied with a tensor of a higher rank."""
    missing = rank - weights.ndim
    return weights if missing < 1 else ops.expand_dims(weights, list(range(weights.ndim, rank)))


def weighted(values: KerasTensor, weights: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """The values times their weights, and the weights.

    Raises:
        ValueError: the weights have neither the shape of the values nor that of their first axes.
    """
    values, weights = matched_ranks(values, weights)
    if values.ndim and weights.ndim:
        _check_weights(values, weights)
        weights = leading(weights, values.ndim)
    return values * weights, weights


def _check_weights(values: KerasTensor, weights: KerasTensor) -> None:
    pairs = zip(values.shape, weights.shape, strict=False)
    fit = all(1 in pair or None in pair or pair[0] == pair[1] for pair in pairs)
    if weights.ndim > values.ndim or not fit:
        raise UsageError(
            f"expected sample_weight of shape {values.shape}, one for each value, or of its first "
            f"axes; received shape {weights.shape}"
        )


def reduced(values: KerasTensor, weights: Any, reduction: str | None) -> KerasTensor:
    """Weighted values as one number, unless ``reduction`` is none."""
    if reduction in (None, "none") or not values.ndim:
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        return ops.divide_no_nan(ops.sum(values), ops.sum(weights))
    return ops.mean(values)
