"""Types of values: a dtype and a shape whose sizes are ints or symbols, complete from the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import ml_dtypes  # noqa: F401  (numpy learns of bfloat16 here)
import numpy as np

from ...runtime.dim import MOST, Dim, spend, substitute
from ...runtime.dim import Size as Size  # part of what this module names
from ...runtime.dim_parser import parse_size
from ...runtime.forks import cached_property

Shape: TypeAlias = tuple[Size, ...]
MOST_AXES = 64  # of one value: numpy's own bound


def product(sizes: Iterable[Size]) -> Size:
    """All ``sizes`` multiplied: an int, or a symbolic size."""
    return prod(sizes, start=1)


@dataclass(frozen=True)
class DType:
    """An element type.

    Attributes:
        name: as Keras and numpy have it.
        short: as IR dumps have it.
        itemsize: bytes of an element in memory.
        wide: the type that arithmetic on it is done in, which holds every value of it; None: in
            itself.
    """

    name: str
    short: str
    itemsize: int
    wide: DType | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Each type is one object, in every copy and in every process."""
        return dtype_of, (self.name,)

    @cached_property
    def numpy(self) -> np.dtype:
        return np.dtype(self.name)

    @property
    def computed(self) -> DType:
        """The type in which its values are while something is computed of them."""
        return self.wide or self

    def of(self, array: np.ndarray) -> np.ndarray:
        """Numbers as an array of this type, the nearest, of two the even one."""
        if self.wide is None:
            return array.astype(self.numpy, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            if array.dtype in _FINER:
                array = _to_odd(array.astype(np.float64))
            return array.astype(self.numpy, copy=False)

    @property
    def is_float(self) -> bool:
        return "float" in self.name

    @property
    def is_integer(self) -> bool:
        return "int" in self.name

    def __str__(self) -> str:
        return self.short


_FINER = (np.dtype(np.float64), np.dtype(np.int32), np.dtype(np.int64))  # than float32


def _to_odd(doubles: np.ndarray) -> np.ndarray:
    """As float32; what lies between two of them becomes the odd one, which is no tie of halves.

    So rounding it once more gives what rounding at once would.
    """
    floats = doubles.astype(np.float32)
    away, inexact = np.abs(floats) > np.abs(doubles), floats != doubles
    bits = floats.view(np.uint32) - (away & inexact)
    odd: np.ndarray = np.asarray(bits | (inexact & ~np.isnan(doubles)))
    return odd.view(np.float32)


FLOAT32 = DType("float32", "f32", 4)
FLOAT64 = DType("float64", "f64", 8)
FLOAT16 = DType("float16", "f16", 2, FLOAT32)
BFLOAT16 = DType("bfloat16", "bf16", 2, FLOAT32)
INT8 = DType("int8", "i8", 1)
INT32 = DType("int32", "i32", 4)
INT64 = DType("int64", "i64", 8)
UINT8 = DType("uint8", "u8", 1)
BOOL = DType("bool", "bool", 1)
DTYPES = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16, INT8, INT32, INT64, UINT8, BOOL)
_BY_NAME = {name: dtype for dtype in DTYPES for name in (dtype.name, dtype.short)}


def dtype_of(spec: object) -> DType:
    """The ``DType`` meant by a name, a numpy dtype or a ``DType``; raises ``TypeError`` if none."""
    if isinstance(spec, DType):
        return spec
    name = spec if isinstance(spec, str) else _numpy_name(spec)
    if name not in _BY_NAME:
        known = ", ".join(dtype.name for dtype in DTYPES)
        raise TypeError(f"expected a dtype out of {known}; got {spec!r}")
    return _BY_NAME[name]


def _numpy_name(spec: object) -> str:
    try:
        return np.dtype(spec).name  # type: ignore[call-overload,no-any-return]
    except TypeError:
        return repr(spec)


@dataclass(frozen=True)
class TensorType:
    """The type of one value, printed ``f32[N, 28, 28, 1]``."""

    dtype: DType
    shape: Shape = ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Size:
        """The number of elements: an int, or a symbolic size."""
        return product(self.shape)

    @property
    def bytes(self) -> Size:
        return self.elements * self.dtype.itemsize

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of the symbolic sizes in the shape."""
        return frozenset().union(*(s.symbols for s in self.shape if isinstance(s, Dim)))

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def bind(self, values: Mapping[str, Size]) -> TensorType:
        """This type with some symbolic sizes replaced."""
        return self.with_shape(tuple(substitute(size, values) for size in self.shape))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class TupleType:
    """The type of an op with several results; ``item`` picks one of them."""

    items: tuple[TensorType, ...]

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of the symbolic sizes in the shapes."""
        return frozenset().union(*(item.symbols for item in self.items))

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type: TypeAlias = TensorType | TupleType


def check_type(type_: Type) -> None:
    """Raises ``ValueError`` unless values of ``type_`` can exist.

    Sizes are 0 or more, axes at most ``MOST_AXES``, and the bytes, symbolic sizes aside, are
    counted in 64 bits.
    """
    for item in type_.items if isinstance(type_, TupleType) else (type_,):
        bytes_ = item.dtype.itemsize
        for size in item.shape:
            if isinstance(size, Dim):
                spend(size.complexity)
            elif size < 0:
                raise ValueError(f"expected sizes of 0 or more, got {item}")
            elif size > 1 and bytes_ < MOST:
                bytes_ *= size
        if bytes_ >= MOST:
            raise ValueError(f"expected less than 2**63 bytes, got {item}")
        if len(item.shape) > MOST_AXES:
            raise ValueError(f"expected at most {MOST_AXES} axes, got {len(item.shape)}")


def parse_type(text: str) -> TensorType:
    """The inverse of ``str(TensorType)``; raises ``ValueError`` or ``TypeError``."""
    name, bracket, rest = text.strip().partition("[")
    if not bracket or not rest.endswith("]"):
        raise ValueError(f"expected a type such as f32[N, 28, 28, 1], got {text!r}")
    sizes = rest[:-1].strip()
    return TensorType(dtype_of(name), tuple(map(parse_size, sizes.split(","))) if sizes else ())


def broadcast_shapes(*shapes: Shape) -> Shape:
    """numpy's broadcasting over sizes that may be symbols; raises ``ValueError`` on a mismatch."""
    if shapes and shapes.count(shapes[0]) == len(shapes):
        return tuple(shapes[0])
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_broadcast_size(sizes, shapes) for sizes in zip(*padded, strict=True))


def _broadcast_size(sizes: tuple[Size, ...], shapes: tuple[Shape, ...]) -> Size:
    wide = {size for size in sizes if size != 1}
    if len(wide) > 1:
        listed = " and ".join(f"({', '.join(map(str, shape))})" for shape in shapes)
        raise ValueError(f"shapes {listed} do not broadcast: sizes {sizes} differ and none is 1")
    return wide.pop() if wide else 1
