"""The loss of a sequence of labels without places, such as letters in a recording."""

from __future__ import annotations

from typing import Any

from ...compiler.ops.stepping import Nodes, trace_scan
from .. import ops
from ..errors import UsageError
from ..ops.core import floating, operation, tensor
from ..tensor import KerasTensor
from .base import LossFunctionWrapper

# The logarithm of what is not possible: finite, so that sums and gradients stay numbers.
NEVER = -1e5
BLANK = 0


@operation
def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability of a sequence of labels, however it is spread over the steps.

    Each step gives a label or a blank; equal neighbours are one, and blanks are left out
    (Graves et al. 2006). Two sums are carried from step to step, for each number of labels given
    so far: over the ways that end in a blank, and over those that end in the label.

    Args:
        y_true: labels as ints above 0, shape ``(N, labels)``; 0 fills up at the end.
        y_pred: logits, shape ``(N, steps, classes)``; class 0 is the blank.

    Returns:
        Shape ``(N,)``.
    """
    pred, true = tensor(floating(y_pred)), ops.cast(y_true, "int32")
    labels, classes = _sizes(true, pred)
    logs = ops.log_softmax(pred)
    hot = ops.one_hot(true, classes, dtype=pred.dtype)
    emitted = ops.matmul(logs, ops.transpose(hot, (0, 2, 1)))
    blanks = logs[:, :, BLANK : BLANK + 1]
    silent, sounding = _scanned(true, emitted, blanks)
    ends = _joined(silent, sounding)
    length = ops.sum(ops.not_equal(true, BLANK), -1)
    chosen = ops.one_hot(length, labels + 1, dtype=pred.dtype)
    return -ops.sum(ends * chosen, -1)


def _sizes(true: KerasTensor, pred: KerasTensor) -> tuple[int, int]:
    """The most labels, and the classes. Raises ``ValueError`` if the shapes do not say."""
    sizes = (true.shape[-1:] or (None,))[0], (pred.shape[-1:] or (None,))[0]
    if (true.ndim, pred.ndim) != (2, 3) or sizes[0] is None or sizes[1] is None:
        raise UsageError(
            "ctc: expected y_true of shape (N, labels) and y_pred of shape (N, steps, classes); "
            f"received {true.shape} and {pred.shape}"
        )
    return sizes[0], sizes[1]


def _scanned(true: KerasTensor, emitted: KerasTensor, blanks: KerasTensor) -> tuple[Any, Any]:
    """The two sums after the last step, shapes ``(N, labels + 1)`` and ``(N, labels)``."""
    never = ops.full_like(true, NEVER, dtype=emitted.dtype)
    repeated = ops.where(_is_repeated(true), never, 0.0)
    others = NEVER - repeated

    def step(state: Nodes, slices: Nodes) -> tuple[list[Any], list[Any]]:
        silent, sounding = map(tensor, state)
        emit, blank = map(tensor, slices)
        # A label is followed at once by another one, and by itself only after a blank.
        before = _joined(silent, sounding + repeated)
        new_sounding = _log_of_sum(before[:, :-1], sounding) + emit
        new_silent = _joined(before + blank, sounding + blank + others)
        return [new_silent.node, new_sounding.node], []

    first = ops.concatenate([ops.zeros_like(never[:, :1]), never], 1)
    carries, _ = trace_scan(step, [first.node, never.node], [emitted.node, blanks.node], axis=1)
    return tensor(carries[0]), tensor(carries[1])


def _is_repeated(true: KerasTensor) -> Any:
    """Whether the label after each one is the same; there is none after the last."""
    if true.shape[1] == 1:
        return ops.zeros_like(true, dtype="bool")
    same = ops.cast(ops.equal(true[:, :-1], true[:, 1:]), "int32")
    return ops.pad(same, ((0, 0), (0, 1)))


def _joined(silent: Any, sounding: Any) -> Any:
    """The ways that end in a blank, with those that end in the label before it."""
    return ops.concatenate([silent[:, :1], _log_of_sum(silent[:, 1:], sounding)], 1)


def _log_of_sum(left: Any, right: Any) -> Any:
    """log(exp(left) + exp(right)); equal ones share the gradient."""
    top = ops.stop_gradient(ops.maximum(left, right))
    return top + ops.log(ops.exp(left - top) + ops.exp(right - top))


class CTC(LossFunctionWrapper):
    """``ctc``, reduced."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)
