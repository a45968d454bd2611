"""The settings and helpers under the names of ``keras.backend``."""

from __future__ import annotations

from typing import Any

from .dtypes import floatx, set_floatx, standard_dtype
from .naming import clear_session
from .tensor import KerasTensor

FUZZ = 1e-7


def backend() -> str:
    """The name of what computes."""
    return "keraunos"


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite."""
    return FUZZ


def image_data_format() -> str:
    """Where channels are unless a layer says otherwise."""
    return "channels_last"


def is_keras_tensor(x: Any) -> bool:
    """Whether x is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype: ``"float32"`` for None, ``float`` or ``np.float32``."""
    return standard_dtype(dtype).name


__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_keras_tensor",
    "set_floatx",
    "standardize_dtype",
]
