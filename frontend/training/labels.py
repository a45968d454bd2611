"""Targets that name classes, held against the classes that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import losses
from ..ids import Block, check_classes, source_of
from ..tracing import Classes, Traced

_SPARSE = (losses.sparse_categorical_crossentropy, losses.categorical_generalized_cross_entropy)


@dataclass(frozen=True)
class LabelCheck:
    """Raises ``UsageError`` unless the numbers of one input of a step name classes.

    Attributes:
        position: of the input.
        block: the part of the input that is meant; all of it where it is empty.
        are_cut: whether the step takes fractions off before it uses them.
        classes, ignored: how many there are, and the one more number that may come.
        head: of the message.
    """

    position: int
    block: Block
    are_cut: bool
    classes: int
    ignored: int | None
    head: str

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        labels = arrays[self.position]
        if self.block:
            labels = labels[self.block]
        if self.are_cut:
            labels = np.trunc(labels)
        check_classes(labels, self.classes, self.ignored, self.head)


def label_checks(traced: Traced) -> tuple[LabelCheck, ...]:
    """The checks of what names classes in a step and comes from an input of it as it is."""
    found = [_check(traced, each) for each in traced.classes]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _check(traced: Traced, named: Classes) -> LabelCheck | None:
    source = source_of(traced.graph, named.node)
    if source is None:
        return None
    node, block = source
    are_cut = node.dtype.is_float and not named.node.dtype.is_float
    position = traced.graph.inputs.index(node)
    head = f'input "{node.attrs["name"]}" of the step: '
    return LabelCheck(position, block, are_cut, named.count, named.ignored, head)


def check_array(loss: Any, labels: np.ndarray, shape: tuple[Any, ...], head: str = "") -> None:
    """Raises ``ValueError`` for labels out of range, with ``head`` in front of the message.

    Args:
        loss: a loss or a function; all but the sparse ones take any targets.
        shape: of the predictions.
    """
    options = getattr(loss, "options", {})
    if not takes_classes(loss):
        return
    classes = shape[options.get("axis", -1)]
    if classes is not None:
        check_classes(labels, classes, options.get("ignore_class"), head)


def takes_classes(loss: Any) -> bool:
    """Whether the targets of a loss are indices of classes."""
    return getattr(loss, "fn", loss) in _SPARSE
