"""What a step computes unless a model says otherwise: forward, loss, backward, update, metrics."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ...compiler.autodiff import gradients
from ...compiler.ir.types import FLOAT32
from ...compiler.ops.building import count
from .. import ops, tree
from ..calls import results_like
from ..dtypes import floatx
from ..errors import NO_RESULT, LayerError, UsageError, made_by_users
from ..ops.core import as_node
from ..scope import active_scope
from ..tensor import KerasTensor
from ..tracing import TraceScope
from ..variable import Variable


def train_step(model: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """One step of gradient descent, traced: the loss and the metrics by name."""
    predicted = something(model, model(x, training=True))
    total = _loss(model, x, y, predicted, sample_weight, training=True)
    if total is None:
        raise LayerError(model, "compute_loss: expected a scalar to minimize; received None")
    variables = model.trainable_variables
    if not variables:
        raise UsageError(
            f'model "{model.name}": expected weights to train; received none that are trainable'
        )
    if model.optimizer is None:
        raise LayerError(model, "expected an optimizer: pass compile(optimizer=...)")
    scaled = model.optimizer.scale_loss(total)
    model.optimizer.apply(gradients_by(scaled, variables), variables)
    return _results(model, x, y, predicted, sample_weight)


def test_step(model: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """The loss and the metrics of a batch, traced."""
    predicted = something(model, model(x, training=False))
    _loss(model, x, y, predicted, sample_weight, training=False)
    return _results(model, x, y, predicted, sample_weight)


def something(model: Any, predicted: Any) -> Any:
    """What a model gave. Raises ``ValueError`` where that is nothing."""
    if any(leaf is None for leaf in tree.flatten([predicted])):
        raise LayerError(model, NO_RESULT)
    return predicted


def _loss(
    model: Any, x: Any, y: Any, predicted: Any, sample_weight: Any, training: bool
) -> KerasTensor | None:
    """What ``compute_loss`` gives, which is counted; None in evaluation where it gives nothing."""
    # As Keras: one's own that is older than the argument `training` goes without it.
    accepted = inspect.signature(model.compute_loss).parameters
    options = {"training": training} if "training" in accepted else {}
    given = model.compute_loss(x, y, predicted, sample_weight, **options)
    if given is None:
        return None
    total = KerasTensor.of(as_node(given, floatx()))
    if total.shape != ():
        raise LayerError(
            model,
            f"compute_loss: expected one number; received shape {total.shape}. Take "
            "keraunos.ops.mean or sum of it",
        )
    model._loss_tracker.update_state(total, sample_weight=samples_in(x))
    return total


def _results(model: Any, x: Any, y: Any, predicted: Any, sample_weight: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.compute_metrics(x, y, predicted, sample_weight=sample_weight)
    return found


def build(model: Any, x: Any) -> None:
    """Makes the weights for arrays like these. Raises ``ValueError`` if they do not fit."""
    if getattr(model, "network", None) is None:
        something(model, results_like(model, x))


def gradients_by(total: KerasTensor, variables: Sequence[Variable]) -> list[KerasTensor]:
    """The gradient of a scalar by each variable, as tensors of the graph being traced."""
    scope = active_scope()
    assert isinstance(scope, TraceScope), "gradients are part of a traced graph"
    found = gradients(total.node, [scope.leaf(variable) for variable in variables])
    return list(map(KerasTensor.of, found))


def regularization(variables: Sequence[Variable]) -> list[Any]:
    """What the regularizers of weights add to the loss."""
    return [
        made_by_users(v.regularizer, f'the regularizer of "{v.path}"', ops.convert_to_tensor(v))
        for v in variables
        if v.regularizer is not None
    ]


def samples_in(x: Any) -> KerasTensor:
    """The number of samples, as a float."""
    first = next(leaf for leaf in tree.flatten(x) if leaf is not None)
    return KerasTensor.of(count(first.sizes[:1], FLOAT32))
