"""Losses of embeddings: those of one class belong together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..ops.core import floating, operation, tensor
from ..scope import active_scope
from ..tensor import KerasTensor
from .base import LossFunctionWrapper


@operation
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """How much farther each embedding is from its own class than from others (Sun et al. 2020).

    Args:
        y_true: classes as ints, shape ``(N,)`` or ``(N, 1)``.
        y_pred: embeddings of length 1, shape ``(N, size)``.
        ref_labels, ref_embeddings: what they are compared with; themselves unless given.
        remove_diagonal: whether to leave out the pairs of the same index.
        gamma: the steepness. margin: the distance to keep.
    """
    pred = tensor(floating(y_pred))
    others = pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings, pred.dtype)
    same = _same_class(y_true, y_true if ref_labels is None else ref_labels, remove_diagonal)
    distance = ops.maximum(1 - ops.matmul(pred, ops.transpose(others)), 0.0)
    near = -gamma * (margin + distance) * (margin - distance)
    far = gamma * ops.maximum(1 + margin - distance, 0.0) * (1 - margin - distance)
    sums = [
        ops.logsumexp(ops.where(chosen, term, -math.inf), 1)
        for chosen, term in ((same[0], near), (same[1], far))
    ]
    loss = ops.softplus(sums[0] + sums[1])
    loss.mask = ops.greater(loss, 0)
    return loss


def _same_class(labels: Any, others: Any, remove_diagonal: bool) -> tuple[Any, Any]:
    """Which pairs are of one class, and which are not."""
    left, right = (ops.reshape(ops.cast(each, "int32"), (-1,)) for each in (labels, others))
    same = ops.equal(ops.expand_dims(left, 1), ops.expand_dims(right, 0))
    differ = ops.logical_not(same)
    if not remove_diagonal:
        return same, differ
    return ops.logical_and(same, ops.logical_not(_diagonal(same))), differ


def _diagonal(pairs: KerasTensor) -> Any:
    """Where row and column are the same, for any batch size.

    A square of unknown size is made of rows of a 1 and as many zeros as there are columns: laid
    end to end and cut anew, one element shorter, each row has its 1 a place further on.
    """
    rows, columns = pairs.sizes
    if isinstance(rows, int) and isinstance(columns, int):
        return np.eye(rows, columns, dtype=bool)
    if rows != columns:
        active_scope().require_sizes("circle: which pairs are of one index depends on the sizes")
    lead = ops.concatenate([ops.ones((rows, 1)), ops.zeros((rows, columns))], 1)
    line = ops.reshape(lead, (-1,))
    return ops.cast(ops.reshape(line[: rows * columns], (rows, columns)), "bool")


class Circle(LossFunctionWrapper):
    """``circle``, reduced; embeddings that are apart already do not count in means."""

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        options = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **options)
