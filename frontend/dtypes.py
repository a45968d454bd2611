"""Element types as the frontend sees them: the default float, promotion, arrays made canonical."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.ir.types import (
    BOOL,
    DTYPES,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    UINT8,
    DType,
    dtype_of,
)
from ..runtime.arrays import fitting, is_float
from .errors import UsageError, UsageTypeError
from .watching import Watched


class _Defaults(Watched):
    """What programs depend on as on an attribute of a layer."""

    floatx: DType = FLOAT32


_DEFAULTS = _Defaults()

# Types that the compiler lacks, each held exactly by one that it has.
_WIDER = {
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int64",
}

# Those that arrays keep whatever the default float is.
_CANONICAL = frozenset(np.dtype(name) for name in ("bool", "uint8", "int32", "int64", "float32"))


def floatx() -> str:
    """The name of the default float type: ``"float32"`` unless ``set_floatx`` changed it."""
    return _DEFAULTS.floatx.name


def set_floatx(value: str) -> None:
    """Makes a float type the default of layers made from now on.

    ``"float32"``, ``"float64"``, or ``"float16"`` or ``"bfloat16"``, in which weights and results
    are kept while their arithmetic is that of float32.
    """
    dtype = standard_dtype(value)
    if not dtype.is_float:
        names = ", ".join(repr(each.name) for each in DTYPES if each.is_float)
        raise UsageError(f"floatx: expected one of {names}; received {value!r}")
    _DEFAULTS.floatx = dtype


def standard_dtype(spec: Any) -> DType:
    """The type meant by a Keras or numpy name; None is the default float. Raises ``ValueError``."""
    if spec is None:
        return _DEFAULTS.floatx
    if isinstance(spec, str):
        name = {"int": "int32", "float": floatx()}.get(spec, spec)
    elif isinstance(spec, type) and spec in (int, float, bool):  # a numpy dtype may equal one
        name = {int: "int32", float: floatx(), bool: "bool"}[spec]
    else:
        name = getattr(spec, "name", spec)
    try:
        return dtype_of(name)
    except TypeError as error:
        is_text = isinstance(name, str) and name in ("string", "str")
        hint = f". {_TEXT}" if is_text else ""
        raise UsageError(f"{error}{hint}") from None


def compute_dtype_of(policy: Any) -> DType:
    """The type that a dtype, or a dtype policy of Keras, computes in. Raises ``ValueError``."""
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict):  # as Keras writes it
        policy = policy["config"].get("name")
    if isinstance(policy, str) and policy.startswith("mixed_"):
        raise UsageError(
            f"expected one dtype, for weights and results alike; received the policy {policy!r}. "
            f"Give dtype={policy.removeprefix('mixed_')!r}, or cast between layers"
        )
    return standard_dtype(getattr(policy, "compute_dtype", policy))


def promote(left: DType, right: DType) -> DType:
    """The type of ``left + right``: floats win over integers, wider over narrower.

    Of float16 and bfloat16 neither holds the other: they become float32.
    """
    if left is right:
        return left
    floats = [dtype for dtype in (left, right) if dtype.is_float]
    if len(floats) == 1:
        return floats[0]
    if floats:
        return FLOAT64 if FLOAT64 in floats else FLOAT32
    if BOOL in (left, right):
        return right if left is BOOL else left
    if INT64 in (left, right):
        return INT64
    return INT32  # int32 with a small type, or int8 with uint8, which only int32 holds both of


def scalar_dtype(value: bool | int | float, other: DType) -> DType:
    """The type in which a Python number meets a tensor: the tensor's own wherever it can be."""
    if isinstance(value, bool):
        return other
    if isinstance(value, int):
        return INT32 if other is BOOL else other
    return other if other.is_float else _DEFAULTS.floatx


def canonical_array(value: Any, doubles: str | None = None) -> np.ndarray:
    """``value`` as an array of a type that the compiler has.

    float64 becomes ``doubles``, the default float unless given, and Python ints become int32, as
    in Keras; types without a counterpart become a wider one. Raises ``TypeError`` for strings,
    objects and complex numbers.
    """
    if type(value) is np.ndarray and value.dtype in _CANONICAL:  # the way of every batch
        return value
    array = as_array(value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name in _WIDER:
        return array.astype(_WIDER[array.dtype.name])
    if array.dtype == np.uint64:
        return fitted_array(array, np.dtype(np.int64))
    if array.dtype.kind == "f" and array.dtype.itemsize >= 8:  # or longer than any type here
        return standard_dtype(doubles).of(array)
    if array.dtype == np.int64 and not isinstance(value, (np.ndarray, np.generic)):
        return array.astype(np.int32) if _fits_int32(array) else array
    return array


def fitted_array(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An array of numbers as a program takes it: of ``dtype``, contiguous and aligned.

    Raises:
        ValueError: an integer type cannot hold a value.
    """
    if array.dtype != dtype and dtype.kind in "iu" and not np.can_cast(array.dtype, dtype):
        limits, low, high = np.iinfo(dtype), array.min(initial=0), array.max(initial=0)
        if not (limits.min <= low and high <= limits.max):
            raise UsageError(
                f"expected values of {dtype}, from {limits.min} to {limits.max}; received "
                f"{array.dtype} from {low} to {high}"
            )
    return fitting(array, dtype)


def as_array(value: Any) -> np.ndarray:
    """``value`` (numbers, lists, anything with ``__array__`` or ``__dlpack__``) as numeric array.

    Raises:
        TypeError: it is ragged, or holds something else than numbers.
    """
    if value is None:
        raise UsageTypeError("expected numbers; received None")
    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        array = np.from_dlpack(value)
    else:
        array = _from_nested(value)
    if array.dtype.kind not in "iub" and not is_float(array.dtype):
        raise _no_numbers(array)
    return array


_TEXT = (
    "There are no tensors of strings: text becomes numbers before a model, by "
    "keraunos.layers.TextVectorization or StringLookup, as in model.fit(layer(texts), y)"
)
# What becomes of sequences of different lengths, in messages.
PAD_THEM = "keraunos.utils.pad_sequences(x) makes one array of sequences of different lengths"


def _no_numbers(array: np.ndarray) -> UsageTypeError:
    first = next(iter(array.flat), None) if array.dtype.kind == "O" else None
    what = f"an array of dtype {array.dtype} and shape {array.shape}"
    if isinstance(first, (list, tuple, np.ndarray)):
        return _ragged(f"{what}, which holds others")
    if array.dtype.kind in "UST" or isinstance(first, (str, bytes)):
        return UsageTypeError(f"expected numbers; received {what}. {_TEXT}")
    return UsageTypeError(
        f"expected numbers; received {what}. Convert it first, for example with "
        "np.asarray(x, dtype='float32')"
    )


def _ragged(what: str) -> UsageTypeError:
    return UsageTypeError(
        f"expected an array of numbers, with rows of one length; received {what}. Pad the rows to "
        f"one length: {PAD_THEM}"
    )


def _from_nested(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise _ragged(f"a {type(value).__name__} with rows of different lengths") from None


def _fits_int32(array: np.ndarray) -> bool:
    if not array.size:
        return True
    limits = np.iinfo(np.int32)
    return bool(limits.min <= array.min() and array.max() <= limits.max)


__all__ = [
    "BOOL", "FLOAT32", "FLOAT64", "INT32", "INT64", "PAD_THEM", "UINT8", "DType", "as_array",
    "canonical_array", "fitted_array", "floatx", "promote", "scalar_dtype", "set_floatx",
    "standard_dtype",
]  # fmt: skip
