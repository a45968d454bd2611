"""What all losses share: values per sample, weighted and reduced to one number."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import ops
from ..arguments import Checked
from ..dtypes import compute_dtype_of
from ..errors import UsageError, made_by_users, unmade
from ..naming import auto_name
from ..ops.core import operation
from ..serialize import described_in
from ..tensor import KerasTensor
from ..watching import Watched
from .weighting import mask_of, matched_ranks, reduced, weighted, with_mask

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(Checked, Watched):
    """How far predictions are off. Subclasses define ``call(y_true, y_pred)``.

    Args:
        name: shown in messages, and in the history where outputs have no names.
        reduction: "sum_over_batch_size" or "mean", the mean over all values; "sum";
            "mean_with_sample_weight", the weighted sum divided by the sum of the weights; "none" or
            None, one value per sample.
        dtype: what is computed in; the default float unless given.

    Raises:
        ValueError: another reduction.
    """

    name: str = ""

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.reduction = checked_reduction(reduction)
        self.dtype = compute_dtype_of(dtype).name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss: a tensor while a model is traced, an array on arrays.

        Args:
            sample_weight: of the shape of the values that ``call`` gives, or of its first axes.

        Raises:
            ValueError: the shapes do not fit.
        """
        return _loss_value(self, y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Values per sample; both arguments are tensors of the loss's dtype."""
        raise NotImplementedError(f"{type(self).__name__} needs a call(self, y_true, y_pred)")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def checked_reduction(reduction: Any) -> str | None:
    """``reduction``; raises ``ValueError`` unless it is one of ``REDUCTIONS``."""
    if reduction not in REDUCTIONS:
        raise UsageError(
            f"expected reduction out of {', '.join(map(repr, REDUCTIONS))}; received {reduction!r}"
        )
    found: str | None = reduction
    return found


@operation
def _loss_value(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any) -> KerasTensor:
    if not loss.name:
        raise unmade(loss, "name=...")
    given = mask_of(y_pred)
    true, pred = (ops.convert_to_tensor(each, loss.dtype) for each in (y_true, y_pred))
    values = loss.call(true, pred)
    masks = [mask for mask in (given, mask_of(values)) if mask is not None]
    mask = ops.logical_and(*masks) if len(masks) == 2 else masks[0] if masks else None
    values = ops.convert_to_tensor(values, loss.dtype)
    weights = with_mask(sample_weight, mask, loss.dtype, loss.reduction)
    if weights is not None:
        values, weights = weighted(values, weights)
    return reduced(values, weights, loss.reduction)


class LossFunctionWrapper(Loss):
    """A function ``(y_true, y_pred, **options)`` as a loss.

    A last axis of size 1 is added to or taken from one argument where the ranks differ by one.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.fn = fn
        self.options = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        true, pred = matched_ranks(y_true, y_pred)
        return made_by_users(self.fn, f'loss "{self.name}"', true, pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if "fn" in inspect.signature(type(self).__init__).parameters:
            config["fn"] = described_in("losses", self.fn)
        return {**config, **self.options}
