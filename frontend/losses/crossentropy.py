"""Crossentropies of one class out of two or of many, from probabilities or from logits.

Probabilities of classes are divided by their sum, and held within [1e-7, 1 - 1e-7].
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import ops
from ..backend import epsilon
from ..errors import UsageError
from ..ops.core import floating, operation, tensor
from ..scope import active_scope
from ..tensor import KerasTensor
from .arguments import normal_axis, same_shape
from .weighting import element_count

_ONE_HOT = (
    "For classes as integers take the sparse loss, 'sparse_categorical_crossentropy'; or turn them "
    "into one-hot targets with keraunos.utils.to_categorical"
)


@operation
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """The mean over ``axis`` of -(t * log(p) + (1 - t) * log(1 - p)).

    Args:
        from_logits: whether ``y_pred`` is any number, to be put through a sigmoid.
        label_smoothing: moves targets from 0 and 1 towards 0.5, entirely if 1.
    """
    true, pred = same_shape("binary_crossentropy", y_true, y_pred)
    true = _smoothed_to_half(true, label_smoothing)
    return ops.mean(ops.binary_crossentropy(true, pred, from_logits), axis)


@operation
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary crossentropy, less where the prediction is right already (Lin et al. 2018).

    Args:
        apply_class_balancing: whether to weigh the classes 1 and 0 by ``alpha`` and 1 - ``alpha``.
        gamma: the power of how wrong the prediction is that it is multiplied with.
        from_logits, label_smoothing, axis: as of ``binary_crossentropy``.
    """
    true, pred = same_shape("binary_focal_crossentropy", y_true, y_pred)
    true = _smoothed_to_half(true, label_smoothing)
    pred = ops.sigmoid(pred) if from_logits else pred
    right = true * pred + (1 - true) * (1 - pred)
    loss = ops.power(1.0 - right, gamma) * ops.binary_crossentropy(true, pred)
    if apply_class_balancing:
        loss = (true * alpha + (1 - true) * (1 - alpha)) * loss
    return ops.mean(loss, axis)


def _smoothed_to_half(true: KerasTensor, smoothing: float) -> Any:
    return true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else true


@operation
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum(t * log(p)) over ``axis``; targets are distributions, such as one-hot rows.

    Args:
        from_logits: whether ``y_pred`` is any numbers, to be put through a softmax.
        label_smoothing: moves targets towards all classes being equally likely, entirely if 1.
        axis: where the classes are.
    """
    true, pred = _of_classes("categorical_crossentropy", y_true, y_pred, axis)
    true = _smoothed(true, label_smoothing)
    return ops.categorical_crossentropy(true, pred, from_logits, axis)


@operation
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Categorical crossentropy, less where the prediction is right already (Lin et al. 2018).

    Args:
        alpha: multiplies all.
        gamma: the power of how wrong the prediction is that it is multiplied with.
        from_logits, label_smoothing, axis: as of ``categorical_crossentropy``.
    """
    true, pred = _of_classes("categorical_focal_crossentropy", y_true, y_pred, axis)
    true = _smoothed(true, label_smoothing)
    pred = ops.softmax(pred, axis) if from_logits else pred
    shares = pred / ops.sum(pred, axis, keepdims=True)
    clipped = ops.clip(shares, epsilon(), 1.0 - epsilon())
    factor = alpha * ops.power(1.0 - clipped, gamma)
    return ops.sum(factor * -true * ops.log(clipped), axis)


def _of_classes(name: str, y_true: Any, y_pred: Any, axis: Any) -> tuple[KerasTensor, KerasTensor]:
    true, pred = same_shape(name, y_true, y_pred, _ONE_HOT)
    normal_axis(name, axis, pred.ndim)
    if pred.shape[-1] == 1:
        warnings.warn(
            f"{name}: expected y_pred with an entry a class; received shape {pred.shape}, where "
            "the loss is always 0. For two classes take 'binary_crossentropy'",
            stacklevel=2,
        )
    return true, pred


def _smoothed(true: KerasTensor, smoothing: float) -> Any:
    if not smoothing:
        return true
    size = true.shape[-1]
    classes = element_count(true[(0,) * (true.ndim - 1)]) if size is None else size
    return true * (1.0 - smoothing) + smoothing / classes


@operation
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """-log(p) of the class that the target names; 0 where it names none.

    Args:
        y_true: classes counted from 0, as ints or floats; of the shape of ``y_pred`` without
            ``axis``, or with size 1 there.
        from_logits: whether ``y_pred`` is any numbers, to be put through a softmax.
        ignore_class: a target that does not count, such as -1.
        axis: where the classes are.
    """
    name = "sparse_categorical_crossentropy"
    pred = tensor(floating(y_pred))
    place = normal_axis(name, axis, pred.ndim)
    true = _class_indices(name, ops.convert_to_tensor(y_true), pred, place, ignore_class)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(true, pred, from_logits, axis)
    whole = true if true.dtype.startswith("float") else ops.cast(true, "int64")  # it holds any
    counts = ops.not_equal(whole, ignore_class)
    loss = ops.sparse_categorical_crossentropy(ops.where(counts, true, 0), pred, from_logits, axis)
    loss = ops.where(counts, loss, 0.0)
    loss.mask = counts
    return loss


def _class_indices(
    name: str, true: KerasTensor, pred: KerasTensor, place: int, ignored: int | None = None
) -> KerasTensor:
    """Targets without the axis of classes. Raises ``ValueError`` if their shape does not fit."""
    if true.ndim == pred.ndim and true.shape[place] == 1:
        true = ops.squeeze(true, place)
    wanted = (*pred.shape[:place], *pred.shape[place + 1 :])
    pairs = zip(true.shape, wanted, strict=False)
    if true.ndim == len(wanted) and all(a == b or None in (a, b) for a, b in pairs):
        classes = pred.shape[place]
        if classes is not None:
            active_scope().note_classes(true.node, classes, ignored)
        return true
    one_hot = true.ndim == pred.ndim and true.shape[place] == pred.shape[place]
    raise UsageError(
        f"{name}: expected y_true of shape {wanted}, the classes as integers, beside y_pred of "
        f"shape {pred.shape}; received {true.shape}. "
        + ("For one-hot targets take 'categorical_crossentropy'" if one_hot
           else "Change the targets, or the last layer of the model")
    )  # fmt: skip


@operation
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """(1 - p ** q) / q of the class that the target names (Zhang and Sabuncu 2018).

    Between crossentropy (q near 0) and the absolute error (q near 1), which bears wrong labels.
    """
    name = "categorical_generalized_cross_entropy"
    pred = tensor(floating(y_pred))
    true = _class_indices(name, ops.convert_to_tensor(y_true), pred, pred.ndim - 1)
    hot = ops.one_hot(true, _known_size(name, pred), dtype=pred.dtype)
    return (1 - ops.power(ops.sum(pred * hot, -1), q)) / q


def _known_size(name: str, pred: KerasTensor) -> int:
    size = pred.shape[-1]
    if size is None:
        raise UsageError(
            f"{name}: expected a known number of classes; received y_pred of shape {pred.shape}"
        )
    return size
