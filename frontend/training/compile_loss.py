"""The argument ``loss`` of ``compile``: one loss for each output, weighted and added up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ...compiler.ir.graph import IRError
from .. import losses, ops, tree
from ..dtypes import floatx
from ..errors import SizesUnknown, UsageError, UsageTypeError
from .identifiers import identifiers_in, is_config, kind_of, name_of, shape_of
from .outputs import Outputs, at, flat_targets, flat_weights, is_nested, outputs_of, per_output

# What stands for the crossentropy that fits the shapes.
_BY_SHAPE = ("crossentropy", "ce")


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output.

    Attributes:
        index: of the output.
        name: of the output, or of the loss where outputs have no names.
        weight: what the loss is multiplied with in the total; None is 1.
    """

    index: int
    name: str
    loss: losses.Loss
    weight: float | None


class CompileLoss:
    """The losses given to ``compile``, weighted and added up; layers add theirs elsewhere.

    Args:
        loss: a name, function, instance or config for all outputs; or one for each, in a list, a
            dict by the outputs' names, or nested as the outputs are. Outputs that a dict leaves
            out, or gives None, have no loss.
        loss_weights: a number for each output, likewise.
        output_names: of the layers that make the outputs, if known.

    Attributes:
        entries: the losses in the order of the outputs, once built.

    Raises:
        ValueError: there is no such loss; ``loss_weights`` are no numbers.
    """

    def __init__(
        self, loss: Any, loss_weights: Any = None, output_names: list[str] | None = None
    ) -> None:
        self.output_names = output_names
        self._loss, self._weights = tree.copied(loss), tree.copied(loss_weights)
        self.entries: tuple[OutputLoss, ...] = ()
        self.built = False
        for each in identifiers_in(loss):
            if not _goes_by_shape(each):
                losses.get(each)
        for weight in tree.flatten(loss_weights):
            if not isinstance(weight, (int, float, np.number, type(None))):
                raise UsageError(f"expected loss_weights as numbers; received {loss_weights!r}")

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Finds the loss of each output; ``y_true`` and ``y_pred`` are nestings of shaped leaves.

        Raises:
            ValueError: there are not as many losses, weights or targets as outputs, or they are
                not called as the outputs are.
        """
        self.outputs = outputs_of(y_pred, self.output_names)
        self.entries = self.resolved(y_true, y_pred)
        self.built = True

    def resolved(self, y_true: Any, y_pred: Any) -> tuple[OutputLoss, ...]:
        """The losses of outputs and targets of such shapes; raises as ``build``."""
        outputs = outputs_of(y_pred, self.output_names)
        found = _per_output(self._loss, outputs)
        wanted = [each is not None for each in found]
        if not any(wanted):
            raise UsageError(f"expected a loss for some output; received loss={self._loss!r}")
        weights = _weights(self._weights, outputs, wanted)
        targets = _targets(y_true, outputs, wanted)
        predictions = [at(y_pred, path) for path in outputs.paths]
        made = {
            index: _made(found[index], targets[index], predictions[index])
            for index in range(len(outputs))
            if wanted[index]
        }
        names = _unique([outputs.names[index] or loss.name for index, loss in made.items()])
        return tuple(
            OutputLoss(index, name, loss, weights[index])
            for name, (index, loss) in zip(names, made.items(), strict=True)
        )

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The weighted sum of the losses, and each loss by name, without its weight.

        Raises:
            ValueError: shapes do not fit, or targets are missing.
        """
        if not self.built:
            self.build(y_true, y_pred)
        used = {entry.index for entry in self.entries}
        targets = _targets(y_true, self.outputs, [i in used for i in range(len(self.outputs))])
        weights = flat_weights(sample_weight, self.outputs)
        parts: dict[str, Any] = {}
        for entry in self.entries:
            prediction = at(y_pred, self.outputs.paths[entry.index])
            target, weight = targets[entry.index], weights[entry.index]
            parts[entry.name] = _value(entry, target, prediction, weight)
        terms = [_weighted(parts[entry.name], entry.weight) for entry in self.entries]
        return sum(terms[1:], start=terms[0]), parts


def _weighted(value: Any, weight: float | None) -> Any:
    return value if weight is None else value * float(weight)


def _goes_by_shape(identifier: Any) -> bool:
    return isinstance(identifier, str) and identifier.lower() in _BY_SHAPE


def _per_output(loss: Any, outputs: Outputs) -> list[Any]:
    if is_nested(loss) and not is_config(loss):
        return per_output(loss, outputs, "loss")
    return [loss] * len(outputs)


def _weights(weights: Any, outputs: Outputs, wanted: list[bool]) -> list[float | None]:
    if weights is None:
        return [None] * len(outputs)
    if not is_nested(weights):
        weights = [weights]
    found = per_output(weights, outputs, "loss_weights")
    missing = [
        label
        for label, weight, used in zip(outputs.labels(), found, wanted, strict=True)
        if used and weight is None
    ]
    if missing:
        raise UsageError(
            f"loss_weights: expected a number for each output with a loss; received {weights!r}, "
            f"without {', '.join(map(repr, missing))}"
        )
    return found


def _targets(y_true: Any, outputs: Outputs, wanted: list[bool]) -> list[Any]:
    """The targets by output. Raises ``ValueError`` where one that is ``wanted`` is missing."""
    targets = flat_targets(y_true, outputs, wanted)
    missing = [
        label
        for label, target, used in zip(outputs.labels(), targets, wanted, strict=True)
        if used and target is None
    ]
    if missing:
        raise UsageError(
            f"expected targets for each output with a loss; received none for "
            f"{', '.join(map(repr, missing))}. Pass them as y, or give these outputs no loss"
        )
    return targets


def _made(identifier: Any, y_true: Any, y_pred: Any) -> losses.Loss:
    """The loss meant by what ``compile`` was given, once shapes are known."""
    if _goes_by_shape(identifier):
        found: Any = _crossentropy_for(y_true, y_pred)
    else:
        found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    name = identifier if isinstance(identifier, str) else name_of(found)
    return losses.LossFunctionWrapper(found, name=name)


def _crossentropy_for(y_true: Any, y_pred: Any) -> Any:
    """The crossentropy that fits targets and predictions of such shapes."""
    kind = kind_of(y_true, y_pred)
    return {
        "binary": losses.binary_crossentropy,
        "sparse": losses.sparse_categorical_crossentropy,
        "categorical": losses.categorical_crossentropy,
    }[kind]


def _unique(names: list[str]) -> list[str]:
    """The names, those that are taken with the first number that makes them another."""
    taken: list[str] = []
    for name in names:
        free = (f"{name}_{number}" for number in count(1))
        taken.append(next(each for each in free if each not in taken) if name in taken else name)
    return taken


def _value(entry: OutputLoss, y_true: Any, y_pred: Any, weights: Any) -> Any:
    try:
        value = entry.loss(y_true, y_pred, weights)
    except SizesUnknown:
        raise
    except (UsageError, UsageTypeError, IRError) as error:
        kind = UsageTypeError if isinstance(error, UsageTypeError) else UsageError
        raise kind(
            f'loss of output "{entry.name}", shape {shape_of(y_pred)}, with targets of shape '
            f"{shape_of(y_true)}: {error}"
        ) from error
    return ops.cast(_scalar(entry, value), floatx())


def _scalar(entry: OutputLoss, value: Any) -> Any:
    if shape_of(value) == ():
        return value
    raise UsageError(
        f'loss of output "{entry.name}": expected one number; received shape {shape_of(value)}. '
        'Reduce it, for example with reduction="sum_over_batch_size"'
    )
