"""What users give as data, as nestings of contiguous arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...runtime.arrays import fitting, is_float
from ..dtypes import PAD_THEM, canonical_array, floatx, standard_dtype
from ..errors import UsageError, UsageTypeError

# Asked only where there are arrays of float64: what these become.
Doubles: TypeAlias = Callable[[], str]


def is_array(value: Any) -> bool:
    """Whether a value is an array of some library, and not a nesting of them."""
    speaks = hasattr(value, "__array__") or hasattr(value, "__dlpack__") or _gives_numpy(value)
    return speaks or isinstance(value, memoryview)


def _gives_numpy(value: Any) -> bool:
    return callable(getattr(value, "numpy", None))


def mapped(change: Callable[[Any], Any], data: Any) -> Any:
    """The nesting of ``data`` with ``change`` applied to each array; None stays None.

    A list or tuple of numbers, or of rows of numbers, is one array.
    """
    if data is None:
        return None
    if isinstance(data, dict):
        return {key: mapped(change, value) for key, value in data.items()}
    if isinstance(data, (list, tuple)) and _holds_arrays(data):
        items = [mapped(change, item) for item in data]
        if hasattr(data, "_fields"):
            return type(data)(*items)
        return tuple(items) if isinstance(data, tuple) else items
    return change(data)


def _holds_arrays(data: Any) -> bool:
    """Whether a list is a nesting of arrays; numbers of numpy and Python are none."""
    if isinstance(data, dict):
        return True
    if isinstance(data, (list, tuple)):
        return any(_holds_arrays(item) for item in data)
    return data is None or (is_array(data) and not isinstance(data, np.generic))


def leaves(data: Any) -> list[Any]:
    """The arrays of a nesting of arrays, in order."""
    found: list[Any] = []
    mapped(found.append, data)
    return found


def is_nested(data: Any) -> bool:
    """Whether data are several arrays, as a dict, list or tuple."""
    return isinstance(data, dict) or (isinstance(data, (list, tuple)) and _holds_arrays(data))


def as_contiguous(value: Any, doubles: Doubles = floatx) -> np.ndarray:
    """One array of data, contiguous, of a type that the compiler has.

    float64 becomes what ``doubles`` gives, the default float unless said otherwise; floats of two
    bytes become the default float, as in Keras.

    Raises:
        TypeError: it is no array of numbers.
        ValueError: it has no batch axis.
    """
    if not is_array(value) and not isinstance(value, (list, tuple, int, float)):
        hint = ". Call it, and pass what it gives" if callable(value) else ""
        raise UsageTypeError(f"expected an array of numbers; received {type(value).__name__}{hint}")
    plain = hasattr(value, "__array__") or not _gives_numpy(value)
    array = canonical_array(value if plain else value.numpy(), "float64")
    if array.dtype == np.float64:
        array = array.astype(doubles(), copy=False)
    elif array.dtype.itemsize == 2 and is_float(array.dtype):
        array = array.astype(standard_dtype(None).numpy, copy=False)
    if not array.ndim:
        raise UsageError(f"expected arrays whose first axis is the batch; received {value!r}")
    # Of a subclass, such as a file mapped into memory, only the base: its slices cost less.
    return fitting(array, array.dtype)


def as_given() -> str:
    """What float64 stays, as ``doubles``, until the model is known that the data are for."""
    return "float64"


@dataclass(frozen=True, slots=True)
class Intake:
    """How a model takes data: what float64 becomes among its inputs and among its targets.

    What becomes of targets becomes of the weights of their losses, too.
    """

    inputs: Doubles = floatx
    targets: Doubles = floatx

    def x(self, data: Any) -> Any:
        """The inputs as nestings of contiguous arrays; None stays None."""
        return mapped(lambda value: as_contiguous(value, self.inputs), data)

    def y(self, data: Any) -> Any:
        """The targets, as ``x``."""
        return mapped(lambda value: as_contiguous(value, self.targets), data)

    def weights(self, data: Any) -> Any:
        """Weights of samples, as ``y``, but floats where they are given as integers."""
        return mapped(self._floats, data)

    def _floats(self, value: Any) -> np.ndarray:
        array = as_contiguous(value, self.targets)
        return array if is_float(array.dtype) else array.astype(self.targets())


def check_batch(x: Any) -> None:
    """Raises ``ValueError`` for several inputs of a batch that have different numbers of samples.

    Sequences of different lengths in a list read as such.
    """
    if isinstance(x, (list, tuple)):
        found = leaves(x)
        if len({len(array) for array in found}) > 1:
            raise UsageError(
                f"expected {len(found)} inputs of one number of samples; received {shapes(x)}. If "
                f"these are the samples of one input, {PAD_THEM}"
            )


def shapes(data: Any) -> str:
    """The shapes of the arrays, for messages."""
    return ", ".join(str(np.shape(array)) for array in leaves(data))
