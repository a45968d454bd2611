"""The loss of a sequence of labels without places, such as letters in a recording."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import UsageError
from ..ops.core import operation
from .base import LossFunctionWrapper

BLANK = 0


@operation
def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability of a sequence of labels, however it is spread over the steps.

    As ``keraunos.ops.ctc_loss``, with all steps, and labels up to the first 0.

    Args:
        y_true: labels as ints above 0, shape ``(N, labels)``; 0 fills up at the end.
        y_pred: logits, shape ``(N, steps, classes)``; class 0 is the blank.

    Returns:
        Shape ``(N,)``.
    """
    true = ops.cast(y_true, "int32")
    if true.ndim != 2:
        raise UsageError(f"ctc: expected y_true of shape (N, labels); received shape {true.shape}")
    length = ops.sum(ops.not_equal(true, BLANK), -1)
    return ops.ctc_loss(true, y_pred, length, None, BLANK)


class CTC(LossFunctionWrapper):
    """``ctc``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)
