"""What weights and results add to the loss for their size, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from . import ops
from .accepted import Strength
from .arguments import Checked, checked
from .errors import UsageError
from .naming import snake_case
from .serialize import config_of, described_in, rebuilt, resolved
from .watching import Watched


class Regularizer(Checked, Watched):
    """The base of regularizers: called with a weight, gives a scalar."""

    def __call__(self, x: Any) -> Any:
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as ``from_config`` takes them."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that a configuration describes."""
        return cls(**config)


class L1(Regularizer):
    """``l1 * sum(|x|)``. Raises ``ValueError`` unless ``l1`` is 0 or more."""

    def __init__(self, l1: Strength | None = 0.01) -> None:
        self.l1 = 0.01 if l1 is None else float(l1)

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x))


class L2(Regularizer):
    """``l2 * sum(x**2)``. Raises ``ValueError`` unless ``l2`` is 0 or more."""

    def __init__(self, l2: Strength | None = 0.01) -> None:
        self.l2 = 0.01 if l2 is None else float(l2)

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


class L1L2(Regularizer):
    """``l1 * sum(|x|) + l2 * sum(x**2)``. Raises ``ValueError`` unless both are 0 or more."""

    def __init__(self, l1: Strength | None = 0.0, l2: Strength | None = 0.0) -> None:
        self.l1 = 0.0 if l1 is None else float(l1)
        self.l2 = 0.0 if l2 is None else float(l2)

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x)) + self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean size of the cosine between two rows, or columns, of a matrix.

    Args:
        mode: ``"rows"`` or ``"columns"``.

    Raises:
        ValueError: ``factor`` is below 0, or the mode is another; when called, ``x`` is no matrix.
    """

    def __init__(
        self, factor: Strength | None = 0.01, mode: Literal["rows", "columns"] = "rows"
    ) -> None:
        self.factor = 0.01 if factor is None else float(factor)
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise UsageError(
                f"OrthogonalRegularizer: expected a matrix; received shape {tuple(x.shape)}"
            )
        rows = x if self.mode == "rows" else ops.transpose(x)
        rows = ops.normalize(rows, axis=1)
        cosines = ops.absolute(ops.matmul(rows, ops.transpose(rows)))
        size = x.shape[0 if self.mode == "rows" else 1]
        others = 1.0 - np.eye(size, dtype="float32")
        pairs = size * (size - 1) / 2
        return self.factor * 0.5 * ops.sum(cosines * others) / pairs


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
_CLASSES = (Regularizer, L1, L2, L1L2, OrthogonalRegularizer)
_TABLE: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_TABLE |= {snake_case(cls.__name__): cls for cls in _CLASSES} | {"l1_l2": L1L2}


def get(identifier: Any) -> Callable[..., Any] | None:
    """The regularizer meant by a name, a config, a class or a callable; None stays None.

    Raises:
        ValueError: no regularizer has that name, or it is something else.
    """
    others = "'l2', an instance or a function"
    return resolved("regularizer", identifier, _TABLE, deserialize, others)


def serialize(regularizer: Any) -> Any:
    """The config of a regularizer, as Keras writes it."""
    return described_in("regularizers", regularizer)


@checked
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer that a config from ``serialize`` describes.

    Raises:
        ValueError: there is no such regularizer, and it is not in ``custom_objects`` either.
    """
    return rebuilt("regularizer", config, _TABLE, {}, custom_objects)


__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]
