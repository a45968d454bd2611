"""Connectionist temporal classification: labels without places, such as letters in a recording."""

from __future__ import annotations

from typing import Any

from ...compiler.ops.stepping import Nodes, trace_scan
from ..accepted import Natural
from ..errors import UsageError
from ..tensor import KerasTensor
from .core import as_node, floating, ir, operation, tensor
from .creation import full_like, zeros_like
from .elementwise import cast, equal, exp, log, maximum, stop_gradient, where
from .joining import concatenate, pad
from .linalg import matmul
from .nn import log_softmax
from .picking import one_hot
from .reductions import sum
from .shaping import expand_dims, transpose

# The logarithm of probability 0, but finite: sums and gradients stay numbers.
NEVER = -1e5


@operation
def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: Natural = 0
) -> Any:
    """-log of the probability of a sequence of labels, however it is spread over the steps.

    Each step gives a label or a blank; equal neighbours are one, and blanks are left out
    (Graves et al. 2006). Two sums are carried from step to step, for each number of labels given
    so far: over the ways that end in a blank, and over those that end in the label.

    Args:
        target: labels as ints, shape ``(N, labels)``.
        output: logits, shape ``(N, steps, classes)``.
        target_length, output_length: how many labels and steps count, shape ``(N,)``; None for all
            steps.
        mask_index: the class that is the blank.

    Returns:
        Shape ``(N,)``.
    """
    pred, true = tensor(floating(output)), cast(target, "int32")
    labels, classes = _sizes(true, pred)
    logs = log_softmax(pred)
    emitted = matmul(logs, transpose(one_hot(true, classes, dtype=pred.dtype), (0, 2, 1)))
    blanks = logs[:, :, mask_index : mask_index + 1]
    silent, sounding = _scanned(true, emitted, blanks, _counting(pred, output_length))
    ends = _joined(silent, sounding)
    chosen = one_hot(cast(target_length, "int32"), labels + 1, dtype=pred.dtype)
    return -sum(ends * chosen, -1)


def _sizes(true: KerasTensor, pred: KerasTensor) -> tuple[int, int]:
    """The most labels, and the classes. Raises ``ValueError`` if the shapes do not say."""
    sizes = (true.shape[-1:] or (None,))[0], (pred.shape[-1:] or (None,))[0]
    if (true.ndim, pred.ndim) != (2, 3) or sizes[0] is None or sizes[1] is None:
        raise UsageError(
            "ctc: expected labels of shape (N, labels) and logits of shape (N, steps, classes); "
            f"received {true.shape} and {pred.shape}"
        )
    return sizes[0], sizes[1]


def _counting(pred: KerasTensor, lengths: Any) -> list[Any]:
    """Which steps of each sample count, shape ``(N, steps, 1)``; none where all do."""
    if lengths is None:
        return []
    steps = tensor(ir.iota(shape=(1, pred.sizes[1], 1), axis=1, dtype="int32"))
    return [expand_dims(expand_dims(cast(lengths, "int32"), -1), -1) > steps]


def _scanned(
    true: KerasTensor, emitted: KerasTensor, blanks: KerasTensor, counting: list[KerasTensor]
) -> tuple[Any, Any]:
    """The two sums after the last step, shapes ``(N, labels + 1)`` and ``(N, labels)``."""
    never = full_like(true, NEVER, dtype=emitted.dtype)
    repeated = where(_is_repeated(true), never, 0.0)
    others = NEVER - repeated

    def step(state: Nodes, slices: Nodes) -> tuple[list[Any], list[Any]]:
        silent, sounding = map(tensor, state)
        emit, blank, *counts = map(tensor, slices)
        # A label is followed at once by another one, and by itself only after a blank.
        before = _joined(silent, sounding + repeated)
        new_sounding = _log_of_sum(before[:, :-1], sounding) + emit
        new_silent = _joined(before + blank, sounding + blank + others)
        for counted in counts:
            new_sounding = where(counted, new_sounding, sounding)
            new_silent = where(counted, new_silent, silent)
        return [new_silent.node, new_sounding.node], []

    first = concatenate([zeros_like(never[:, :1]), never], 1)
    sequences = [as_node(each) for each in (emitted, blanks, *counting)]
    carries, _ = trace_scan(step, [first.node, never.node], sequences, axis=1)
    return tensor(carries[0]), tensor(carries[1])


def _is_repeated(true: KerasTensor) -> Any:
    """Whether the label after each one is the same; there is none after the last."""
    if true.shape[1] == 1:
        return zeros_like(true, dtype="bool")
    same = cast(equal(true[:, :-1], true[:, 1:]), "int32")
    return pad(same, ((0, 0), (0, 1)))


def _joined(silent: Any, sounding: Any) -> Any:
    """The ways that end in a blank, with those that end in the label before it."""
    return concatenate([silent[:, :1], _log_of_sum(silent[:, 1:], sounding)], 1)


def _log_of_sum(left: Any, right: Any) -> Any:
    """log(exp(left) + exp(right)); equal ones share the gradient."""
    top = stop_gradient(maximum(left, right))
    return top + log(exp(left - top) + exp(right - top))
