"""Losses under Keras's names, as functions and as classes, and finding them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arguments import checked
from ..serialize import described_in, find, rebuilt, resolved
from .base import Loss, LossFunctionWrapper
from .crossentropy import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    sparse_categorical_crossentropy,
)
from .crossentropy_classes import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
)
from .divergence import KLDivergence, Poisson, kl_divergence, poisson
from .hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from .overlap import Dice, Tversky, dice, tversky
from .regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from .sequence import CTC, ctc
from .similarity import Circle, circle

_CLASSES = (
    Loss, LossFunctionWrapper, BinaryCrossentropy, BinaryFocalCrossentropy,
    CategoricalCrossentropy, CategoricalFocalCrossentropy, CategoricalGeneralizedCrossEntropy,
    CTC, CategoricalHinge, Circle, CosineSimilarity, Dice, Hinge, Huber, KLDivergence, LogCosh,
    MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError,
    Poisson, SparseCategoricalCrossentropy, SquaredHinge, Tversky,
)  # fmt: skip
_NAMED = (
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy,
    categorical_focal_crossentropy, categorical_generalized_cross_entropy, categorical_hinge,
    circle, cosine_similarity, ctc, dice, hinge, huber, kl_divergence, log_cosh,
    mean_absolute_error, mean_absolute_percentage_error, mean_squared_error,
    mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy, squared_hinge,
    tversky,
)  # fmt: skip
_SHORT = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in _NAMED},
    **_SHORT,
    **{name.upper(): function for name, function in _SHORT.items()},
}
_TABLE: dict[str, Any] = {**FUNCTIONS, **{cls.__name__: cls for cls in _CLASSES}}


def get(identifier: Any) -> Callable[..., Any] | None:
    """The loss meant by a name, a config, a class or a callable; None stays None.

    Names of functions give functions, those of classes instances.

    Raises:
        ValueError: no loss has that name, or it is something else.
    """
    others = "'mse', a function of (y_true, y_pred) or an instance of keraunos.losses.Loss"
    return resolved("loss", identifier, _TABLE, deserialize, others)


def serialize(loss: Any) -> Any:
    """The config of a loss or of a function, as Keras writes it."""
    return described_in("losses", loss)


@checked
def deserialize(name: str | dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that a name or a config from ``serialize`` describes.

    Raises:
        ValueError: there is no such loss, and it is not in ``custom_objects`` either.
    """
    if isinstance(name, dict):
        return rebuilt("loss", name, _TABLE, FUNCTIONS, custom_objects)
    return find("loss", name, {**_TABLE, **(custom_objects or {})})


__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
